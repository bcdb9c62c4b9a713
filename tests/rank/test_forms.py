"""Quadratic forms against exact laws, permutations and each other."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from genodl.rank.forms import Basis, basis, form, log_mixture_tail, log_tail, products


def centred(rng, samples, columns):
    x = rng.standard_normal((samples, columns)) @ rng.standard_normal((columns, columns))
    return (x - x.mean(0)).astype(np.float32)


@pytest.mark.parametrize("degrees", [1, 2, 5, 40])
def test_equal_weights_give_the_chi_squared_law(degrees):
    value = stats.chi2.isf([0.5, 0.05, 1e-3, 1e-8, 1e-40], degrees)
    found = log_mixture_tail(value, np.ones((5, degrees)))
    assert_allclose(found, stats.chi2.logsf(value, degrees), rtol=0.05)


@pytest.mark.parametrize(
    "law", [[1, 0.05], [1, 0.3, 0.1], [1, 0.01, 0.01], list(np.geomspace(1, 0.01, 30))]
)
def test_the_tail_of_a_mixture_agrees_with_draws(law):
    rng = np.random.default_rng(0)
    drawn = np.zeros(400_000)
    for weight in law:
        drawn += weight * rng.standard_normal(len(drawn)) ** 2
    levels = np.array([0.9, 0.5, 0.05, 0.01, 1e-3])
    value = np.quantile(drawn, 1 - levels)
    found = np.exp(log_mixture_tail(value, np.tile(law, (len(levels), 1))))
    assert (np.abs(found / levels - 1) < [0.02, 0.03, 0.06, 0.08, 0.15]).all()


def test_a_form_has_the_p_value_of_permutations():
    rng = np.random.default_rng(2)
    x = centred(rng, 300, 5)
    directions = basis(x, present=300)
    residual = rng.standard_normal(300) + 0.06 * x[:, 0] / x[:, 0].std()
    residual -= residual.mean()
    found = form(directions.values, directions.weight, residual, float(residual.var()), few=np.inf)
    shuffled = np.stack([rng.permutation(residual) for _ in range(20_000)], axis=1)
    slow = directions.weight @ (directions.values.T @ shuffled) ** 2
    assert_allclose(np.exp(log_tail([found])[0]), (slow >= found.value).mean(), rtol=0.12)


def test_without_strength_the_form_is_the_variance_component_score():
    x = centred(np.random.default_rng(3), 100, 4)
    directions = basis(x, present=100, strength=0.0)
    residual = np.random.default_rng(4).standard_normal(100)
    found = form(directions.values, directions.weight, residual, 1.0, few=np.inf).value
    kernel = x @ x.T / np.trace(x.T @ x / 100)
    assert_allclose(found, residual @ kernel @ residual, rtol=1e-4)


def test_weights_rise_with_the_variance_of_a_direction_and_level_off():
    weight = basis(centred(np.random.default_rng(5), 200, 6), present=200).weight
    assert (np.diff(weight) < 0).all()
    assert weight.max() < 1 / 20


def test_products_are_free_of_the_markers_and_the_covariates():
    rng = np.random.default_rng(6)
    covariates = np.linalg.qr(np.column_stack([np.ones(200), rng.standard_normal(200)]))[0]
    x = centred(rng, 200, 4)
    x = (x - covariates @ (covariates.T @ x)).astype(np.float32)
    linear = basis(x, present=200)
    bent = products(linear, covariates.astype(np.float32), np.ones(200, np.float32))
    assert bent.shape == (200, 10)
    assert np.abs(linear.values.T @ bent).max() < 1e-2
    assert np.abs(covariates.T @ bent).max() < 1e-3


def test_products_span_those_of_the_markers_whatever_the_directions():
    rng = np.random.default_rng(7)
    x = rng.uniform(-1, 1, (400, 3)).astype(np.float32)
    x -= x.mean(0)
    ones = np.full((400, 1), 0.05, np.float32)
    bent = products(basis(x, present=400), ones, np.ones(400, np.float32))
    wanted = x[:, 0] * x[:, 1]
    given = np.column_stack([np.ones(400), x])
    wanted = wanted - given @ np.linalg.lstsq(given, wanted, rcond=None)[0]
    left = wanted - bent @ np.linalg.lstsq(bent, wanted, rcond=None)[0]
    assert np.square(left).sum() < 1e-3 * np.square(wanted).sum()


def test_a_residual_with_long_tails_widens_the_law_of_few_carriers():
    values = np.zeros((400, 1), np.float32)
    values[:4] = 10.0
    rng = np.random.default_rng(8)
    short, long = rng.standard_normal(400), rng.standard_t(3, 400)
    one, other = (
        form(values, np.ones(1), e, float(e.var()), few=np.inf).spread for e in (short, long)
    )
    assert one < 1.2 < other


def test_nothing_to_test_gives_a_p_value_of_one():
    nothing = Basis(np.zeros((50, 3), np.float32), np.ones(3), np.ones(3))
    empty = basis(np.zeros((50, 2), np.float32), present=50)
    residual = np.random.default_rng(9).standard_normal(50)
    for each in (nothing, empty):
        found = form(each.values, each.weight, residual, 1.0, few=1e3)
        assert log_tail([found])[0] == 0.0
