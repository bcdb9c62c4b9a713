"""From scores to tables: least squares, twins, loci and q-values by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from numpy.testing import assert_allclose
from scipy import sparse as sp
from scipy import stats

from genodl.config import DiscoverConfig
from genodl.pipeline.discovery import discover
from genodl.pipeline.tables import neighbours, rank
from genodl.values import Cohort

SAMPLES = 300


def cohort_of(dosage: np.ndarray, y: np.ndarray, *, pos: np.ndarray | None = None) -> Cohort:
    samples = pd.DataFrame({"response": y}, index=[f"S{i}" for i in range(len(y))])
    place = 10_000_000 * np.arange(1, dosage.shape[1] + 1) if pos is None else pos
    var = pd.DataFrame(
        {"contig": "1", "pos": place, "ref": "A", "alt": "C"},
        index=[f"v{i}" for i in range(dosage.shape[1])],
    )
    return Cohort({"variants": AnnData(dosage, obs=samples[[]].copy(), var=var)}, samples)


def found_in(cohort: Cohort, **settings):
    given = {"folds": 5, "members": 0, "checks": 0, "pair_markers": 0}
    return discover(cohort, phenotype="response", **(given | settings))


def test_where_nothing_is_selected_effects_and_p_values_are_those_of_least_squares():
    rng = np.random.default_rng(0)
    dosage = rng.binomial(2, 0.4, (SAMPLES, 25)).astype(np.int8)
    found = found_in(cohort_of(dosage, rng.standard_normal(SAMPLES)))
    rows = found.markers.set_index("marker").loc[[f"v{i}" for i in range(25)]]
    assert (rows["stability"] == 0).all()
    y = found.predictions.set_index("sample")["observed"].loc[[f"S{i}" for i in range(SAMPLES)]]
    fits = [stats.linregress(x, y) for x in dosage.T]
    assert_allclose(rows["effect"], [fit.slope for fit in fits], rtol=1e-3, atol=1e-5)
    assert_allclose(rows["marginal_p"], [fit.pvalue for fit in fits], rtol=1e-3)


def test_a_carrier_status_has_the_p_value_of_the_t_test():
    rng = np.random.default_rng(1)
    carrier = np.tile([0, 1], SAMPLES // 2).astype(np.int8)[:, None]
    y = 0.1 * carrier[:, 0] + rng.standard_normal(SAMPLES)
    row = found_in(cohort_of(carrier, y)).markers.iloc[0]
    expected = stats.ttest_ind(y[1::2], y[::2]).pvalue
    assert row["p_value"] == pytest.approx(expected, rel=1e-3)
    assert row["score"] == pytest.approx(stats.norm.isf(expected), abs=1e-3)


def test_one_marker_p_values_hold_beside_a_strong_covariate_of_a_binary_trait():
    """Markers that follow the covariate are carried where cases are less certain."""
    rng = np.random.default_rng(4)
    age = rng.standard_normal(600)
    share = 1 / (1 + np.exp(1 - 0.8 * age))
    dosage = rng.binomial(2, share[:, None], (600, 1500)).astype(np.int8)
    cohort = cohort_of(dosage, rng.binomial(1, 1 / (1 + np.exp(4 - 3 * age))).astype(float))
    cohort.samples["age"] = age
    p = found_in(cohort, covariates=("age",)).markers["marginal_p"]
    for level, most in ((0.05, 1.3), (0.01, 1.7)):  # 2.5 standard errors above nominal
        assert (p < level).mean() < most * level


def test_twins_share_their_locus_and_their_rank_statistics():
    rng = np.random.default_rng(2)
    dosage = rng.binomial(2, 0.4, (SAMPLES, 20)).astype(np.int8)
    dosage[:, 11] = dosage[:, 10]
    dosage[:, 12] = 2 - dosage[:, 10]
    pos = 10_000_000 * np.arange(1, 21)
    pos[11:13] = pos[10] + np.array([500, 900])
    y = dosage[:, 10] + rng.standard_normal(SAMPLES)
    found = found_in(cohort_of(dosage, y, pos=pos))
    twins = found.markers.set_index("marker").loc[["v10", "v11", "v12"]]
    assert set(twins["rank"]) == {1, 2, 3}
    assert set(twins["locus"]) == {"1:110000000-110000900"}
    assert_allclose(twins["score"], twins["score"].iloc[0], rtol=1e-3)
    assert_allclose(twins["effect"] * [1, 1, -1], twins["effect"].iloc[0], rtol=1e-3)
    assert (twins["stability"] == 1).all()
    locus = found.loci.iloc[0]
    assert locus["n_markers"] == 3
    # three tests that are one: the Cauchy combination gives it back
    assert np.log(locus["p_value"]) == pytest.approx(np.log(twins["p_value"].iloc[0]), rel=1e-2)


def study_like(**modalities: pd.DataFrame):
    """As much of a study as ranking asks for."""
    named = {name: SimpleNamespace(var=var) for name, var in modalities.items()}
    return SimpleNamespace(cohort=SimpleNamespace(modalities=named))


def table(p_values: list[float]) -> pd.DataFrame:
    log_p = np.log(p_values)
    columns = dict.fromkeys(("score", "effect", "stability", "marginal_p"), 0.5)
    return pd.DataFrame({"log_p": log_p, **columns})


def test_loci_and_q_values_are_those_worked_by_hand():
    var = pd.DataFrame(
        {"contig": ["1", "1", "2"], "pos": [100, 300, 50], "ref": "A", "alt": "C"},
        index=["a", "b", "c"],
    )
    genes = pd.DataFrame(index=["g"])
    near = {
        "variants": sp.csr_matrix(np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0.0]])),
        "expression": sp.csr_matrix((1, 1)),
    }
    tables = {"variants": table([0.02, 0.02, 0.3]), "expression": table([0.01])}
    markers, loci = rank("y", tables, near, study_like(variants=var, expression=genes))
    # p of the loci: .01, .02 (the combination of two equal ones), .3; times 3 over the rank
    assert loci["locus"].tolist() == ["g", "1:100-300", "c"]
    assert_allclose(loci["p_value"], [0.01, 0.02, 0.3])
    assert_allclose(loci["q_value"], [0.03, 0.03, 0.3])
    assert loci["lead_marker"].tolist() == ["g", "a", "c"]
    assert loci["n_markers"].tolist() == [1, 2, 1]
    assert loci["modality"].tolist() == ["expression", "variants", "variants"]
    assert loci["start"].tolist()[1:] == [100, 50]
    assert loci["end"].tolist()[1:] == [300, 50]
    assert loci["start"].isna().tolist() == [True, False, False]
    assert markers["marker"].tolist() == ["g", "a", "b", "c"]
    assert markers["rank"].tolist() == [1, 2, 3, 4]
    assert_allclose(markers["q_value"], [0.03, 0.03, 0.03, 0.3])
    assert markers["locus"].tolist() == ["g", "1:100-300", "1:100-300", "c"]
    assert markers["pos"].isna().tolist() == [True, False, False, False]


def test_only_variants_have_neighbours():
    rng = np.random.default_rng(3)
    dosage = np.repeat(rng.binomial(2, 0.5, (60, 3)), 2, axis=1).astype(np.int8)
    pos = np.array([1, 2, 1000, 1001, 9_000_000, 9_000_001])
    cohort = cohort_of(dosage, rng.standard_normal(60), pos=pos)
    genes = AnnData(dosage.astype(np.float32), obs=cohort.samples[[]].copy())
    study = SimpleNamespace(
        cohort=Cohort({**cohort.modalities, "expression": genes}, cohort.samples)
    )
    near = neighbours(study, "variants", DiscoverConfig(locus_r2=0.5)).toarray() > 0
    expected = np.kron(np.eye(3), np.ones((2, 2))) > 0
    assert ((near | np.eye(6, dtype=bool)) == expected).all()
    assert neighbours(study, "expression", DiscoverConfig()).nnz == 0
