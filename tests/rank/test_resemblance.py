"""The variance that relatives and groups add to a score."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose

from genodl.rank.resemblance import Kin, membership, resemblance, shares, variance_ratio


def sibships(count, *, size=4):
    """Full sibs in groups of a family each."""
    block = np.full((size, size), 0.5) - 0.5 * np.eye(size)
    related = scipy.sparse.block_diag([block] * count, format="csr")
    return Kin(related, membership(np.repeat(np.arange(count), size)))


def test_two_sibs_worked_by_hand():
    related = scipy.sparse.csr_matrix([[0, 0.5, 0], [0.5, 0, 0], [0, 0, 0]])
    kin = Kin(related, membership(np.array([0, 0, 1])))
    direction = np.array([[1.0], [2.0], [2.0]])
    assert_allclose(resemblance(direction, kin), [[2 * 0.5 * 2 / 9], [2 * 2 / 9]])


def test_the_variance_is_that_of_the_covariance_matrix():
    rng = np.random.default_rng(81)
    kin, share = sibships(6), np.array([0.4, 0.1])
    member = kin.member.toarray()
    within = member.T @ member - np.eye(24)
    covariance = np.eye(24) + 0.4 * kin.related.toarray() + 0.1 * within
    u = np.abs(rng.standard_normal((24, 5)))
    expected = np.einsum("ij,ik,kj->j", u, covariance, u) / (u**2).sum(0)
    assert_allclose(variance_ratio(share, resemblance(u, kin)), expected, rtol=1e-6)


def test_a_variance_is_never_less_than_that_of_independent_samples():
    kin = sibships(1, size=2)
    assert variance_ratio(np.array([1.0, 0]), resemblance(np.array([[1.0], [-1.0]]), kin)) == [1.0]


@pytest.mark.parametrize(("heritable", "common"), [(0.6, 0.0), (0.0, 0.3)])
def test_the_residual_tells_how_far_it_follows_families(heritable, common):
    rng = np.random.default_rng(82)
    kin = sibships(3000)
    scale = np.sqrt(0.5 * heritable + common)
    e = np.repeat(rng.standard_normal(3000), 4) * scale
    e = e + rng.standard_normal(12000) * np.sqrt(1 - scale**2)
    found = shares(e, np.ones(12000, bool), kin)
    # within sibships relatedness and family are one; together they must give the correlation
    assert 0.5 * found[0] + found[1] == pytest.approx(scale**2, abs=0.03)


def test_independent_residuals_follow_nothing():
    rng = np.random.default_rng(83)
    found = shares(rng.standard_normal(12000), np.ones(12000, bool), sibships(3000))
    assert 0.5 * found[0] + found[1] < 0.03


def test_a_sample_without_a_group_is_alone():
    member = membership(np.array([-1, 0, 1, 1, -1, 2, 2, 2]))
    assert_allclose(member.toarray(), [[0, 0, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1, 1, 1]])
    assert membership(np.array([-1, 0, 1])).nnz == 0


def test_relatives_whose_phenotype_is_unknown_add_nothing():
    """Of each sibship only one is known: the scores are of independent samples."""
    kin, known = sibships(50), np.tile([True, False, False, False], 50)
    e = np.repeat(np.random.default_rng(84).standard_normal(50), 4)
    assert_allclose(shares(e, known, kin), [0, 0])
    half = np.tile([True, True, False, False], 50)
    # a quarter of the pairs is left among half the samples
    whole = shares(e, np.ones(200, bool), kin)
    assert_allclose(shares(e, half, kin).sum(), whole.sum() / 3, rtol=0.2)
