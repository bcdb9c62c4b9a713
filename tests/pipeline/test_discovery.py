"""Discovery from end to end on simulated cohorts: planted truth, contract, nulls and laws."""

from __future__ import annotations

import filecmp
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from numpy.testing import assert_allclose

from genodl import simulate
from genodl.errors import InputError
from genodl.pipeline import study
from genodl.pipeline.causes import OF_LOCI, OF_MARKERS
from genodl.pipeline.discovery import discover
from genodl.pipeline.found import Found
from genodl.pipeline.tables import LOCI, MARKERS
from genodl.values import Cohort

FAST = {"folds": 5, "members": 0, "checks": 0}
COVARIATES = ["age", "sex", "site"]
PLANTED = {"additive": 3, "overdominant": 2, "linear": 1}


def simulated(seed: int, **settings: Any) -> simulate.Simulated:
    given = {"samples": 500, "variants": 800, "genes": 40, "contigs": ("1", "2"), "spacing": 20_000}
    return simulate.cohort(seed=seed, **(given | {"markers": PLANTED, "h2": 0.6} | settings))


def with_columns(cohort: Cohort, **columns: Any) -> Cohort:
    return replace(cohort, samples=cohort.samples.assign(**columns))


def of_planted(found: Found, made: simulate.Simulated) -> pd.DataFrame:
    """The rows of the planted markers; one that a filter left out is a KeyError."""
    return found.markers.set_index("marker").loc[made.truth["marker"]]


@pytest.fixture(scope="module")
def made() -> simulate.Simulated:
    return simulated(3)


@pytest.fixture(scope="module")
def found(made: simulate.Simulated) -> Found:
    return discover(made.cohort, phenotype="response", covariates=COVARIATES, pcs=2, **FAST)


def test_planted_markers_are_found_and_little_else(found, made):
    rows = of_planted(found, made)
    assert (rows["q_value"] < 0.01).all()
    assert (rows["stability"] == 1).all()
    planted = set(rows["locus"])
    discovered = found.loci[found.loci["q_value"] < 0.1]
    # an expressed gene may follow a planted variant, and so may a locus beside it
    assert len(set(discovered["locus"]) - planted) <= 3
    assert set(discovered["locus"].head(len(planted) - 1)) <= planted


def test_additive_effects_are_estimated_in_the_unit_of_the_phenotype(found, made):
    additive = made.truth[made.truth["role"] == "additive"].set_index("marker")["effect"]
    estimated = found.markers.set_index("marker")["effect"]
    assert_allclose(estimated[additive.index], additive, atol=0.15)


def test_an_overdominant_marker_is_found_though_its_marginal_additive_effect_is_small(found, made):
    names = made.truth.loc[made.truth["role"] == "overdominant", "marker"]
    rows = found.markers.set_index("marker").loc[names]
    assert (rows["p_value"] < 1e-10).all()
    assert (rows["marginal_p"] > 1e3 * rows["p_value"]).all()


def test_the_tables_have_their_columns_in_order(found):
    assert list(found.markers.columns) == [*MARKERS, *OF_MARKERS]
    assert list(found.loci.columns) == [*LOCI, *OF_LOCI]
    assert set(found.markers["phenotype"]) == {"response"}


def test_every_marker_that_the_filters_left_is_ranked_once(found, made):
    assert found.markers["marker"].is_unique
    assert len(found.markers) == sum(found.run["markers"].values())
    lost = sum(loss["count"] for loss in found.run["losses"] if loss["what"] == "markers")
    assert len(found.markers) + lost == sum(m.n_vars for m in made.cohort.modalities.values())


@pytest.mark.parametrize("table", ["markers", "loci"])
def test_ranks_ascend_with_the_p_value(found, table):
    rows = getattr(found, table)
    assert rows["rank"].tolist() == list(range(1, len(rows) + 1))
    assert rows["p_value"].is_monotonic_increasing
    assert rows["p_value"].between(0, 1).all()
    assert rows["q_value"].is_monotonic_increasing or table == "markers"
    assert (found.loci["q_value"] >= found.loci["p_value"] * (1 - 1e-9)).all()


