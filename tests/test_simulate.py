"""Simulated cohorts: the populations are plausible, the planted truth is exact."""

from __future__ import annotations

from itertools import pairwise

import anndata
import numpy as np
import pandas as pd
import pysam
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from genodl import simulate
from genodl.errors import InputError
from genodl.screen import cox
from genodl.values import MISSING


@pytest.fixture(scope="module")
def made() -> simulate.Simulated:
    return simulate.cohort(seed=5, samples=600, variants=2000, genes=120, missing=0.0)


@pytest.fixture(scope="module")
def small() -> simulate.Simulated:
    return simulate.cohort(seed=1, samples=40, variants=300, genes=40, contigs=("1", "X"))


def net_of_covariates(values: np.ndarray, samples: pd.DataFrame) -> np.ndarray:
    columns = pd.get_dummies(samples[["age", "sex", "site", "ancestry"]], dtype=float)
    design = np.column_stack([np.ones(len(samples)), columns])
    return values - design @ np.linalg.lstsq(design, values, rcond=None)[0]


def genetic_part(simulated: simulate.Simulated) -> np.ndarray:
    """The planted response rebuilt from the truth table and the data alone."""
    total = np.zeros(len(simulated.cohort.samples))
    done: set[str] = set()
    for row in simulated.truth.itertuples():
        if row.marker in done:
            continue
        markers = [row.marker, row.partner] if row.partner else [row.marker]
        modality_of = simulated.truth.set_index("marker")["modality"]
        inputs = [
            np.asarray(simulated.cohort.modalities[modality_of[m]][:, m].X, float).ravel()
            for m in markers
        ]
        total += row.effect * simulate.EFFECTS[row.role].response(*inputs)
        done.update(markers)
    return total


def correlation_by_distance(simulated: simulate.Simulated, *bounds: float) -> list[float]:
    variants = simulated.cohort.modalities["variants"]
    dosage = np.asarray(variants.X, float)
    frequency = dosage.mean(axis=0) / 2
    common = np.minimum(frequency, 1 - frequency) > 0.05
    r2 = np.corrcoef(dosage[:, common].T) ** 2
    var = variants.var[common]
    distance = np.abs(np.subtract.outer(var["pos"].to_numpy(), var["pos"].to_numpy()))
    together = np.equal.outer(var["contig"].to_numpy(), var["contig"].to_numpy())
    within = [together & (distance > a) & (distance <= b) for a, b in pairwise(bounds)]
    return [float(r2[pairs].mean()) for pairs in within]


def test_the_same_seed_gives_the_same_cohort():
    settings = {"samples": 50, "variants": 200, "genes": 40}
    one, two = (simulate.cohort(seed=3, **settings) for _ in range(2))
    other = simulate.cohort(seed=4, **settings)
    for name, modality in one.cohort.modalities.items():
        assert_array_equal(modality.X, two.cohort.modalities[name].X)
        pd.testing.assert_frame_equal(modality.var, two.cohort.modalities[name].var)
    pd.testing.assert_frame_equal(one.cohort.samples, two.cohort.samples)
    pd.testing.assert_frame_equal(one.truth, two.truth)
    assert (one.cohort.samples["response"] != other.cohort.samples["response"]).all()


def test_linkage_decays_over_a_few_hundred_kilobases(made):
    near, middle, far = correlation_by_distance(made, 0, 2e4, 2e5, 1e6)
    assert near > 0.15
    assert near > 1.3 * middle
    assert middle > 2 * far
    assert far < 0.08


def test_rare_variants_outnumber_common_ones_and_none_is_rarer_than_asked(made):
    frequency = np.asarray(made.cohort.modalities["variants"].X, float).mean(axis=0) / 2
    minor = np.minimum(frequency, 1 - frequency)
    assert minor.min() >= 0.01
    assert (minor < 0.1).sum() > (minor > 0.4).sum()
    assert (minor > 0.2).mean() > 0.1


def test_genotypes_are_in_hardy_weinberg_proportions_within_one_ancestry():
    single = simulate.cohort(
        seed=8, samples=800, variants=400, genes=40, ancestries=1, missing=0, maf=0.1
    )
    dosage = np.asarray(single.cohort.modalities["variants"].X, float)
    frequency = dosage.mean(axis=0) / 2
    expected = 2 * frequency * (1 - frequency)
    assert_allclose(((dosage == 1).mean(axis=0) / expected).mean(), 1.0, atol=0.02)


