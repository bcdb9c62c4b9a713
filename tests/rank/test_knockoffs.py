"""Group knockoffs and their filter."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from genodl.rank.knockoffs import (
    coefficient_differences,
    equicorrelated,
    gaussian_knockoffs,
    q_values,
    threshold,
)

GROUP = np.repeat(np.arange(6), 3)


def block(rng, *, samples, within=0.8, between=0.3):
    """Eighteen Gaussian markers in six groups, and their covariance."""
    covariance = np.where(GROUP[:, None] == GROUP, within, between) + (1 - within) * np.eye(18)
    x = rng.multivariate_normal(np.zeros(18), covariance, samples)
    return x - x.mean(0), covariance


def test_markers_and_knockoffs_may_be_exchanged():
    """Sigma among the knockoffs, Sigma across groups, Sigma - S within them."""
    rng = np.random.default_rng(51)
    x, covariance = block(rng, samples=60_000)
    made = gaussian_knockoffs(x, GROUP, rng.standard_normal(x.shape))
    apart = equicorrelated(covariance, GROUP)
    assert_allclose(made.T @ made / len(x), covariance, atol=0.03)
    assert_allclose(x.T @ made / len(x), covariance - apart, atol=0.03)


def test_the_joint_covariance_is_positive_and_groups_are_taken_apart():
    _, covariance = block(np.random.default_rng(52), samples=10)
    apart = equicorrelated(covariance, GROUP)
    joint = np.block([[covariance, covariance - apart], [covariance - apart, covariance]])
    assert np.linalg.eigvalsh(joint)[0] > -1e-9
    assert_allclose(apart[GROUP[:, None] != GROUP], 0)
    assert apart[0, 0] > 0.2


def test_unrelated_markers_have_independent_knockoffs():
    assert_allclose(equicorrelated(np.eye(4), np.arange(4)), np.eye(4))


def test_it_agrees_with_knockpy():
    smatrix = pytest.importorskip("knockpy.smatrix", reason="knockpy is in the extra bench")
    _, covariance = block(np.random.default_rng(53), samples=10)
    theirs = smatrix.compute_smatrix(covariance, groups=GROUP + 1, method="equicorrelated")
    assert_allclose(equicorrelated(covariance, GROUP), theirs, atol=2e-2)


def test_the_filter_worked_by_hand():
    w = np.array([5.0, 4.0, 3.0, -2.0, 1.0, 0.0])
    # selecting from 5, 4, 3, 1 on: 1/1, 1/2, 1/3, 2/4
    assert_allclose(q_values(w), [1 / 3, 1 / 3, 1 / 3, 1, 1 / 2, 1])
    assert threshold(w, fdr=0.35) == 3.0
    assert threshold(w, fdr=0.5) == 1.0


def test_an_infinite_threshold_selects_nothing():
    assert threshold(np.array([5.0, 4.0, 3.0, -2.0]), fdr=0.1) == np.inf
    assert threshold(np.array([-5.0, 0.0]), fdr=0.5) == np.inf
    assert_allclose(q_values(np.array([-5.0, 0.0])), 1)
    assert_allclose(q_values(np.zeros(0)), [])


def test_the_false_discovery_rate_holds_and_most_is_found():
    """Fifteen of 60 groups of three act; mean over ten cohorts."""
    proportions, powers = [], []
    for seed in range(540, 550):
        rng = np.random.default_rng(seed)
        parts = [block(rng, samples=600, between=0.1)[0] for _ in range(10)]
        made = [gaussian_knockoffs(x, GROUP, rng.standard_normal(x.shape)) for x in parts]
        x, knockoffs = np.hstack(parts)[:, ::3], np.hstack(made)[:, ::3]
        true = rng.permutation(60) < 15
        y = x[:, true].sum(1) * 0.3 + rng.standard_normal(600)
        w = coefficient_differences(x, knockoffs, y - y.mean(), np.arange(600) % 5)
        found = q_values(w) <= 0.1
        proportions.append((found & ~true).sum() / max(found.sum(), 1))
        powers.append((found & true).sum() / 15)
    assert np.mean(proportions) <= 0.1
    assert np.mean(powers) > 0.5
