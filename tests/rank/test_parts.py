"""The parts of a gene's test."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from genodl.rank.parts import WEIGHTS, attributed, both, combined, normal_scores, scores
from genodl.rank.saddlepoint import empirical_law


def test_a_score_of_many_carriers_is_the_t_test_of_a_slope():
    rng = np.random.default_rng(0)
    x, e = rng.standard_normal(5_000), rng.standard_normal(5_000)
    x, e = x - x.mean(), e + 0.03 * x
    e -= e.mean()
    found = scores(x[:, None], e, freedom=4_998, law=empirical_law(e))
    assert_allclose(np.exp(found.log_p[0]), stats.linregress(x, e).pvalue, rtol=0.1)


def test_kin_widen_the_error_of_a_score():
    rng = np.random.default_rng(1)
    x, e = rng.standard_normal((500, 2)), rng.standard_normal(500)
    law = empirical_law(e)
    plain = scores(x, e, freedom=499, law=law)
    wide = scores(x, e, freedom=499, law=law, ratio=np.array([1.0, 4.0]))
    assert_allclose(wide.z, plain.z / [1, 2])


def test_a_column_of_zeros_has_a_p_value_of_one():
    e = np.random.default_rng(2).standard_normal(100)
    assert scores(np.zeros((100, 1)), e, freedom=99, law=empirical_law(e)).log_p[0] == 0.0
    assert attributed(np.zeros((100, 1)), e[:, None], freedom=99, dimensions=1).z[0] == 0.0


def test_an_attribution_that_points_the_wrong_way_is_no_evidence():
    rng = np.random.default_rng(3)
    a = rng.standard_normal((1_000, 1))
    e = 0.3 * a + rng.standard_normal((1_000, 1))
    right, wrong = (attributed(sign * a, e, freedom=999, dimensions=1) for sign in (1, -1))
    assert right.log_p[0] < np.log(1e-10)
    assert wrong.log_p[0] > np.log(0.9)
    assert_allclose(wrong.z, -right.z, rtol=1e-6)


@pytest.mark.parametrize("inputs", [1, 5, 20])
def test_a_learner_of_many_inputs_keeps_its_level_under_cross_fitting(inputs):
    rng = np.random.default_rng(inputs)
    samples, replicates, folds = 200, 4_000, 5
    x = rng.standard_normal((samples, inputs))
    e = rng.standard_normal((samples, replicates))
    fold = np.arange(samples) % folds
    attribution = np.empty_like(e)
    for k in range(folds):
        attribution[fold == k] = x[fold == k] @ (x[fold != k].T @ e[fold != k])
    found = attributed(attribution, e, freedom=samples - 1, dimensions=inputs)
    p = np.exp(found.log_p)
    for level, most in ((0.05, 1.2), (0.01, 1.35)):
        assert (p < level).mean() < most * level
    # a normal deviate it is not
    assert inputs < 20 or (found.z > 1.645).mean() > 0.08


def test_the_forms_are_joined_as_independent_tests():
    log_p = np.log([0.01, 0.2])
    found = both(log_p[:1], log_p[1:], np.array([True]))
    assert_allclose(np.exp(found), stats.combine_pvalues([0.01, 0.2], method="fisher").pvalue)
    assert both(log_p[:1], log_p[1:], np.array([False]))[0] == log_p[0]


def test_equal_parts_combine_to_themselves_and_absent_parts_have_no_say():
    parts = np.log(np.full((5, 3), 0.003))
    used = np.ones((5, 3), bool)
    parts[4, 1], used[4, 1] = 0.0, False
    assert_allclose(np.exp(combined(parts, used)), 0.003, rtol=1e-6)
    assert_allclose(sum(WEIGHTS), 1.0)


def test_long_tails_become_normal_scores_in_the_same_order():
    rng = np.random.default_rng(5)
    long = rng.standard_t(2, 500)
    found = normal_scores(long)
    assert (np.argsort(found) == np.argsort(long)).all()
    assert abs(stats.kurtosis(found)) < 0.2
    assert_allclose(found.std(), long.std())


def test_a_normal_residual_and_one_of_two_values_stay_as_they_are():
    normal = np.random.default_rng(6).standard_normal(500)
    rare = (np.arange(500) < 10) - 0.02
    assert normal_scores(normal) is normal
    assert normal_scores(rare) is rare