def test_the_loci_partition_the_markers(found):
    groups = found.markers.groupby("locus")
    loci = found.loci.set_index("locus").sort_index()
    assert list(groups.groups) == list(loci.index)
    assert (groups.size() == loci["n_markers"]).all()
    first = groups["marker"].first()
    assert (first == loci["lead_marker"]).all()
    located = loci[loci["contig"] != ""]
    assert (groups["pos"].min()[located.index] == located["start"]).all()
    assert (groups["pos"].max()[located.index] == located["end"]).all()
    assert groups["contig"].nunique().max() == 1


def test_a_marker_has_the_q_value_of_its_locus(found):
    loci = found.loci.set_index("locus")["q_value"]
    assert_allclose(found.markers["q_value"], loci[found.markers["locus"]])


def test_effects_point_the_way_of_the_marginal_slope(found, made):
    variants = made.cohort.modalities["variants"].to_df().replace(-1, np.nan)
    y = made.cohort.samples["response"]
    best = found.markers[found.markers["modality"] == "variants"].head(5)
    additive = best[best["marginal_p"] < 1e-8]
    for row in additive.itertuples():
        slope = np.polyfit(variants[row.marker].fillna(variants[row.marker].mean()), y, 1)[0]
        assert np.sign(slope) == np.sign(row.effect)


def test_the_predictions_cover_every_sample_once_and_explain_it(found, made):
    rows = found.predictions
    assert sorted(rows["sample"]) == sorted(made.cohort.samples.index)
    assert_allclose(rows["observed"], made.cohort.samples["response"][rows["sample"]])
    assert sorted(rows["fold"].unique()) == [1, 2, 3, 4, 5]
    performance = found.performance["response"]
    assert performance["linear"]["value"] > performance["covariates"]["value"] + 0.2


def test_the_same_seed_gives_the_same_tables_and_another_the_same_findings(found, made):
    settings = {"phenotype": "response", "covariates": COVARIATES, "pcs": 2, **FAST}
    again = discover(made.cohort, **settings)
    for table in ("markers", "loci", "predictions"):
        pd.testing.assert_frame_equal(getattr(found, table), getattr(again, table))
    assert again.performance == found.performance
    other = discover(made.cohort, **settings, seed=1)
    assert not other.markers["p_value"].equals(found.markers["p_value"])
    assert (of_planted(other, made)["q_value"] < 0.01).all()


def by_marker(found: Found, column: str) -> pd.Series:
    return found.markers.set_index("marker")[column].sort_index()


@pytest.mark.parametrize("size", [128, pytest.param(512, marks=pytest.mark.long)])
def test_the_size_of_the_blocks_changes_no_byte(found, made, size, tmp_path, monkeypatch):
    whole, read = study.Study.blocks, []

    def blocks(self, modality):
        for block in whole(self, modality, size=size):
            read.append(block[1])
            yield block

    monkeypatch.setattr(study.Study, "blocks", blocks)
    other = discover(made.cohort, phenotype="response", covariates=COVARIATES, pcs=2, **FAST)
    assert read
    for name, one in (("found", found), ("other", other)):
        one.write(tmp_path / name)
    tables = ("markers.tsv", "loci.tsv", "interactions.tsv", "predictions.tsv", "performance.json")
    same, *_ = filecmp.cmpfiles(tmp_path / "found", tmp_path / "other", tables, shallow=False)
    assert sorted(same) == sorted(tables)


