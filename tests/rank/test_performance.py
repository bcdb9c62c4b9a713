"""Out-of-fold metrics, their intervals, and what is said of them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import r2_score, roc_auc_score

from genodl.rank.performance import performance

MODELS = ("covariates", "linear", "deep")


def quantitative(noise: tuple[float, ...] = (3.0, 1.0, 0.5)):
    """A phenotype and predictions of it that get better."""
    rng = np.random.default_rng(0)
    y = rng.standard_normal(200)
    spread = dict(zip(MODELS, noise, strict=True))
    return y, {m: y + s * rng.standard_normal(200) for m, s in spread.items()}


def assessed(y, predictions, *, kind="quantitative", gate=0.0, products=False, seed=0):
    return performance(
        y, predictions, kind=kind, gate=np.full(5, gate), products=products, seed=seed
    )


def test_the_metric_of_a_quantitative_phenotype_is_r2():
    y, predictions = quantitative()
    entry = assessed(y, predictions)
    assert (entry["metric"], entry["n"]) == ("r2", 200)
    for m in MODELS:
        assert entry[m]["value"] == pytest.approx(r2_score(y, predictions[m]))


def test_the_metric_of_a_binary_phenotype_is_the_area_under_the_roc_curve():
    y, predictions = quantitative()
    case = (y > 0.5).astype(float)
    entry = assessed(case, predictions, kind="binary")
    assert entry["metric"] == "auc"
    for m in MODELS:
        assert entry[m]["value"] == pytest.approx(roc_auc_score(case, predictions[m]))


def test_the_metric_of_classes_is_the_mean_of_their_aucs():
    rng = np.random.default_rng(2)
    codes = rng.choice(4, 300, p=[0.1, 0.2, 0.3, 0.4])
    member = (codes[:, None] == np.arange(4)).astype(float)
    predictions = {
        m: member + s * rng.standard_normal((300, 4))
        for m, s in zip(MODELS, (3, 2, 1), strict=True)
    }
    entry = assessed(member, predictions, kind="multiclass")
    assert (entry["metric"], entry["n"]) == ("auc_macro", 300)
    for m in MODELS:
        assert entry[m]["value"] == pytest.approx(roc_auc_score(member, predictions[m]))
        assert entry[m]["low"] < entry[m]["value"] < entry[m]["high"]
    assert entry["statement"].split(": ")[1].startswith("out-of-fold macro AUC ")


def test_the_metric_of_survival_is_the_concordance_of_the_log_hazard():
    rng = np.random.default_rng(3)
    risk = rng.standard_normal(300)
    time, end = rng.exponential(np.exp(-risk)), rng.exponential(1, 300)
    observed = np.column_stack([np.minimum(time, end), time <= end]).astype(float)
    predictions = {"covariates": np.zeros(300), "linear": risk, "deep": -risk}
    entry = assessed(observed, predictions, kind="survival")
    assert (entry["metric"], entry["n"]) == ("c_index", 300)
    assert entry["covariates"] == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert entry["linear"]["value"] == pytest.approx(1 - entry["deep"]["value"])
    assert 0.65 < entry["linear"]["low"] < entry["linear"]["value"] < entry["linear"]["high"] < 0.9
    assert "out-of-fold concordance " in entry["statement"]


def test_resamples_of_one_class_are_left_out():
    y = np.r_[1.0, np.zeros(39)]
    predictions = {m: np.linspace(1, 0, 40) for m in MODELS}
    entry = assessed(y, predictions, kind="binary")
    assert entry["deep"] == pytest.approx({"value": 1.0, "low": 1.0, "high": 1.0})


def test_a_perfect_and_a_mean_prediction_are_scored_as_by_hand():
    y = np.arange(20.0)
    mean, exact = np.full(20, y.mean()), y.copy()
    entry = assessed(y, {"covariates": mean, "linear": exact, "deep": exact})
    assert entry["covariates"]["value"] == 0
    assert entry["linear"] == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_the_interval_holds_the_value_and_has_the_width_of_its_sampling_law():
    rng = np.random.default_rng(1)
    values, widths = [], []
    for _ in range(400):
        y = rng.standard_normal(150)
        values.append(r2_score(y, 0.5 * y + 0.5 * rng.standard_normal(150)))
    for seed in range(6):
        y = rng.standard_normal(150)
        same = dict.fromkeys(MODELS, 0.5 * y + 0.5 * rng.standard_normal(150))
        entry = assessed(y, same, seed=seed)["deep"]
        assert entry["low"] <= entry["value"] <= entry["high"]
        widths.append(entry["high"] - entry["low"])
    assert np.mean(widths) == pytest.approx(2 * 1.96 * np.std(values), rel=0.3)


def test_intervals_are_told_by_the_seed():
    first, again, other = (assessed(*quantitative(), seed=s)["deep"] for s in (1, 1, 2))
    assert first == again
    assert first["low"] != other["low"]


@pytest.mark.parametrize(
    ("noise", "gate", "products", "said"),
    [
        ((3.0, 1.0, 0.5), 0.4, False, "the network adds to the linear model"),
        ((3.0, 1.0, 0.5), 0.4, True, "interactions and the network add to the linear model"),
        ((3.0, 1.0, 0.5), 0.0, True, "interactions add to the linear model, the network nothing"),
        ((3.0, 1.0, 0.5), 0.0, False, "the network adds nothing over the linear model"),
        ((3.0, 0.5, 1.0), 0.4, True, "the network adds nothing over the linear model"),
    ],
)
def test_the_statement_says_what_adds(noise, gate, products, said):
    y, predictions = quantitative(noise)
    entry = assessed(y, predictions, gate=gate, products=products)
    assert entry["statement"].startswith(f"{said}: out-of-fold R2 {entry['deep']['value']:.3f}, ")
    assert entry["network_adds"] == ("the network add" in said and "nothing" not in said)
    assert entry["products_add"] == (products and noise[2] < noise[1])
    assert entry["gate"] == pytest.approx(gate)
