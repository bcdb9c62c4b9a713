"""Shares of the attribution within a locus, and credible sets."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from genodl.rank.credible import (
    ACTS,
    EFFECT,
    attributed_share,
    credible_set,
    evidence,
    freed,
    log_bayes_factor,
    posterior,
)


def locus(seed: int, *, samples: int = 800, effect: float = 0.3):
    """Standardised channels (3, samples, 6) in LD, and a residual that marker 2 acts on."""
    rng = np.random.default_rng(seed)
    shared = rng.standard_normal((samples, 1))
    x = shared + 0.5 * rng.standard_normal((samples, 6))
    x = (x - x.mean(0)) / x.std(0)
    second = rng.standard_normal((samples, 6))
    second -= second.mean(0)
    y = effect * x[:, 2] + rng.standard_normal(samples)
    return np.stack([x, second, np.zeros_like(x)]), y - y.mean()


def probability(directions, residual):
    found = evidence(directions, residual, freedom=len(residual) - 1)
    return posterior(found.explained, samples=len(residual) - 1)


def test_shares_of_the_attribution_are_those_worked_by_hand():
    assert attributed_share(np.array([6.0, -1.0, 2.0, 0.0])).tolist() == [0.75, 0, 0.25, 0]
    assert attributed_share(np.array([-1.0, 0.0])).tolist() == [0.5, 0.5]


def test_the_credible_set_is_the_fewest_markers_that_reach_the_level():
    share = np.array([0.04, 0.6, 0.01, 0.3, 0.05])
    assert credible_set(share).tolist() == [1, 3, 4]
    assert credible_set(share, level=0.96).tolist() == [1, 3, 4, 0]
    assert credible_set(share, level=0.5).tolist() == [1]
    assert credible_set(np.full(4, 0.25)).tolist() == [0, 1, 2, 3]


def test_the_bayes_factor_is_the_ratio_of_the_two_normal_densities():
    # z has variance 1 without and 1 + samples EFFECT^2 with an effect (Wakefield 2009)
    samples, z = 500, 4.2
    explained = -np.expm1(-(z**2) / samples)
    wide = np.sqrt(1 + samples * EFFECT**2)
    expected = stats.norm.logpdf(z, scale=wide) - stats.norm.logpdf(z)
    found = log_bayes_factor(np.array([explained]), samples=samples)
    assert found[0] == pytest.approx(expected, rel=1e-9)


def test_the_posterior_is_that_worked_out_over_all_ways_to_act():
    explained = np.array([[0.03, 0.01], [0.002, 0.02], [np.nan, np.nan]])
    factor = np.exp(log_bayes_factor(explained[:2], samples=400))
    a, d = ACTS[:2]
    ways = (1 - a + a * factor[0]) * (1 - d + d * factor[1])
    assert_allclose(posterior(explained, samples=400), ways / ways.sum())


def test_the_attributed_covariance_is_the_squared_score_less_its_expectation():
    directions, residual = locus(0)
    found = evidence(directions[:, :, :1] * [[[1]], [[0]], [[0]]], residual, freedom=799)
    x = directions[0, :, 0]
    slope, *_, error = stats.linregress(x, residual)
    expected = slope**2 * (x @ x) - residual @ residual / 799
    assert found.covariance[0] == pytest.approx(expected)
    # explained share r2 and Student's t are one: t^2 = (n - 2) r2 / (1 - r2)
    r2 = found.explained[0, 0]
    assert 798 * r2 / (1 - r2) == pytest.approx((slope / error) ** 2, rel=1e-9)
    assert np.isnan(found.explained[1:, 0]).all()


def test_an_attribution_that_says_what_the_additive_channel_says_counts_once():
    directions, residual = locus(1)
    twice = directions.copy()
    twice[2] = 0.1 * directions[0]
    alone, both = (evidence(d, residual, freedom=799) for d in (directions, twice))
    assert np.isnan(both.explained[2]).all()
    assert_allclose(both.explained[:2], alone.explained[:2])
    # and one that foretells the residual the wrong way round says nothing
    wrong = directions.copy()
    wrong[2] = -np.outer(residual, np.ones(6))
    assert (evidence(wrong, residual, freedom=799).explained[2] == 0).all()


def test_products_with_covariates_share_their_chance():
    explained = np.array([[0.0], [0.0], [0.01], [0.02], [np.nan]]) + np.zeros((1, 2))
    explained[2:4, 1] = 0
    factor = np.exp(log_bayes_factor(explained[2:4], samples=400))
    ways = (1 - ACTS[2] / 2 + ACTS[2] / 2 * factor).prod(0)
    assert_allclose(posterior(explained, samples=400), ways / ways.sum())


def test_shares_do_not_depend_on_scale_sign_or_order():
    directions, residual = locus(2)
    chance = probability(directions, residual)
    share = attributed_share(evidence(directions, residual, freedom=799).covariance)
    assert chance.sum() == pytest.approx(1)
    assert share.sum() == pytest.approx(1)
    factor = np.array([2.0, -1, 0.1, 5, -3, 1])
    assert_allclose(probability(directions * factor, 7 * residual), chance)
    order = np.array([3, 0, 5, 1, 4, 2])
    assert_allclose(probability(directions[:, :, order], residual), chance[order])


def test_twins_share_alike_and_a_column_of_nothing_has_next_to_nothing():
    directions, residual = locus(3)
    directions[:, :, 4] = directions[:, :, 2]
    directions[:, :, 5] = 0
    chance = probability(directions, residual)
    assert chance[2] == pytest.approx(chance[4])
    assert chance[5] < 1e-6


def test_what_is_given_is_taken_out_and_a_copy_of_it_vanishes():
    rng = np.random.default_rng(4)
    basis = np.linalg.qr(rng.standard_normal((60, 3)))[0]
    columns = rng.standard_normal((60, 2))
    columns[:, 1] = basis @ [1.0, 2, 3]
    left = freed(columns, basis)
    assert_allclose(basis.T @ left, 0, atol=1e-12)
    assert left[:, 0].std() > 0.5
    assert (left[:, 1] == 0).all()


def test_credible_sets_hold_the_cause_as_often_as_they_say():
    # 300 loci of markers in such LD that a third of the sets has several members
    held, size = [], []
    for seed in range(300):
        rng = np.random.default_rng([seed, 99])
        x = rng.standard_normal((300, 1)) + 0.3 * rng.standard_normal((300, 12))
        x = (x - x.mean(0)) / x.std(0)
        cause = int(rng.integers(12))
        residual = rng.normal(0, EFFECT) * x[:, cause] + rng.standard_normal(300)
        nothing = np.zeros_like(x)
        chosen = credible_set(probability(np.stack([x, nothing, nothing]), residual))
        held.append(cause in chosen)
        size.append(len(chosen))
    # the prior of the test is that of the method, so coverage is exact but for the ways to act
    assert stats.binomtest(sum(held), len(held), 0.95).pvalue > 0.001
    assert np.mean(size) < 11.5
