"""Votes of folds and networks, and the rank correlation of two halves of them."""

from __future__ import annotations

import numpy as np
import pytest

from genodl.rank.stability import rank_correlation, selects, share_selected


def test_a_voter_selects_a_locus_by_any_of_its_columns():
    votes = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0]], bool)
    # two columns of the first locus, the third of both others
    near = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 1]], bool)
    assert share_selected(votes, near).tolist() == [0.75, 0, 0]
    assert share_selected(votes, near[:, :0]).tolist() == []


def test_a_network_selects_what_stands_out_of_its_attributions():
    noise = np.random.default_rng(0).gamma(20, 0.01, (2, 50))
    size = noise.copy()
    size[0, 7], size[1, [3, 9]] = 2.0, 1.0
    found = selects(size)
    assert found[0, 7]
    assert found[1, [3, 9]].all()
    # a sixth of a standard deviation more or less: of noise next to nothing is selected
    assert found.sum() <= 3 + 4
    assert (selects(5 * size) == found).all()
    assert not selects(np.zeros((1, 4))).any()


def test_in_a_sparse_network_more_than_an_equal_share_is_asked_for():
    size = np.array([0, 0, 0, 0, 0, 0.1, 0.2, 3, 4, 0])
    assert np.flatnonzero(selects(size)).tolist() == [7, 8]


def test_the_rank_correlation_of_halves_is_that_worked_by_hand():
    # ranks 1 2 3 4 and 1 2 4 3: 1 - 6 * 2 / (4 * 15)
    halves = np.array([[1.0, 0, 5, 6, 9], [0.1, 0, 0.2, 0.7, 0.4]])
    found = rank_correlation(halves)
    assert found["loci"] == 4
    assert found["correlation"] == pytest.approx(0.8)
    assert rank_correlation(halves[:, ::-1] * 3)["correlation"] == pytest.approx(0.8)


def test_no_correlation_is_told_of_nothing():
    assert rank_correlation(np.zeros((2, 9))) == {"correlation": None, "loci": 0}
    assert rank_correlation(np.array([[1.0, 2], [2, 1]]))["correlation"] is None
    assert rank_correlation(np.array([[1.0, 2, 3], [0, 0, 0]]))["correlation"] is None
