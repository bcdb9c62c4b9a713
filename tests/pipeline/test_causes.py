"""Credible sets of whole discoveries: planted causes, laws, and which loci have one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from numpy.testing import assert_allclose

from genodl.pipeline.discovery import discover
from genodl.values import Cohort

SAMPLES, BLOCK = 500, 8
CAUSES = {"v3": 0.5, "v13": -0.5, "v27": 0.5}


def in_blocks(seed: int) -> np.ndarray:
    """Dosages of five blocks of eight variants in LD, int8 (samples, 40)."""
    rng = np.random.default_rng(seed)
    columns = []
    for _ in range(5):
        frequency, shared = rng.uniform(0.2, 0.5), rng.random((2, SAMPLES))
        for _ in range(BLOCK):
            own = np.where(rng.random((2, SAMPLES)) < 0.85, shared, rng.random((2, SAMPLES)))
            columns.append((own < frequency).sum(0))
    return np.stack(columns, axis=1).astype(np.int8)


def cohort_of(dosage: np.ndarray, order: np.ndarray, **columns: np.ndarray) -> Cohort:
    samples = pd.DataFrame(columns, index=[f"S{i}" for i in range(SAMPLES)])
    number = np.arange(dosage.shape[1])
    var = pd.DataFrame(
        {"contig": "1", "pos": number * 1_000 + number // BLOCK * 10_000_000 + 1},
        index=[f"v{i}" for i in number],
    ).assign(ref="A", alt="C")
    return Cohort(
        {"variants": AnnData(dosage[:, order], samples[[]].copy(), var.iloc[order])}, samples
    )


def found_in(cohort: Cohort, **settings):
    fast = {"folds": 5, "members": 0, "checks": 0, "pair_markers": 0}
    return discover(cohort, phenotype="y", **(fast | settings))


@pytest.fixture(scope="module")
def planted() -> tuple[np.ndarray, np.ndarray]:
    dosage = in_blocks(5)
    signal = sum(beta * dosage[:, int(name[1:])] for name, beta in CAUSES.items())
    return dosage, signal + np.random.default_rng(6).standard_normal(SAMPLES)


@pytest.fixture(scope="module")
def found(planted):
    dosage, y = planted
    return found_in(cohort_of(dosage, np.arange(40), y=y))


def test_planted_causes_are_in_the_credible_sets_of_their_loci(found):
    loci = found.loci[found.loci["q_value"] < 0.1]
    sets = [set(names.split(";")) for names in loci["credible_set"]]
    assert [sum(cause in chosen for chosen in sets) for cause in CAUSES] == [1, 1, 1]
    assert (loci["n_credible"] == [len(chosen) for chosen in sets]).all()
    assert (loci["n_credible"] <= loci["n_markers"]).all()
    # the share of T_j spreads over what is in LD
    assert (loci["n_attributed"].head(3) > loci["n_credible"].head(3)).all()


def test_shares_of_a_locus_add_up_to_one_and_name_its_set(found):
    told = found.markers.dropna(subset="credible")
    totals = told.groupby("locus")[["share", "credible"]].sum()
    assert_allclose(totals, 1)
    for row in found.loci[found.loci["n_credible"].notna()].itertuples():
        mine = told[told["locus"] == row.locus].set_index("marker")["credible"]
        chosen = row.credible_set.split(";")
        assert mine[chosen].is_monotonic_decreasing
        assert mine[chosen].sum() >= 0.95 - 1e-6
        assert mine[chosen[:-1]].sum() < 0.95


def test_loci_that_are_not_found_have_no_set(found):
    weak = found.loci[(found.loci["q_value"] >= 0.1)]
    weak = weak[weak["p_value"] > 1e-3]
    assert len(weak)
    assert (weak["credible_set"] == "").all()
    assert weak["n_credible"].isna().all()
    rows = found.markers[found.markers["locus"].isin(weak["locus"])]
    assert rows[["share", "credible"]].isna().all(axis=None)


def test_units_and_the_order_of_the_variants_change_nothing(found, planted):
    dosage, y = planted
    backwards = found_in(cohort_of(dosage, np.arange(40)[::-1], y=1000 * y + 7))
    columns = ["share", "credible"]
    mine, other = (f.markers.set_index("marker")[columns] for f in (found, backwards))
    known = mine.dropna().index
    assert_allclose(other.loc[known], mine.loc[known], atol=2e-3)


def test_of_classes_the_one_that_the_lead_moves_is_explained():
    dosage, rng = in_blocks(8), np.random.default_rng(9)
    slopes = np.column_stack([1.2 * dosage[:, 11], np.zeros(SAMPLES), np.zeros(SAMPLES)])
    colour = np.array(["a", "b", "c"])[(slopes + rng.gumbel(size=(SAMPLES, 3))).argmax(1)]
    found = found_in(cohort_of(dosage, np.arange(40), y=colour))
    first = found.loci.iloc[0]
    assert "v11" in first["credible_set"].split(";")
    assert found.markers.groupby("locus")["credible"].sum()[first["locus"]] == pytest.approx(1)


@pytest.mark.long
def test_a_variant_that_turns_with_a_covariate_is_in_its_set():
    dosage, rng = in_blocks(12), np.random.default_rng(13)
    sex = rng.integers(0, 2, SAMPLES)
    y = 0.9 * (dosage[:, 19] - dosage[:, 19].mean()) * (2 * sex - 1) + rng.standard_normal(SAMPLES)
    cohort = cohort_of(dosage, np.arange(40), y=y, sex=sex)
    first = found_in(cohort, covariates=["sex"], pair_markers=1000).loci.iloc[0]
    assert first["p_value"] < 1e-8
    assert "v19" in first["credible_set"].split(";")
    assert first["n_credible"] < 8


def test_a_marker_without_a_position_is_its_own_set():
    rng = np.random.default_rng(3)
    level = rng.standard_normal((SAMPLES, 6)).astype(np.float32)
    samples = pd.DataFrame(
        {"y": level[:, 2] + rng.standard_normal(SAMPLES)}, index=[f"S{i}" for i in range(SAMPLES)]
    )
    genes = pd.DataFrame(index=[f"g{i}" for i in range(6)])
    found = found_in(Cohort({"expression": AnnData(level, samples[[]].copy(), genes)}, samples))
    first = found.loci.iloc[0]
    assert (first["credible_set"], first["n_credible"], first["n_attributed"]) == ("g2", 1, 1)
    assert found.markers.iloc[0][["share", "credible"]].tolist() == [1, 1]
