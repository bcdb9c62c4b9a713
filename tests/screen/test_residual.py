"""What the covariates leave of a phenotype, cross-fitted, and permuted replicates of it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression

from genodl.screen import cox
from genodl.screen.layout import Folded, lay_folds
from genodl.screen.residual import Target, permuted, targets
from genodl.values import Phenotype

SAMPLES = 203
FOLD = np.random.default_rng(0).permutation(np.arange(SAMPLES) % 5)


def target(phenotype: Phenotype, covariates: np.ndarray, folded: Folded) -> Target:
    """The one target of a phenotype without classes."""
    (found,) = targets(phenotype, covariates, folded)
    return found


@pytest.fixture(scope="module")
def folded() -> Folded:
    return lay_folds(FOLD)


@pytest.fixture(scope="module")
def design() -> np.ndarray:
    """An intercept and two covariates, (samples, 3)."""
    rng = np.random.default_rng(1)
    return np.column_stack([np.ones(SAMPLES), rng.standard_normal((SAMPLES, 2))])


@pytest.fixture(scope="module")
def quantitative(design: np.ndarray) -> Phenotype:
    values = design @ [3, 1, -2] + np.random.default_rng(2).standard_normal(SAMPLES)
    values[::17] = np.nan
    return Phenotype("response", "quantitative", values)


@pytest.fixture(scope="module")
def binary(design: np.ndarray) -> Phenotype:
    rng = np.random.default_rng(3)
    values = (design @ [0, 1, -1] + rng.logistic(size=SAMPLES) > 0).astype(float)
    return Phenotype("response", "binary", values, ("0", "1"))


def test_residuals_of_a_quantitative_phenotype_are_those_of_least_squares(
    folded, design, quantitative
):
    found = target(quantitative, folded.lay(design), folded)
    y = quantitative.values
    for k in range(5):
        train = np.isfinite(y) & (k != FOLD)
        slope = np.linalg.lstsq(design[train], y[train], rcond=None)[0]
        expected = np.nan_to_num(y - design @ slope)
        assert_allclose(folded.gather(found.residual[:, k], SAMPLES), expected, atol=1e-5)
    known = np.isfinite(y)
    slope = np.linalg.lstsq(design[known], y[known], rcond=None)[0]
    whole = np.nan_to_num(y - design @ slope)
    assert_allclose(folded.gather(found.marginal, SAMPLES), whole, atol=1e-5)


def test_residuals_of_a_binary_phenotype_are_those_of_logistic_regression(folded, design, binary):
    found = target(binary, folded.lay(design), folded)
    y = binary.values
    for k in range(5):
        model = LogisticRegression(C=100.0, max_iter=500)
        model.fit(design[k != FOLD, 1:], y[k != FOLD])
        expected = y - model.predict_proba(design[:, 1:])[:, 1]
        assert_allclose(folded.gather(found.residual[:, k], SAMPLES), expected, atol=1e-3)


def test_without_covariates_the_residual_is_from_the_mean_of_the_training_folds(folded, binary):
    found = target(binary, folded.lay(np.ones((SAMPLES, 1))), folded)
    y = binary.values
    expected = y - y[FOLD != 2].mean()
    assert_allclose(folded.gather(found.residual[:, 2], SAMPLES), expected, atol=1e-6)


@pytest.fixture(scope="module")
def multiclass(design: np.ndarray) -> Phenotype:
    """Three tested classes and six samples of a rare one; some unknown."""
    rng = np.random.default_rng(4)
    slopes = np.array([[0.5, 0, 0], [1, -1, 0], [-1, 0, 1]])
    values = (design @ slopes.T + rng.gumbel(size=(SAMPLES, 3))).argmax(1).astype(float)
    values[5:11] = 3
    values[::19] = np.nan
    return Phenotype("colour", "multiclass", values, ("a", "b", "c"), ("rare",))


@pytest.fixture(scope="module")
def survival(design: np.ndarray) -> Phenotype:
    """Follow-up rounded to few times, some unknown."""
    rng = np.random.default_rng(5)
    time, end = rng.exponential(np.exp(-design @ [0, 0.7, -0.7])), rng.exponential(2, SAMPLES)
    event, time = (time <= end).astype(float), np.ceil(6 * np.minimum(time, end))
    time[::23] = event[::23] = np.nan
    return Phenotype("time,event", "survival", time, event=event)


def test_residuals_of_classes_are_indicators_less_multinomial_probabilities(
    folded, design, multiclass
):
    found = targets(multiclass, folded.lay(design), folded, family=4)
    assert [(t.label, t.family, t.kind) for t in found] == [
        (label, 4, "multiclass") for label in "abc"
    ]
    y = multiclass.values
    for k in (0, 3):
        train = np.isfinite(y) & (k != FOLD)
        model = LogisticRegression(C=100.0, max_iter=500).fit(design[train, 1:], y[train])
        probability = model.predict_proba(design[:, 1:])
        for c, each in enumerate(found):
            expected = np.where(np.isfinite(y), (y == c) - probability[:, c], 0)
            residual = folded.gather(each.residual[:, k], SAMPLES)
            assert_allclose(residual, expected, atol=1e-3)


def test_residuals_of_all_classes_add_up_to_what_the_rare_ones_lack(folded, design, multiclass):
    marginal = np.sum([t.marginal for t in targets(multiclass, folded.lay(design), folded)], axis=0)
    rare = folded.gather(marginal, SAMPLES)
    # a sample of a tested class keeps the probability of the rare ones, a rare one is all below 0
    tested = np.isfinite(multiclass.values) & (multiclass.values < 3)
    assert (rare[tested] >= 0).all()
    assert (rare[multiclass.values == 3] < 0).all()
    assert_allclose(rare.sum(), 0, atol=0.02)


def test_two_classes_have_the_residuals_of_the_binary_phenotype(folded, design, binary):
    laid = folded.lay(design)
    both = Phenotype("response", "multiclass", binary.values, ("0", "1"))
    control, case = targets(both, laid, folded)
    alone = target(binary, laid, folded)
    assert_allclose(case.residual, alone.residual, atol=1e-5)
    assert_allclose(control.residual, -alone.residual, atol=1e-5)
    assert case.information == pytest.approx(alone.information)


def test_a_class_that_a_training_fold_lacks_has_no_probability_there(folded, design):
    values = np.arange(SAMPLES) % 2.0
    values[FOLD == 1] = 2
    found = targets(
        Phenotype("x", "multiclass", values, ("a", "b", "c")), folded.lay(design), folded
    )
    residual = folded.gather(found[2].residual[:, 1], SAMPLES)
    assert_array_equal(residual, values == 2)


def test_residuals_of_survival_are_martingales_of_the_training_hazard(folded, design, survival):
    found = target(survival, folded.lay(design), folded)
    time, event = survival.values, survival.event
    known = np.isfinite(time)
    for k in (1, 4):
        train = known & (k != FOLD)
        model = cox.fit(time[train], event[train], design[train, 1:], ridge=0.01)
        log_hazard = cox.log_hazard(model, design[:, 1:])
        expected = event - np.exp(log_hazard) * cox.cumulative_hazard(model, time, event)
        residual = folded.gather(found.residual[:, k], SAMPLES)
        assert_allclose(residual, np.where(known, expected, 0), atol=1e-5)
        kept = folded.gather(found.survival.log_hazard[:, k], SAMPLES)
        assert_allclose(kept, log_hazard, atol=1e-8)
    assert_allclose(found.marginal.sum(), 0, atol=1e-3)
    assert found.information == pytest.approx(np.nansum(event) / known.sum(), abs=1e-6)


def test_information_is_the_curvature_of_the_log_likelihood(folded, design, quantitative, binary):
    none = folded.lay(np.ones((SAMPLES, 1)))
    share = binary.values.mean()
    assert target(binary, none, folded).information == pytest.approx(share * (1 - share))
    assert target(quantitative, none, folded).information == 1


@pytest.mark.parametrize("kind", ["quantitative", "binary", "survival"])
def test_phenotypes_held_out_never_touch_the_prediction_they_are_held_against(
    folded, design, quantitative, binary, survival, kind
):
    phenotype = {"quantitative": quantitative, "binary": binary, "survival": survival}[kind]
    laid = folded.lay(design)
    held = FOLD == 3
    if kind == "survival":
        # what is expected hangs on the follow-up, so the event alone is turned
        values, event = phenotype.values, np.where(held, 1 - phenotype.event, phenotype.event)
        second = target(Phenotype("response", kind, values, event=event), laid, folded)
        first = target(phenotype, laid, folded)
        for one in (first, second):
            assert_allclose(one.survival.log_hazard[:, 3], first.survival.log_hazard[:, 3])
        assert np.abs(first.survival.log_hazard[:, 1] - second.survival.log_hazard[:, 1]).max() > 0
        return
    changed = np.where(held, 1 - phenotype.values, phenotype.values)
    first = target(phenotype, laid, folded)
    second = target(Phenotype("response", kind, changed), laid, folded)
    predicted = [t.values - t.residual[:, 3].astype(float) for t in (first, second)]
    assert_allclose(predicted[0], predicted[1], atol=1e-5)
    # the other folds learn from it
    others = [t.values - t.residual[:, 1].astype(float) for t in (first, second)]
    assert np.nanmax(np.abs(others[0] - others[1])) > 0.01


def test_unknown_phenotypes_have_no_residual(folded, design, quantitative):
    found = target(quantitative, folded.lay(design), folded)
    unknown = np.isnan(folded.lay_with_nan(quantitative.values))
    assert_array_equal(found.known, ~unknown)
    assert_array_equal(found.residual[unknown], 0)
    assert_array_equal(found.marginal[unknown], 0)


def test_a_replicate_keeps_the_effect_of_the_covariates_and_the_residuals(
    folded, design, quantitative
):
    laid = folded.lay(design)
    (null,) = permuted(quantitative, laid, folded, seed=1)
    real = target(quantitative, laid, folded)
    assert null.null
    assert null.kind == "quantitative"
    assert_array_equal(null.known, real.known)
    known = real.known
    expected = real.values[known] - real.marginal[known]
    shuffled = null.values[known] - expected
    assert_allclose(np.sort(shuffled), np.sort(real.marginal[known]), atol=1e-5)
    assert abs(np.corrcoef(shuffled, real.marginal[known])[0, 1]) < 0.2
    assert np.corrcoef(expected, null.values[known])[0, 1] > 0.8


def test_a_replicate_is_told_by_its_seed(folded, design, quantitative):
    laid = folded.lay(design)
    first, again, other = (
        permuted(quantitative, laid, folded, seed=s)[0].values for s in (1, 1, 2)
    )
    assert_array_equal(first, again)
    assert np.nanmax(np.abs(first - other)) > 0.1


def test_residuals_of_the_classes_of_a_sample_change_owners_together(folded, design, multiclass):
    laid = folded.lay(np.ones((SAMPLES, 1)))
    null = permuted(multiclass, laid, folded, seed=1, family=7)
    real = targets(multiclass, laid, folded)
    assert [(t.label, t.family, t.null) for t in null] == [(label, 7, True) for label in "abc"]
    known = real[0].known
    rows = [np.stack([t.marginal[known] for t in each], axis=1) for each in (real, null)]
    before, after = (np.unique(np.round(r, 4), axis=0, return_counts=True) for r in rows)
    assert_allclose(before[0], after[0], atol=1e-3)
    assert_array_equal(before[1], after[1])


def test_a_replicate_of_survival_is_its_martingale_residuals_in_another_order(
    folded, design, survival
):
    laid = folded.lay(design)
    (null,) = permuted(survival, laid, folded, seed=1)
    real = target(survival, laid, folded)
    known = real.known
    expected = real.values[known] - real.marginal[known]
    assert null.kind == "quantitative"
    assert null.survival is None
    shuffled = null.values[known] - expected
    assert_allclose(np.sort(shuffled), np.sort(real.marginal[known]), atol=1e-5)


def test_residuals_stay_within_their_strata():
    values = np.arange(40.0)
    folded = lay_folds(np.arange(40) % 4)
    ones = folded.lay(np.ones((40, 1)))
    strata = folded.lay(np.repeat([0, 1], 20))
    (null,) = permuted(Phenotype("y", "quantitative", values), ones, folded, seed=1, strata=strata)
    moved = folded.gather(null.values, 40)
    assert_allclose(np.sort(moved[:20]), values[:20])
    assert_allclose(np.sort(moved[20:]), values[20:])
    assert not np.array_equal(moved, values)


def test_the_spread_foretells_the_variance_of_the_residuals(folded):
    # where the covariate says few events, residuals are small, in cases and in follow-up alike
    rng = np.random.default_rng(8)
    x = rng.standard_normal(SAMPLES * 20)
    laid = lay_folds(np.arange(len(x)) % 5)
    design = laid.lay(np.column_stack([np.ones(len(x)), x]))
    time, end = rng.exponential(np.exp(-x - 1)), rng.exponential(0.2, len(x))
    case = (x - 2 + rng.logistic(size=len(x)) > 0).astype(float)
    seen = (time <= end).astype(float)
    for phenotype in (
        Phenotype("case", "binary", case, ("0", "1")),
        Phenotype("time,event", "survival", np.minimum(time, end), event=seen),
        Phenotype("dose", "quantitative", x + rng.standard_normal(len(x))),
    ):
        found = target(phenotype, design, laid)
        known = found.known
        assert found.spread[known].mean() == pytest.approx(1, abs=0.01)
        square = (found.marginal[known] ** 2) / (found.marginal[known] ** 2).mean()
        order = np.argsort(design[known, 1])
        for part in np.array_split(order, 4):
            error = square[part].std() / np.sqrt(len(part))
            assert abs(found.spread[known][part].mean() - square[part].mean()) < 4 * error
