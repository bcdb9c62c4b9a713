"""Samples laid out fold by fold, and the inner groups of a training fold."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from genodl.screen.layout import INNER, lay_folds

FOLD = np.array([1, 0, 2, 1, 0, 1, 2])


def test_folds_are_padded_to_one_width_as_by_hand():
    folded = lay_folds(FOLD)
    assert_array_equal(folded.rows, [[1, 4, -1], [0, 3, 5], [2, 6, -1]])
    assert_array_equal(folded.present, [1, 1, 0, 1, 1, 1, 1, 1, 0])
    assert_array_equal(folded.fold, [0, 0, 0, 1, 1, 1, 2, 2, 2])


def test_values_are_laid_with_zero_or_nan_in_the_padding():
    folded = lay_folds(FOLD)
    values = np.arange(10.0, 17.0)
    assert_array_equal(folded.lay(values), [11, 14, 0, 10, 13, 15, 12, 16, 0])
    assert_array_equal(folded.lay_with_nan(values), [11, 14, np.nan, 10, 13, 15, 12, 16, np.nan])


@pytest.mark.parametrize("shape", [(), (3,), (2, 4)])
def test_gathering_undoes_laying(shape: tuple[int, ...]):
    rng = np.random.default_rng(0)
    folded = lay_folds(rng.permutation(np.arange(53) % 6))
    values = rng.standard_normal((53, *shape))
    assert_array_equal(folded.gather(folded.lay(values), 53), values)


def test_laying_leaves_the_values_given_as_they_were():
    values = np.arange(7.0)
    lay_folds(FOLD).lay(values)
    assert_array_equal(values, np.arange(7.0))


@pytest.mark.parametrize("folds", [3, 5, 6, 10, 13])
def test_inner_groups_are_whole_training_folds(folds: int):
    folded = lay_folds(np.arange(4 * folds) % folds)
    for held, inner in enumerate(folded.inner):
        assert_array_equal(inner == -1, folded.fold == held)
        of_fold = [set(inner[folded.fold == k]) for k in range(folds)]
        assert all(len(groups) == 1 for groups in of_fold)


@pytest.mark.parametrize("folds", [3, 5, 6, 10, 13])
def test_inner_groups_are_few_and_of_like_size(folds: int):
    folded = lay_folds(np.arange(4 * folds) % folds)
    for inner in folded.inner:
        size = np.bincount(inner[inner >= 0])
        assert len(size) == min(INNER, folds - 1)
        assert size.max() - size.min() <= 4  # one fold of four samples


def test_of_two_folds_the_inner_groups_are_runs_of_the_training_fold():
    folded = lay_folds(np.repeat([0, 1], 10))
    runs = np.repeat(np.arange(INNER), 2)
    assert_array_equal(folded.inner, [np.r_[np.full(10, -1), runs], np.r_[runs, np.full(10, -1)]])
