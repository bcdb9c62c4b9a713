"""Empirical p-values from permuted phenotypes."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose

from genodl.rank.null import LEAST, classes, empirical


def test_counts_worked_by_hand():
    null = np.log([0.1, 0.2, 0.3, 0.4])
    p = empirical(
        np.log([0.05, 0.2, 0.9]), null, marker_class=np.zeros(3, int), null_class=np.zeros(4, int)
    )
    assert_allclose(p, [1 / 5, 3 / 5, 1])


def test_each_class_has_its_own_law():
    p = empirical(
        np.array([-3.0, -3.0]),
        np.array([-1.0, -2.0, -9.0, -9.0]),
        marker_class=np.array([0, 1]),
        null_class=np.array([0, 0, 1, 1]),
    )
    assert_allclose(p, [1 / 3, 1])


def test_a_wrong_score_becomes_uniform():
    """p-values squared, a gross inflation, in observed and null alike."""
    rng = np.random.default_rng(61)
    none = np.zeros(20_000, int)
    p = empirical(
        2 * np.log(rng.random(20_000)),
        2 * np.log(rng.random(20_000)),
        marker_class=none,
        null_class=none,
    )
    for level in (0.05, 0.01, 0.001):
        assert abs((p < level).mean() - level) < 4 * np.sqrt(2 * level / 20_000)


def test_rare_markers_are_a_class_where_there_are_enough_of_them():
    carriers = np.repeat([5.0, 200.0], [LEAST, LEAST])
    assert_allclose(classes(carriers, replicates=1), np.repeat([0, 1], LEAST))


def test_a_small_class_joins_the_next():
    carriers = np.concatenate([[5.0] * 3, [20.0] * 3, [50.0] * LEAST, [500.0] * 2])
    assert_allclose(classes(carriers, replicates=1), 0)
    assert_allclose(classes(np.array([5.0, 500.0]), replicates=1), 0)
