"""Classes and survival through the whole of discovery, with planted markers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from sklearn.metrics import roc_auc_score

from genodl.pipeline.discovery import _pairs, discover
from genodl.pipeline.found import Found
from genodl.pipeline.predict import training_share
from genodl.pipeline.tables import MARKERS
from genodl.rank.concordance import concordance
from genodl.screen import cox
from genodl.values import Cohort

SAMPLES, VARIANTS = 700, 240
BETA = {"survival": (0.8, -0.6), "binary": 0.9, "class": 1.3}


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    """Independent variants: 0 and 1 act on survival, 2 on a binary trait, 3 on class c, 4 on a."""
    rng = np.random.default_rng(11)
    maf = rng.uniform(0.15, 0.5, VARIANTS)
    dosage = rng.binomial(2, maf, (SAMPLES, VARIANTS)).astype(np.int8)
    age = rng.standard_normal(SAMPLES)
    var = pd.DataFrame(
        {"contig": "1", "pos": np.arange(VARIANTS) * 5_000_000 + 1, "ref": "A", "alt": "G"},
        index=[f"v{i}" for i in range(VARIANTS)],
    )
    hazard = 0.5 * age + dosage[:, :2] @ BETA["survival"]
    time, end = rng.exponential(np.exp(-hazard)), rng.exponential(0.6, SAMPLES)
    slopes = np.column_stack([BETA["class"] * dosage[:, 4], np.zeros(SAMPLES), 0.3 * age])
    slopes[:, 2] += BETA["class"] * dosage[:, 3]
    colour = np.array(["a", "b", "c"])[(slopes + rng.gumbel(size=(SAMPLES, 3))).argmax(1)]
    logit = BETA["binary"] * (dosage[:, 2] - 1) - 1.5
    samples = pd.DataFrame(
        {
            "age": age,
            "time": np.minimum(time, end),
            "event": (time <= end).astype(int),
            "colour": colour,
            "case": (logit + rng.logistic(size=SAMPLES) > 0).astype(int),
        },
        index=[f"s{i}" for i in range(SAMPLES)],
    )
    samples.loc["s3", "time"] = np.nan
    samples.loc[["s5", "s6"], "colour"] = "rare"
    return Cohort({"variants": AnnData(dosage, obs=samples[[]].copy(), var=var)}, samples)


@pytest.fixture(scope="module")
def found(cohort: Cohort) -> Found:
    return discover(
        cohort,
        phenotype=["colour", "case"],
        survival=("time", "event"),
        covariates=["age"],
        folds=5,
        members=0,
        checks=3,
        pair_markers=0,
    )


def whole_model(cohort: Cohort) -> np.ndarray:
    """Log hazards of age and of the two markers, by a Cox model that knows them."""
    table = cohort.samples.dropna()
    dosage = cohort.modalities["variants"].to_df()[["v0", "v1"]].loc[table.index]
    x = np.column_stack([table["age"], dosage])
    return cox.fit(table["time"].to_numpy(), table["event"].to_numpy(), x).coefficients


def markers_of(found: Found, phenotype: str) -> pd.DataFrame:
    table = found.markers
    return table[table["phenotype"] == phenotype].set_index("marker")


def predictions_of(found: Found, phenotype: str) -> pd.DataFrame:
    return found.predictions[found.predictions["phenotype"] == phenotype]


def test_the_planted_markers_of_each_kind_lead(found):
    for phenotype, planted in (
        ("time,event", {"v0", "v1"}),
        ("colour", {"v3", "v4"}),
        ("case", {"v2"}),
    ):
        rows = markers_of(found, phenotype)
        assert set(rows.index[: len(planted)]) == planted
        assert (rows.loc[list(planted), "q_value"] < 1e-4).all()
        assert (rows["q_value"] < 0.1).sum() <= len(planted) + 1


def test_every_phenotype_has_one_row_a_marker(found):
    counts = found.markers.groupby("phenotype", sort=False)["marker"].agg(["size", "nunique"])
    assert list(counts.index) == ["colour", "case", "time,event"]
    assert (counts.to_numpy() == VARIANTS).all()
    assert list(found.performance) == list(counts.index)
    assert found.run["config"]["phenotypes"] == list(counts.index)


def test_the_class_of_an_effect_is_named_after_the_columns_of_the_contract(found):
    assert list(found.markers.columns) == [*MARKERS, "effect_class", "share", "credible"]
    colours = markers_of(found, "colour")
    assert colours.loc[["v3", "v4"], "effect_class"].tolist() == ["c", "a"]
    assert (colours.loc[["v3", "v4"], "effect"] > 0).all()
    assert markers_of(found, "case")["effect_class"].isna().all()


def test_effects_are_in_log_hazard_and_in_log_odds(found, cohort):
    # one step from zero falls a little short of effects as large as these
    hazard = markers_of(found, "time,event").loc[["v0", "v1"], "effect"]
    assert hazard.to_numpy() == pytest.approx(whole_model(cohort)[1:], rel=0.2)
    odds = markers_of(found, "case").loc["v2", "effect"]
    assert odds == pytest.approx(BETA["binary"], abs=0.25)


def test_concordance_is_that_of_the_log_hazards_out_of_fold(found):
    entry, rows = found.performance["time,event"], predictions_of(found, "time,event")
    assert (entry["kind"], entry["metric"], entry["n"]) == ("survival", "c_index", SAMPLES - 1)
    assert len(rows) == SAMPLES - 1
    assert rows["class"].isna().all()
    columns = rows["observed"].to_numpy(), rows["event"].to_numpy()
    for model in ("covariates", "linear", "deep"):
        risk = rows[model].to_numpy()
        value = concordance(*columns, risk, np.ones((1, len(rows))))[0]
        assert entry[model]["value"] == pytest.approx(value)
    assert entry["linear"]["low"] > entry["covariates"]["value"] > 0.55


def test_the_markers_prediction_is_scaled_to_the_log_hazard(found, cohort):
    rows = predictions_of(found, "time,event").set_index("sample")
    dosage = cohort.modalities["variants"].to_df()[["v0", "v1"]].loc[rows.index]
    added = rows["linear"] - rows["covariates"]
    slope = np.linalg.lstsq(np.column_stack([np.ones(len(rows)), dosage]), added, rcond=None)[0]
    share = slope[1:] / whole_model(cohort)[1:]
    # predictions of unseen samples are shrunk, as they should be
    assert ((share > 0.3) & (share < 1.1)).all()


def test_classes_are_judged_by_their_mean_auc(found, cohort):
    entry, rows = found.performance["colour"], predictions_of(found, "colour")
    assert (entry["kind"], entry["metric"], entry["n"]) == ("multiclass", "auc_macro", SAMPLES)
    assert rows["class"].value_counts().to_dict() == dict.fromkeys("abc", SAMPLES)
    one = rows[rows["class"] == "a"].set_index("sample")
    member = (cohort.samples["colour"] == "a").loc[one.index]
    assert (one["observed"] == member).all()
    areas = []
    for _, each in rows.groupby("class"):
        level = training_share(each["observed"].to_numpy(), each["fold"].to_numpy())
        areas.append(roc_auc_score(each["observed"], each["linear"] - level))
    assert entry["linear"]["value"] == pytest.approx(np.mean(areas))
    assert entry["linear"]["low"] > entry["covariates"]["value"]


def test_a_prediction_without_information_has_an_auc_of_one_half():
    # the share of cases among all others is less where a fold has more of them
    case, fold = np.r_[np.ones(30), np.zeros(70)], np.random.default_rng(0).integers(7, size=100)
    share = training_share(case, fold)
    assert share[fold == 2] == pytest.approx(case[fold != 2].mean())
    assert roc_auc_score(case, share) < 0.45
    assert roc_auc_score(case, share - training_share(case, fold)) == 0.5


def test_survival_is_one_pair_or_several_each_once():
    assert _pairs(("t", "e"), []) == [("t", "e")]
    assert _pairs([("t", "e"), ["u", "e"], ("t", "e")], []) == [("t", "e"), ("u", "e")]
    assert _pairs((), ["response"]) == []


def test_samples_of_rare_classes_are_counted(found):
    (loss,) = [loss for loss in found.run["losses"] if "'rare'" in loss["reason"]]
    assert (loss["what"], loss["count"]) == ("samples", 2)
    assert "kept among the rest of each class" in loss["reason"]


def test_replicates_of_all_kinds_pass_the_self_check(found):
    check = found.calibration["self_check"]
    assert (check["replicates"], check["n_p_values"]) == (3, 3 * VARIANTS)
    assert check["passed"]


def test_the_result_of_all_kinds_is_written_with_its_report(found, tmp_path):
    out = found.write(tmp_path / "out")
    page = (out / "report.html").read_text()
    assert "out-of-fold concordance" in page
    assert "macro AUC" in page
    assert "of class" in page
    assert len(list((out / "figures").glob("*predictions*.png"))) == 3