def test_the_two_ancestries_differ_as_continents_do():
    made = simulate.cohort(seed=2, samples=900, variants=3000, genes=40, missing=0)
    dosage = np.asarray(made.cohort.modalities["variants"].X, float)
    ancestry = made.cohort.samples["ancestry"].to_numpy()
    one, two = dosage[ancestry > 0.9], dosage[ancestry < 0.1]
    p, q = one.mean(axis=0) / 2, two.mean(axis=0) / 2
    within = p * (1 - p) / (2 * len(one) - 1) + q * (1 - q) / (2 * len(two) - 1)
    fst = ((p - q) ** 2 - within).sum() / (p * (1 - q) + q * (1 - p)).sum()  # Hudson
    assert 0.02 < fst < 0.10


@pytest.mark.parametrize("regime", sorted(simulate.REGIMES))
def test_planted_markers_explain_exactly_the_share_asked_for(regime):
    made = simulate.cohort(
        seed=6, samples=300, variants=800, genes=60, markers=regime, h2=0.3, missing=0
    )
    response = net_of_covariates(made.cohort.samples["response"].to_numpy(), made.cohort.samples)
    genetic = net_of_covariates(genetic_part(made), made.cohort.samples)
    expected = 0.3 if simulate.REGIMES[regime] else 0.0
    assert_allclose(genetic.var(), expected, rtol=1e-2)
    assert_allclose((response - genetic).var(), 1 - expected, rtol=1e-2)


def test_twelve_markers_of_the_default_exist_where_the_truth_says(made):
    assert len(made.truth) == 12
    assert made.truth["marker"].is_unique
    assert list(made.truth.columns) == [
        *("marker", "modality", "contig", "pos", "role", "effect", "partner")
    ]
    for row in made.truth.itertuples():
        var = made.cohort.modalities[row.modality].var
        assert var.loc[row.marker, "contig"] == row.contig
        assert var.loc[row.marker, "pos" if row.modality == "variants" else "start"] == row.pos
        assert row.partner == "" or row.partner in set(made.truth["marker"])


def test_planted_variants_are_far_apart_and_of_fitting_frequency(made):
    variants = made.cohort.modalities["variants"]
    planted = made.truth[made.truth["modality"] == "variants"]
    for _, own in planted.groupby("contig"):
        assert (np.diff(np.sort(own["pos"])) > 100_000).all()
    frequency = pd.Series(np.asarray(variants.X, float).mean(axis=0) / 2, variants.var_names)
    for row in planted.itertuples():
        least, greatest = simulate.EFFECTS[row.role].frequency
        assert least <= frequency[row.marker] <= greatest


def test_every_single_effect_stands_out_of_its_own_coding(made):
    response = net_of_covariates(made.cohort.samples["response"].to_numpy(), made.cohort.samples)
    for row in made.truth[made.truth["partner"] == ""].itertuples():
        values = np.asarray(made.cohort.modalities[row.modality][:, row.marker].X, float).ravel()
        coded = net_of_covariates(simulate.EFFECTS[row.role].response(values), made.cohort.samples)
        z = np.corrcoef(coded, response)[0, 1] * np.sqrt(len(response))
        assert z * np.sign(row.effect) > 2.5


def test_site_follows_ancestry_and_shifts_the_phenotype_only_with_a_confounder():
    def spread(confounder: bool) -> tuple[float, float]:
        made = simulate.cohort(
            seed=9, samples=1500, variants=100, genes=40, markers="none", confounder=confounder
        )
        table = made.cohort.samples.groupby("site")[["ancestry", "response"]].mean()
        return float(np.ptp(table["ancestry"])), float(np.ptp(table["response"]))

    with_ancestry, with_response = spread(True)
    without_ancestry, without_response = spread(False)
    assert with_ancestry > 0.3
    assert with_response > 0.6
    assert without_ancestry < 0.1
    assert without_response < 0.25


def test_a_binary_response_has_the_prevalence_asked_for():
    made = simulate.cohort(
        seed=1, samples=500, variants=200, genes=40, kind="binary", prevalence=0.1
    )
    assert made.cohort.samples["response"].sum() == 50
    assert_array_equal(made.cohort.samples["response"], made.cohort.samples["response_binary"])


def test_a_multiclass_response_is_a_third_of_the_liability_each():
    settings = {"seed": 1, "samples": 600, "variants": 200, "genes": 0, "markers": "additive"}
    liability = simulate.cohort(**settings).cohort.samples["response"]
    label = simulate.cohort(**settings, kind="multiclass").cohort.samples["response"]
    assert label.value_counts().to_dict() == {"low": 200, "middle": 200, "high": 200}
    assert liability[label == "low"].max() < liability[label == "middle"].min()
    assert liability[label == "middle"].max() < liability[label == "high"].min()


