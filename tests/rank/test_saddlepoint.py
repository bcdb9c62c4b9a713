"""Tails of scores that few samples carry."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from scipy.optimize import brentq

from genodl.rank.saddlepoint import FEW, LEAST_Z, deviates, empirical_law
from genodl.rank.saddlepoint import log_tail as tail_of_law


def log_tail(x, e, z):
    return tail_of_law(x, empirical_law(e), z)


def carriers(rng, *, samples, carried, markers):
    """Centred 0/1 markers that so many samples carry, (samples, markers)."""
    x = np.zeros((samples, markers))
    for column in x.T:
        column[rng.choice(samples, carried, replace=False)] = 1
    return x - x.mean(0)


def test_a_common_marker_and_a_normal_residual_give_the_normal_tail():
    rng = np.random.default_rng(71)
    x = rng.standard_normal((2000, 4))
    e = stats.norm.ppf((np.arange(2000) + 0.5) / 2000)
    z = np.array([2.0, 2.5, 3.0, 4.0])
    assert_allclose(log_tail(x, e, z), np.log(2 * stats.norm.sf(z)), rtol=0.03)


def test_the_tail_is_that_of_permutations():
    """One marker of eight carriers, an exponential residual, 200,000 shuffles."""
    rng = np.random.default_rng(72)
    e = rng.exponential(size=300)
    e -= e.mean()
    x = carriers(rng, samples=300, carried=8, markers=1)
    drawn = np.array([e[rng.permutation(300)[:8]].sum() for _ in range(200_000)])
    error = np.sqrt((x**2).sum() * e.var())
    for z in (2.2, 3.0, 4.0):
        expected = (np.abs(drawn) >= z * error).mean()
        found = np.exp(log_tail(x, e, np.array([z])))[0]
        assert found == pytest.approx(expected, rel=0.2)


def slow_tail(x, e, z):
    """log of the two-sided p-value by its formulas, each draw's cumulant function written out."""
    e = (e - e.mean()) / e.std()

    def cumulants(x, t):
        power = np.outer(x * t, e)
        weight = np.exp(power)
        weight /= weight.sum(1, keepdims=True)
        first = weight @ e
        k = np.log(np.exp(power).mean(1)).sum()
        return k, x @ first, x**2 @ (weight @ e**2 - first**2)

    def one_side(x):
        t = brentq(lambda t: cumulants(x, t)[1] - z, 1e-3, 60)
        k, _, curvature = cumulants(x, t)
        w, v = np.sqrt(2 * (t * z - k)), t * np.sqrt(curvature)
        return stats.norm.logsf(w + np.log(v / w) / w)

    x = x / np.sqrt(x @ x)
    return np.logaddexp(one_side(x), one_side(-x))


@pytest.mark.parametrize("z", [2.1, 4.0])
@pytest.mark.parametrize("carried", [10, 60])
def test_those_who_do_not_carry_a_marker_may_be_taken_together(carried, z):
    rng = np.random.default_rng([76, carried])
    covariate = rng.standard_normal(500)
    x = carriers(rng, samples=500, carried=carried, markers=1)[:, 0]
    x -= covariate * (covariate @ x) / (covariate @ covariate)
    e = rng.exponential(size=500)
    found = log_tail(x[:, None], e, np.array([z]))[0]
    assert found == pytest.approx(slow_tail(x, e, z), rel=1e-4)


def test_signs_do_not_change_a_two_sided_tail():
    rng = np.random.default_rng(73)
    x = carriers(rng, samples=200, carried=5, markers=6)
    e = rng.standard_t(3, 200)
    z = np.linspace(2, 6, 6)
    assert_allclose(log_tail(x, e, z), log_tail(-x, e, -z), rtol=1e-6)
    assert_allclose(log_tail(x, e, z), log_tail(x, -7 * e, z), rtol=1e-6)