@pytest.mark.long
def test_several_phenotypes_give_what_each_gives_alone(found, made):
    rng = np.random.default_rng(0)
    variant = made.cohort.modalities["variants"].X[:, 100].astype(float)
    cohort = with_columns(made.cohort, other=variant + rng.standard_normal(500))
    both = discover(cohort, phenotype=["response", "other"], covariates=COVARIATES, pcs=2, **FAST)
    assert list(both.performance) == ["response", "other"]
    ours = both.markers[both.markers["phenotype"] == "response"].set_index("marker")
    log_p = -np.log10(ours["p_value"].sort_index())
    assert_allclose(log_p, -np.log10(by_marker(found, "p_value")), rtol=1e-3, atol=1e-3)
    assert ours["rank"].min() == 1
    theirs = both.markers[both.markers["phenotype"] == "other"]
    assert theirs["rank"].tolist() == list(range(1, len(theirs) + 1))
    assert theirs["locus"].iloc[0] != ours["locus"].iloc[0]


@pytest.mark.long
def test_a_binary_phenotype_is_found_too(made):
    found = discover(made.cohort, phenotype="response_binary", covariates=COVARIATES, **FAST)
    assert found.performance["response_binary"]["metric"] == "auc"
    assert found.performance["response_binary"]["linear"]["value"] > 0.65
    assert (of_planted(found, made)["q_value"] < 0.1).sum() >= 4


def test_samples_of_unknown_phenotype_are_neither_learnt_from_nor_predicted(made):
    y = made.cohort.samples["response"].copy()
    hidden = np.random.default_rng(1).permutation(500) < 80
    y[hidden] = np.nan
    settings = {"phenotype": "response", "covariates": COVARIATES, "pcs": 2, **FAST}
    found = discover(with_columns(made.cohort, response=y), **settings)
    assert set(found.predictions["sample"]) == set(y.index[~hidden])
    assert found.performance["response"]["n"] == 420
    assert (of_planted(found, made)["q_value"] < 0.05).sum() >= 5


def test_a_group_stays_in_one_fold(made):
    family = np.arange(500) // 4
    cohort = with_columns(made.cohort, family=[f"F{f}" for f in family])
    settings = {"phenotype": "response", "covariates": COVARIATES, "pcs": 2, **FAST}
    found = discover(cohort, group="family", **settings)
    fold = found.predictions.set_index("sample")["fold"].reindex(cohort.samples.index)
    assert fold.groupby(family).nunique().max() == 1
    assert fold.value_counts().min() > 80


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"phenotype": "respons"}, "response"),
        ({"covariates": ["agee"]}, "age"),
        ({"group": "house"}, "--group"),
        ({"kind": "survival"}, "give --survival"),
        ({"phenotype": []}, "no phenotype was given"),
        ({"survival": ["age"]}, "expected two columns"),
        ({"folds": 150}, "fewer --folds"),
    ],
    ids=["phenotype", "covariate", "group", "kind", "none", "survival", "folds"],
)
def test_a_fault_of_the_options_is_one_line(made, change: dict[str, Any], said: str):
    settings: dict[str, Any] = {"phenotype": "response", "covariates": COVARIATES, **FAST}
    with pytest.raises(InputError, match=said) as fault:
        discover(made.cohort, **(settings | change))
    assert "\n" not in str(fault.value)


@pytest.mark.long
@pytest.mark.parametrize("folds", [2, 3])
def test_few_folds_find_the_strongest_markers_too(made, folds: int):
    found = discover(made.cohort, phenotype="response", **(FAST | {"folds": folds, "members": 2}))
    assert (of_planted(found, made)["q_value"] < 0.05).sum() >= 5


def test_principal_components_need_variants(made):
    expression = replace(
        made.cohort, modalities={"expression": made.cohort.modalities["expression"]}
    )
    with pytest.raises(InputError, match="there are no variants"):
        discover(expression, phenotype="response", pcs=2, **FAST)
    alone = discover(expression, phenotype="response", covariates=COVARIATES, **FAST)
    gene = made.truth.loc[made.truth["role"] == "linear", "marker"].item()
    assert alone.markers["marker"].iloc[0] == gene
    assert alone.markers["pos"].notna().all()
    assert (alone.loci["n_markers"] == 1).all()


def test_components_and_covariates_are_in_the_design(found):
    assert found.run["design"][0] == "intercept"
    assert {"age", "PC1", "PC2"} <= set(found.run["design"])
    assert found.run["config"]["covariates"] == COVARIATES