def test_a_survival_cohort_has_proportional_hazards_of_the_planted_size():
    made = simulate.cohort(
        seed=3,
        samples=6000,
        variants=60,
        genes=0,
        markers={"additive": 1},
        h2=0.3,
        kind="survival",
        missing=0.0,
    )
    samples, truth = made.cohort.samples, made.truth.iloc[0]
    assert "response" not in samples
    assert (samples["time"] > 0).all()
    assert samples["event"].mean() == pytest.approx(0.5, abs=1e-3)
    dosage = np.asarray(made.cohort.modalities["variants"][:, truth["marker"]].X, float)
    columns = pd.get_dummies(samples[["age", "sex", "site"]], drop_first=True, dtype=float)
    design = np.column_stack([dosage, columns, samples["ancestry"]])
    scale = design.std(axis=0)
    model = cox.fit(samples["time"], samples["event"], design / scale)
    assert model.coefficients[0] / scale[0] == pytest.approx(truth["effect"], rel=0.1)


def test_calls_go_missing_at_the_rate_asked_for():
    made = simulate.cohort(seed=1, samples=200, variants=1000, genes=40, missing=0.05)
    dosage = made.cohort.modalities["variants"].X
    assert dosage.dtype == np.int8
    assert_allclose((dosage == MISSING).mean(), 0.05, atol=0.003)


def test_written_files_read_back_exactly(small, tmp_path):
    paths = simulate.write(small, tmp_path / "new")
    variants = small.cohort.modalities["variants"]
    with pysam.VariantFile(str(paths["variants"])) as file:
        assert list(file.header.samples) == list(variants.obs_names)
        assert list(file.header.contigs) == ["1", "X"]
        records = list(file)
    names = [f"{r.contig}:{r.pos}:{r.ref}:{r.alts[0]}" for r in records]
    assert names == list(variants.var_names)
    assert [r.id for r in records] == list(variants.var["id"])
    read = [[s["GT"] for s in r.samples.values()] for r in records]
    dosage = [[MISSING if None in gt else sum(gt) for gt in row] for row in read]
    assert_array_equal(np.array(dosage).T, variants.X)
    expression = anndata.read_h5ad(paths["expression"])
    assert_array_equal(expression.X, small.cohort.modalities["expression"].X)
    assert expression.X.dtype == np.float32
    samples = pd.read_csv(paths["samples"], sep="\t", index_col=0)
    pd.testing.assert_frame_equal(samples, small.cohort.samples, check_dtype=False)
    truth = pd.read_csv(paths["truth"], sep="\t", dtype={"contig": str}, keep_default_na=False)
    pd.testing.assert_frame_equal(truth, small.truth, check_dtype=False)


def test_a_region_is_found_through_the_index(small, tmp_path):
    path = simulate.write(small, tmp_path)["variants"]
    var = small.cohort.modalities["variants"].var
    inside = var[(var["contig"] == "X") & var["pos"].between(100_001, 400_000)]
    with pysam.TabixFile(str(path)) as file:
        lines = list(file.fetch("X", 100_000, 400_000))
    assert len(inside) > 5
    assert [int(line.split("\t")[1]) for line in lines] == list(inside["pos"])


@pytest.mark.parametrize(
    ("settings", "found", "mend"),
    [
        ({"markers": "mixd"}, "'mixd'", "'mixed'"),
        ({"markers": {"additiv": 2}}, "'additiv'", "'additive'"),
        ({"genes": 0}, "simulate genes: is 0", "at least 8"),
        ({"variants": 3}, "simulate variants: is 3", "at least 10"),
        ({"h2": 1.5}, "simulate h2: is 1.5", "[0, 1)"),
        ({"kind": "ordinal"}, "'ordinal'", "survival"),
        ({"contigs": ["1", "1"]}, "simulate contigs", "distinct"),
    ],
)
def test_a_fault_is_one_line_that_says_how_to_mend_it(settings, found, mend):
    with pytest.raises(InputError) as fault:
        simulate.cohort(seed=0, **settings)
    assert found in str(fault.value)
    assert mend in str(fault.value)
    assert "\n" not in str(fault.value)


def test_a_folder_that_cannot_be_made_is_named(small, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="taken"):
        simulate.write(small, tmp_path / "taken")