@pytest.mark.parametrize("carried", [4, pytest.param(12, marks=pytest.mark.long)])
def test_a_heavy_tailed_residual_no_longer_makes_rare_markers_significant(carried):
    rng = np.random.default_rng(74 + carried)
    x = carriers(rng, samples=600, carried=carried, markers=150)
    p, plain = [], []
    for _ in range(80):
        e = rng.standard_t(3, 600)
        e -= e.mean()
        z = x.T @ e / np.sqrt((x**2).sum(0) * e.var())
        plain.append(2 * stats.norm.sf(np.abs(z)))
        mended = plain[-1].copy()
        far = np.abs(z) > LEAST_Z
        mended[far] = np.exp(log_tail(x[:, far], e, z[far]))
        p.append(mended)
    # with four carriers a little of the excess stays
    assert (np.concatenate(plain) < 0.001).mean() > 0.003
    assert (np.concatenate(p) < 0.001).mean() < 0.0022
    assert (np.concatenate(p) < 0.01).mean() < 0.0125


def test_a_score_beyond_reach_stays_finite_and_tiny():
    rng = np.random.default_rng(75)
    x = carriers(rng, samples=100, carried=3, markers=1)
    found = log_tail(x, rng.standard_normal(100), np.array([50.0]))
    assert np.isfinite(found).all()
    assert found[0] < np.log(1e-4)


def test_only_scores_that_few_carry_and_that_stand_out_are_replaced():
    rng = np.random.default_rng(76)
    rare = carriers(rng, samples=1000, carried=5, markers=2)
    common = rng.standard_normal((1000, 2))
    channels = np.stack([np.hstack([rare, common]), np.zeros((1000, 4))]).astype(np.float32)
    z = np.zeros((3, 4))
    z[0] = [3.0, 1.0, 3.0, 1.0]
    found = deviates(channels, empirical_law(rng.standard_normal(1000)), z)
    assert np.isfinite(found[0]).tolist() == [True, False, False, False]
    assert np.isnan(found[1:]).all()
    assert found[0, 0] > 0
    assert ((rare**2).sum(0) ** 2 / (rare**4).sum(0) < FEW).all()


def test_more_carriers_are_few_far_out_where_the_residual_is_skewed():
    rng = np.random.default_rng(77)
    x = carriers(rng, samples=1000, carried=250, markers=4)
    assert ((x**2).sum(0) ** 2 / (x**4).sum(0) > FEW).all()
    channels = np.stack([x, np.zeros_like(x)]).astype(np.float32)
    z = np.zeros((3, 4))
    z[0] = [3.5, 2.1, -3.5, -2.1]
    cases = (rng.random(1000) < 0.03) * 1.0
    found = deviates(channels, empirical_law(cases), z)[0]
    assert np.isfinite(found).tolist() == [True, False, True, False]
    # a few cases more make a large score, a few less cannot
    assert found[0] < z[0, 0] - 0.05
    assert np.isnan(deviates(channels, empirical_law(rng.standard_normal(1000)), z)).all()


@pytest.mark.parametrize(
    ("frequency", "gain"), [pytest.param(0.05, 1.0, marks=pytest.mark.long), (0.4, 1.3)]
)
def test_the_heavier_of_marker_and_residual_is_held(frequency, gain):
    """A common marker and a log-normal residual, 200,000 shuffles."""
    rng = np.random.default_rng([79, int(100 * frequency)])
    e = np.exp(rng.standard_normal(400))
    x = rng.binomial(2, frequency, 400).astype(float)
    e, x = e - e.mean(), x - x.mean()
    shuffled = (rng.permuted(np.tile(e[:, None], 2_000), axis=0) for _ in range(100))
    drawn = np.concatenate([x @ each for each in shuffled])
    score = 3.3
    expected = (np.abs(drawn) >= score * np.sqrt((x**2).sum() * e.var())).mean()
    channels = np.stack([x[:, None], np.zeros((400, 1))]).astype(np.float32)
    wald = score / np.sqrt(1 - score**2 / 400)
    found = deviates(channels, empirical_law(e), np.array([[wald], [0], [0]]))[0, 0]
    assert 2 * stats.norm.sf(found) == pytest.approx(expected, rel=0.2)
    # with the residual drawn anew, outliers and all, the tail would be longer
    assert np.exp(log_tail(x[:, None], e, np.array([score])))[0] > gain * expected
