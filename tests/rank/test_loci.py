"""Greedy clumps of markers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from genodl.rank.loci import clump


def neighbours(pairs: list[tuple[int, int]], markers: int) -> sparse.csr_matrix:
    """A symmetric LD graph."""
    first, second = np.array(pairs, int).reshape(-1, 2).T
    ends = np.concatenate([first, second]), np.concatenate([second, first])
    return sparse.csr_matrix((np.ones(2 * len(first)), ends), shape=(markers, markers))


def test_the_most_significant_markers_take_their_neighbours():
    near = neighbours([(0, 1), (1, 2), (3, 4)], 6)
    assert_array_equal(clump(np.array([-1.0, -5, -3, -2, -9, -4]), near), [1, 1, 1, 4, 4, 5])


def test_a_locus_does_not_grow_along_a_chain():
    near = neighbours([(0, 1), (1, 2), (2, 3)], 4)
    assert_array_equal(clump(np.array([-4.0, -3, -2, -1]), near), [0, 0, 2, 2])


def test_a_marker_already_taken_is_not_taken_again():
    near = neighbours([(0, 1), (1, 2)], 3)
    assert_array_equal(clump(np.array([-3.0, -1, -2]), near), [0, 0, 2])


def test_ties_go_to_the_earlier_marker():
    near = neighbours([(0, 1), (1, 2)], 3)
    assert_array_equal(clump(np.zeros(3), near), [0, 0, 2])


def test_markers_without_neighbours_are_loci_of_their_own():
    assert_array_equal(clump(np.array([0.0, -3, -1]), neighbours([], 3)), [0, 1, 2])
    assert len(clump(np.zeros(0), neighbours([], 0))) == 0


@pytest.mark.parametrize("seed", range(5))
def test_every_marker_lies_in_one_locus_whose_lead_is_its_neighbour_and_its_best(seed: int):
    rng = np.random.default_rng(seed)
    pairs = [tuple(p) for p in rng.integers(300, size=(500, 2)) if p[0] != p[1]]
    near, log_p = neighbours(pairs, 300), -rng.exponential(size=300)
    lead = clump(log_p, near)
    assert_array_equal(lead[lead], lead)
    linked = near.toarray() > 0
    for marker, own in enumerate(lead):
        assert own == marker or linked[marker, own]
        assert log_p[own] <= log_p[marker]
    leads = np.unique(lead)
    # no two leads are in LD: the better would have taken the other
    assert not linked[np.ix_(leads, leads)].any()
