"""What the covariates leave of a phenotype, cross-fitted, and permuted replicates of it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression

from genodl.screen.layout import Folded, lay_folds
from genodl.screen.residual import permuted, target
from genodl.values import Phenotype

SAMPLES = 203
FOLD = np.random.default_rng(0).permutation(np.arange(SAMPLES) % 5)


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


@pytest.mark.parametrize("kind", ["quantitative", "binary"])
def test_phenotypes_held_out_never_touch_the_prediction_they_are_held_against(
    folded, design, quantitative, binary, kind
):
    phenotype = {"quantitative": quantitative, "binary": binary}[kind]
    laid = folded.lay(design)
    changed = np.where(FOLD == 3, 1 - phenotype.values, phenotype.values)
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
    null = permuted(quantitative, laid, folded, seed=1)
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
    first, again, other = (permuted(quantitative, laid, folded, seed=s).values for s in (1, 1, 2))
    assert_array_equal(first, again)
    assert np.nanmax(np.abs(first - other)) > 0.1