@pytest.mark.long
def test_progress_is_told_of_every_stage(made):
    stages: list[str] = []

    def track(items, label: str, total: int):
        stages.append(label.split()[0])
        return items

    discover(made.cohort, phenotype="response", track=track, **FAST)
    told = [stage for stage in dict.fromkeys(stages) if stage != "finding"]
    assert told == ["screening", "learning", "testing", "taking", "weighing"]


def independent(seed: int, effect: Callable[[np.ndarray], np.ndarray]) -> Cohort:
    """600 samples of 150 unlinked variants; the phenotype is an effect of them and noise."""
    rng = np.random.default_rng(seed)
    dosage = rng.binomial(2, 0.5, (600, 150)).astype(np.int8)
    samples = pd.DataFrame(
        {"response": effect(dosage.astype(float)) + rng.standard_normal(600)},
        index=[f"S{i}" for i in range(600)],
    )
    var = pd.DataFrame(
        {"contig": "1", "pos": 10_000_000 * np.arange(1, 151), "ref": "A", "alt": "C"},
        index=[f"v{i}" for i in range(150)],
    )
    return Cohort({"variants": AnnData(dosage, obs=samples[[]].copy(), var=var)}, samples)


@pytest.mark.long
def test_a_marker_whose_additive_effect_is_nought_is_found_by_its_heterozygotes():
    cohort = independent(0, lambda x: 0.8 * (x[:, 40] == 1))
    found = discover(cohort, phenotype="response", **FAST)
    first = found.markers.iloc[0]
    assert first["marker"] == "v40"
    assert first["p_value"] < 1e-8
    assert first["marginal_p"] > 1e-3
    assert found.loci["q_value"].iloc[1] > 0.01


@pytest.mark.long
def test_a_pure_product_is_found_without_any_network():
    cohort = independent(1, lambda x: 1.2 * (x[:, 30] - 1) * (x[:, 99] - 1))
    found = discover(cohort, phenotype="response", **FAST)
    assert set(found.markers["marker"].head(2)) == {"v30", "v99"}
    assert (found.loci["q_value"].head(2) < 1e-4).all()
    assert found.loci["q_value"].iloc[2] > 0.05
    performance = found.performance["response"]
    assert performance["products_add"]
    assert not performance["network_adds"]
    without = discover(cohort, phenotype="response", **FAST, pair_markers=0)
    assert (without.loci["q_value"] > 0.05).all()


@pytest.mark.long
def test_a_permuted_phenotype_opens_no_gate_and_gives_few_discoveries(made):
    rng = np.random.default_rng(5)
    columns = {f"null{i}": rng.permutation(made.cohort.samples["response"]) for i in range(6)}
    cohort = with_columns(made.cohort, **columns)
    found = discover(cohort, phenotype=list(columns), **FAST)
    counts = [found.calibration[name]["n_discoveries"] for name in columns]
    assert sum(c > 0 for c in counts) <= 2
    assert sum(counts) <= 3
    p = found.markers["p_value"]
    assert 0.6 < (p < 0.05).mean() / 0.05 < 1.4
    assert all(entry["linear"]["value"] < 0.05 for entry in found.performance.values())


@pytest.mark.long
def test_networks_keep_what_is_found_and_stay_shut_where_they_add_nothing(found, made):
    cohort = with_columns(
        made.cohort, null=np.random.default_rng(6).permutation(made.cohort.samples["response"])
    )
    settings = {**FAST, "members": 5, "checks": 1}
    both = discover(
        cohort, phenotype=["response", "null"], covariates=COVARIATES, pcs=2, **settings
    )
    assert both.performance["null"]["gate"] == 0
    assert not both.performance["null"]["network_adds"]
    rows = both.markers[both.markers["phenotype"] == "response"].set_index("marker")
    assert (rows.loc[made.truth["marker"], "q_value"] < 0.01).all()
    assert both.calibration["self_check"]["replicates"] == 1
    assert both.ensembles["response"] is not None
    assert found.ensembles["response"] is None
