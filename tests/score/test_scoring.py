"""Scorers of discoveries: the folds' own predictions, and what new samples are told."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from genodl import score
from genodl.pipeline import collect, genelevel, networks
from genodl.pipeline.discovery import discover
from genodl.pipeline.scoring import scorer as made_of
from genodl.values import MISSING, Cohort

SAMPLES, VARIANTS, GENES = 500, 120, 30
FOLDS = 4
EXACT = 2e-4  # of the spread of a prediction: single precision, in another order


def drawn(seed: int) -> Cohort:
    """Unlinked variants, expression and covariates with gaps, and phenotypes of each kind."""
    rng = np.random.default_rng(seed)
    dosage = rng.binomial(2, rng.uniform(0.2, 0.5, VARIANTS), (SAMPLES, VARIANTS)).astype(np.int8)
    expression = rng.standard_normal((SAMPLES, GENES)).astype(np.float32)
    age, batch = rng.normal(50, 9, SAMPLES), rng.choice(["a", "b", "c"], SAMPLES, p=[0.5, 0.3, 0.2])
    z = (dosage - dosage.mean(0)) / dosage.std(0)
    above = expression[:, 3] > 0.7
    signal = z[:, 0] + 1.3 * z[:, 1] * z[:, 2] + 2.0 * above + 0.05 * (age - 50)
    signal += 0.25 * z[:, 20:80].sum(1) / 2 + 0.8 * (z[:, 5] ** 2 - 1)
    noise = rng.standard_normal(SAMPLES)
    hazard = z[:, 0] + 0.03 * (age - 50)
    time, end = rng.exponential(np.exp(-hazard)), rng.exponential(2, SAMPLES)
    slopes = np.column_stack([z[:, 7], 1.2 * z[:, 8], (batch == "b") * 1.0])
    kind = np.array(["x", "y", "z"])[(1.5 * slopes + rng.gumbel(size=(SAMPLES, 3))).argmax(1)]
    samples = pd.DataFrame(
        {
            "age": age,
            "batch": batch,
            "dose": signal + noise,
            "case": (z[:, 0] + 0.5 * (batch == "b") + rng.logistic(size=SAMPLES) > 0).astype(int),
            "colour": kind,
            "time": np.minimum(time, end),
            "event": (time <= end).astype(int),
        },
        index=[f"s{seed}_{i}" for i in range(SAMPLES)],
    )
    samples.loc[samples.index[:7], "age"] = np.nan
    dosage[rng.random(dosage.shape) < 0.02] = MISSING
    expression[rng.random(expression.shape) < 0.02] = np.nan
    var = pd.DataFrame(
        {"contig": "1", "pos": np.arange(VARIANTS) * 3_000_000 + 1, "ref": "A", "alt": "G"},
        index=[f"1:{i * 3_000_000 + 1}:A:G" for i in range(VARIANTS)],
    )
    genes = pd.DataFrame(index=[f"gene{i}" for i in range(GENES)])
    obs = samples[[]]
    return Cohort(
        {
            "variants": AnnData(dosage, obs=obs.copy(), var=var),
            "expression": AnnData(expression, obs=obs.copy(), var=genes),
        },
        samples,
    )


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return drawn(31)


@pytest.fixture(scope="module")
def learnt(cohort):
    """A discovery whose networks all have a say, and what its scorer was made of."""
    kept = {}

    def noted(*arguments, **settings):
        kept["arguments"] = arguments
        return made_of(*arguments, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collect, "scorer", noted)
        patch.setattr(networks, "gate", lambda *_: 0.5)
        found = discover(
            cohort,
            phenotype=["dose", "case", "colour"],
            survival=("time", "event"),
            covariates=["age", "batch"],
            pcs=2,
            folds=FOLDS,
            members=FOLDS - 1,
            checks=0,
            seed=4,
        )
    return found, kept["arguments"]


@pytest.fixture(scope="module")
def of_folds(learnt, cohort) -> list[pd.DataFrame]:
    """What the scorer of each fold alone predicts."""
    arguments = learnt[1]
    return [score.predict(made_of(*arguments, folds=[fold]), cohort).table for fold in range(FOLDS)]


def test_every_kind_of_term_is_at_work(learnt):
    scorer = learnt[0].scorer
    dose = scorer.outputs[0]
    assert dose.products is not None
    assert dose.networks is not None
    counts = [len(part.marker) for part in scorer.features[:3]]
    assert counts[0] >= VARIANTS  # the background weighs every variant
    assert min(counts[1:]) > 0
    assert scorer.loadings.any(axis=0).all()


def test_a_fold_predicts_what_it_predicted_of_the_samples_it_held_out(learnt, of_folds):
    found = learnt[0]
    for fold, told in enumerate(of_folds):
        held = found.predictions[found.predictions["fold"] == fold + 1]
        on = ["phenotype", "sample", "class"]
        both = held.fillna({"class": ""}).merge(told.fillna({"class": ""}), on=on)
        assert len(both) == len(held)
        for name, rows in both.groupby("phenotype"):
            spread = held.loc[held["phenotype"] == name, "deep"].std()
            assert np.abs(rows["deep"] - rows["prediction"]).max() < EXACT * spread, name
            close = np.abs(rows["covariates_x"] - rows["covariates_y"]).max()
            assert close < EXACT * max(spread, rows["covariates_x"].std()), name


def test_the_scorer_is_the_mean_of_the_folds(learnt, of_folds, cohort):
    each = [told["prediction"] for told in of_folds]
    mean = score.predict(learnt[0].scorer, cohort).table["prediction"]
    assert np.abs(np.mean(each, axis=0) - mean).max() < 1e-4


def test_positions_stay_whole_beside_markers_without_one(learnt, tmp_path):
    score.save(learnt[0].scorer, tmp_path / "scorer")
    for scorer in (learnt[0].scorer, score.restore(tmp_path / "scorer")):
        pos = scorer.markers.groupby("modality")["pos"].first()
        assert isinstance(pos["variants"], int)
        assert (
            scorer.markers["pos"].isna().sum() == (scorer.markers["modality"] != "variants").sum()
        )


@pytest.fixture(scope="module")
def branched(cohort):
    """A discovery whose networks have branches of genes, one of them with many markers."""
    kept = {}

    def noted(*arguments, **settings):
        kept.update(arguments=arguments, settings=settings)
        return made_of(*arguments, **settings)

    million = 1_000_000
    spans = {"a": (1, 8), "b": (9, 30), "wide": (60, 150), "gene3": (400, 401)}
    named = pd.DataFrame(
        [("1", s * million, e * million, g) for g, (s, e) in spans.items()],
        columns=["contig", "start", "end", "gene"],
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collect, "scorer", noted)
        patch.setattr(genelevel, "gate", lambda *_: 0.4)
        found = discover(
            cohort,
            phenotype="dose",
            covariates=["age", "batch"],
            genes=named,
            pcs=2,
            folds=3,
            members=2,
            checks=0,
        )
    return found, kept


@pytest.mark.long
def test_branches_of_genes_predict_what_they_predicted_of_the_samples_held_out(branched, cohort):
    found, kept = branched
    assert found.scorer.directions is not None
    (output,) = found.scorer.outputs
    assert (output.networks.columns >= len(output.weight)).any()
    for fold in range(3):
        one = made_of(*kept["arguments"], **kept["settings"], folds=[fold])
        told = score.predict(one, cohort).table
        held = found.predictions[found.predictions["fold"] == fold + 1]
        both = held.merge(told, on=["phenotype", "sample"])
        assert len(both) == len(held) > 0
        assert np.abs(both["deep"] - both["prediction"]).max() < EXACT * held["deep"].std()


@pytest.mark.long
def test_branches_of_genes_come_back_from_disk(branched, cohort, tmp_path):
    scorer = branched[0].scorer
    score.save(scorer, tmp_path / "scorer")
    before, after = (
        score.predict(s, cohort).table for s in (scorer, score.restore(tmp_path / "scorer"))
    )
    pd.testing.assert_frame_equal(before, after, rtol=0, atol=1e-6)


def test_new_samples_are_foretold_about_as_well_as_those_held_out(learnt):
    new = drawn(77)
    table = score.predict(learnt[0].scorer, new, phenotypes=["dose"]).table
    rows = learnt[0].predictions.query("phenotype == 'dose'")
    held = np.corrcoef(rows["deep"], rows["observed"])[0, 1]
    fresh = np.corrcoef(table["prediction"], new.samples["dose"])[0, 1]
    assert fresh > held - 0.1
    assert fresh > np.corrcoef(table["covariates"], new.samples["dose"])[0, 1] + 0.2


def test_what_is_saved_comes_back(learnt, cohort, tmp_path):
    scorer = learnt[0].scorer
    score.save(scorer, tmp_path / "scorer")
    again = score.restore(tmp_path / "scorer")
    before, after = (score.predict(s, cohort).table for s in (scorer, again))
    pd.testing.assert_frame_equal(before, after, rtol=0, atol=1e-6)
    pd.testing.assert_frame_equal(scorer.markers, again.markers, check_dtype=False)
    assert scorer.columns == again.columns


def test_a_sample_is_scored_alike_alone_and_in_company(learnt, cohort):
    rows = slice(300, 303)
    few = Cohort({n: m[rows].copy() for n, m in cohort.modalities.items()}, cohort.samples[rows])
    alone = score.predict(learnt[0].scorer, few).table.set_index(["phenotype", "sample"])
    every = score.predict(learnt[0].scorer, cohort).table.set_index(["phenotype", "sample"])
    both = every.loc[every.index.isin(alone.index), "prediction"].to_numpy()
    np.testing.assert_allclose(alone["prediction"].to_numpy(), both, atol=1e-5)


def test_swapped_alleles_the_other_strand_and_other_columns_change_nothing(learnt, cohort):
    variants = cohort.modalities["variants"]
    var, dosage = variants.var.copy(), np.asarray(variants.X).copy()
    swapped, strand = slice(0, 40), slice(30, 80)
    var.iloc[swapped, [2, 3]] = ["G", "A"]
    dosage[:, swapped] = np.where(dosage[:, swapped] < 0, MISSING, 2 - dosage[:, swapped])
    for column in ("ref", "alt"):
        place = var.columns.get_loc(column)
        var.iloc[strand, place] = var.iloc[strand, place].map({"A": "T", "G": "C"})
    var["contig"] = "chr1"
    order = np.random.default_rng(0).permutation(VARIANTS)
    other = AnnData(dosage[:, order], obs=variants.obs.copy(), var=var.iloc[order])
    moved = Cohort({**cohort.modalities, "variants": other}, cohort.samples)
    before = score.predict(learnt[0].scorer, cohort)
    after = score.predict(learnt[0].scorer, moved)
    np.testing.assert_allclose(before.table["prediction"], after.table["prediction"], atol=1e-5)
    status = after.matches.query("modality == 'variants'")["status"].value_counts().to_dict()
    assert status == {"same": 40, "swapped": 30, "strand": 40, "strand, swapped": 10}
