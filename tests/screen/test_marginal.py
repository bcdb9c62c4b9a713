"""The marginal scan against ordinary least squares, and the best features over blocks."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from genodl.screen.channels import WINSOR, Channels, covariate_projection, encode
from genodl.screen.marginal import covered, keep_best, scan, unevenness


def t_statistic(y: np.ndarray, x: np.ndarray, covariates: np.ndarray) -> float:
    """t of the last column in the regression of y on covariates and x, by the textbook."""
    design = np.column_stack([covariates, x])
    inverse = np.linalg.inv(design.T @ design)
    slope = inverse @ design.T @ y
    left = y - design @ slope
    return slope[-1] / np.sqrt(inverse[-1, -1] * (left @ left) / (len(y) - design.shape[1]))


def scanned(channels: Channels, residuals: np.ndarray) -> np.ndarray:
    """z of residuals, whatever samples they cover."""
    return np.asarray(scan(channels, jnp.asarray(residuals, jnp.float32), covered(residuals)))


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Dosages of six markers, covariates with an intercept, and a phenotype."""
    rng = np.random.default_rng(0)
    covariates = np.column_stack([np.ones(250), rng.standard_normal((250, 2))])
    dosage = rng.binomial(2, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], (250, 6)).astype(np.float32)
    y = 0.4 * dosage[:, 2] + covariates @ [1, 2, -1] + rng.standard_normal(250)
    return dosage, covariates, y


def test_the_score_is_the_t_statistic_of_least_squares_on_the_null_variance(drawn):
    dosage, covariates, y = drawn
    basis = covariate_projection(covariates)
    channels = encode(dosage, np.ones(250, np.float32), basis, WINSOR)
    residual = y - basis @ (basis.T @ y)
    z = scanned(channels, residual[:, None])[0, :, 0]
    r2 = z.astype(float) ** 2 / 250
    found = np.sign(z) * np.sqrt(r2 / (1 - r2) * (250 - 4))
    expected = [t_statistic(y, x, covariates) for x in dosage.T]
    assert_allclose(found, expected, rtol=1e-4)


def test_the_second_channel_is_scored_as_any_other_column(drawn):
    dosage, _, y = drawn
    channels = encode(dosage, np.ones(250, np.float32), covariate_projection(np.ones((250, 1))), 4)
    residual = y - y.mean()
    z = scanned(channels, residual[:, None])
    active = np.asarray(channels.active)[1]
    columns = np.asarray(channels.values)[1].T[active]
    expected = [np.corrcoef(c, y)[0, 1] * np.sqrt(250) for c in columns]
    assert_allclose(z[1, active, 0], expected, rtol=1e-4, atol=1e-5)


def test_carriers_of_a_wide_residual_widen_their_marker():
    """A marker carried where residuals vary twice the mean, one carried where half, one unseen."""
    values = np.zeros((2, 6, 3), np.float32)
    values[0, :2, 0], values[0, 2:4, 1], values[0, 4:, 2] = 1.0, 3.0, 1.0
    channels = Channels(values, np.ones((2, 3), bool), np.ones(3, np.float32))
    spread = np.array([[1, 3, 0.5, 0.5, 0, 0], [1, 1, 1, 1, 1, 1]], np.float32).T
    found = unevenness(channels, jnp.asarray(spread))
    assert_allclose(found, [[2, 1], [0.5, 1], [1, 1]], rtol=1e-6)


def test_rows_with_no_residual_do_not_count(drawn):
    dosage, _, y = drawn
    basis = covariate_projection(np.ones((250, 1)))
    channels = encode(dosage, np.ones(250, np.float32), basis, WINSOR)
    seen = np.arange(250) % 3 > 0
    residual = np.where(seen, y - y[seen].mean(), 0)
    z = scanned(channels, residual[:, None])[0, :, 0]
    x = np.asarray(channels.values)[0].astype(float)[seen]
    e = residual[seen]
    expected = x.T @ e / np.sqrt((x**2).sum(0) * (e @ e) / seen.sum())
    assert_allclose(z, expected, rtol=1e-4)


def test_residuals_that_cover_the_same_samples_share_a_pattern(drawn):
    dosage, _, y = drawn
    channels = encode(dosage, np.ones(250, np.float32), covariate_projection(np.ones((250, 1))), 4)
    seen = np.arange(250)[:, None] % 3 > np.array([-1, 0, -1, 0, 1])
    residuals = np.where(seen, y[:, None] * [1, 2, 3, 4, 5] + 0.1, 0)
    over = covered(residuals)
    assert over.samples.shape == (250, 3)
    assert_array_equal(np.asarray(over.samples)[:, over.pattern], seen)
    alone = [scanned(channels, residuals[:, [i]]) for i in range(5)]
    assert_allclose(
        scanned(channels, residuals), np.concatenate(alone, axis=2), rtol=1e-5, atol=1e-5
    )


def test_an_inactive_channel_scores_zero():
    haploid = np.tile([0.0, 1.0], 50).astype(np.float32)[:, None]
    channels = encode(haploid, np.ones(100, np.float32), covariate_projection(np.ones((100, 1))), 4)
    z = scanned(channels, haploid - 0.5)
    assert_allclose(z[0, 0], [10.0], rtol=1e-5)  # r = 1: the square root of the samples
    assert_array_equal(z[1], 0)


def blocks(z: np.ndarray, size: int):
    """(start, scores) of consecutive blocks of markers."""
    return [(s, z[:, s : s + size]) for s in range(0, z.shape[1], size)]


def test_the_best_features_are_numbered_by_channel_and_marker_as_by_hand():
    z = np.zeros((2, 4, 1), np.float32)
    z[0, :, 0] = [1, -5, 2, 0]
    z[1, :, 0] = [0, 3, 0, -4]
    best = keep_best(blocks(z, 2), markers=4, most=3)
    assert_array_equal(best.feature[:, 0], [1, 7, 5])
    assert_array_equal(best.z[:, 0], [-5, -4, 3])


@pytest.mark.parametrize("size", [1, 7, 64, 100, 500])
def test_the_best_features_do_not_depend_on_the_blocks(size: int):
    z = np.random.default_rng(1).standard_normal((2, 100, 5)).astype(np.float32)
    found = keep_best(blocks(z, size), markers=100, most=17)
    flat = z.reshape(200, 5)
    order = np.argsort(-np.abs(flat), axis=0)[:17]
    assert_array_equal(found.feature, order)
    assert_array_equal(found.z, np.take_along_axis(flat, order, axis=0))


@pytest.mark.parametrize("size", [1, 3, 10, 40])
def test_of_features_that_tie_the_first_are_kept_whatever_the_blocks(size: int):
    # markers in perfect LD tie exactly
    z = np.random.default_rng(2).integers(-3, 4, (2, 40, 6)).astype(np.float32)
    found = keep_best(blocks(z, size), markers=40, most=12)
    flat = z.reshape(80, 6)
    order = np.argsort(-np.abs(flat), axis=0, kind="stable")[:12]
    assert_array_equal(found.feature, order)
    assert_array_equal(found.z, np.take_along_axis(flat, order, axis=0))


def test_places_without_a_feature_hold_minus_one():
    z = np.zeros((2, 5, 2), np.float32)
    z[0, 3, 0] = 2.0
    few = keep_best(blocks(z, 2), markers=5, most=4)
    assert_array_equal(few.feature, [[3, -1], [-1, -1], [-1, -1], [-1, -1]])
    more = keep_best(blocks(z, 2), markers=5, most=50)
    assert more.feature.shape == (10, 2)
    assert_array_equal((more.feature >= 0).sum(0), [1, 0])
