"""False discovery rates and the Cauchy combination, by hand and far into the tail."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from genodl.rank.fdr import benjamini_hochberg, cauchy_combination


def combined(p_values: list[float], weight: list[float] | None = None) -> float:
    """The combination of p-values by the definition, good where none is tiny."""
    statistic = np.average(1 / np.tan(np.pi * np.array(p_values)), weights=weight)
    return float(np.arctan2(1, statistic) / np.pi)


def one_group(log_p: list[float], weight: list[float] | None = None) -> float:
    found = cauchy_combination(
        np.array(log_p),
        np.zeros(len(log_p), int),
        1,
        weight=None if weight is None else np.array(weight),
    )
    return float(found[0])


def test_q_values_are_those_worked_by_hand():
    # sorted .005 .01 .03 .04, times 4 over the rank: .02 .02 .04 .04
    assert_allclose(
        benjamini_hochberg(np.array([0.01, 0.04, 0.03, 0.005])), [0.02, 0.04, 0.04, 0.02]
    )
    assert_allclose(benjamini_hochberg(np.array([0.5, 0.9, 0.02])), [0.75, 0.9, 0.06])
    assert benjamini_hochberg(np.zeros(0)).shape == (0,)


def test_q_values_select_what_the_step_up_procedure_rejects():
    p_values = np.random.default_rng(0).beta(0.3, 1, 200)
    q_values = benjamini_hochberg(p_values)
    for fdr in (0.01, 0.1, 0.3):
        passing = np.flatnonzero(np.sort(p_values) <= fdr * np.arange(1, 201) / 200)
        rejected = passing[-1] + 1 if len(passing) else 0
        assert (q_values <= fdr).sum() == rejected


def test_the_combination_is_the_one_defined():
    assert np.exp(one_group(np.log([0.01, 0.04]))) == pytest.approx(combined([0.01, 0.04]))
    assert np.exp(one_group(np.log([0.5, 0.5]))) == pytest.approx(0.5)
    # cot(pi / 4) = 1 and cot(3 pi / 4) = -1 cancel
    assert np.exp(one_group(np.log([0.25, 0.75]))) == pytest.approx(0.5)


def test_weights_are_relative():
    expected = combined([0.01, 0.2], [3, 1])
    for weight in ([3.0, 1.0], [0.3, 0.1]):
        assert np.exp(one_group(np.log([0.01, 0.2]), weight)) == pytest.approx(expected)


@pytest.mark.parametrize("log_p", [0.0, -0.001, np.log(0.3), -30.0, -5000.0])
def test_a_lone_test_keeps_its_p_value(log_p: float):
    assert one_group([log_p]) == log_p


def test_a_group_without_tests_has_log_one():
    found = cauchy_combination(np.log([0.2, 0.3]), np.array([2, 2]), 4)
    assert_array_equal(found[[0, 1, 3]], 0)
    assert np.exp(found[2]) == pytest.approx(combined([0.2, 0.3]))
    assert_array_equal(cauchy_combination(np.zeros(0), np.zeros(0, int), 2), [0, 0])


@pytest.mark.parametrize("exponent", np.arange(2.0, 15, 0.25))
def test_the_combination_is_exact_where_its_formulas_meet(exponent: float):
    p = 10**-exponent
    # of one small p among m and m - 1 halves, whose cotangents are 0: arctan(m tan(pi p)) / pi
    log_p = np.log([p, 0.5, 0.5])
    expected = np.arctan(3 * np.tan(np.pi * p)) / np.pi
    assert np.exp(one_group(log_p)) == pytest.approx(expected, rel=1e-6)


def test_tails_far_beyond_underflow_are_exact():
    # the smallest p outweighs all: m times it
    assert one_group([-1000.0, -2000.0]) == pytest.approx(np.log(2) - 2000, rel=1e-12)
    assert one_group([-2000.0, -2000.0]) == pytest.approx(-2000, rel=1e-12)
    assert one_group([-1e6, np.log(0.5), 0.0, 0.0]) == pytest.approx(np.log(4) - 1e6, rel=1e-12)
    assert one_group([-900.0, -1.0], [1.0, 4.0]) == pytest.approx(np.log(5) - 900, rel=1e-12)


def test_p_values_of_one_do_not_outweigh_a_signal():
    assert np.exp(one_group([np.log(1e-5), 0.0, 0.0])) < 1e-4
    assert -0.1 < one_group([0.0, 0.0]) <= 0


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.95])
def test_the_combination_of_null_tests_is_uniform_whatever_their_dependence(correlation: float):
    rng = np.random.default_rng(1)
    shared, own = rng.standard_normal((40_000, 1)), rng.standard_normal((40_000, 5))
    z = np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own
    log_p = np.log(2) + stats.norm.logsf(np.abs(z))
    p = np.exp(cauchy_combination(log_p.ravel(), np.repeat(np.arange(40_000), 5), 40_000))
    assert 0.8 < (p < 0.05).mean() / 0.05 < 1.15
    assert 0.8 < (p < 0.01).mean() / 0.01 < 1.15


def test_groups_do_not_see_each_other():
    rng = np.random.default_rng(2)
    log_p, group = np.log(rng.uniform(size=50)), rng.integers(8, size=50)
    found = cauchy_combination(log_p, group, 8)
    for g in range(8):
        assert found[g] == pytest.approx(one_group(log_p[group == g].tolist()))
