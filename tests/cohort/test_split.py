"""Folds of a cross-fit."""

from __future__ import annotations

import numpy as np
import pytest

from genodl.cohort import folds
from genodl.errors import InputError


@pytest.mark.parametrize(("samples", "k"), [(50, 10), (57, 10), (101, 2), (26, 5)])
def test_sizes_differ_by_one_at_most(samples, k):
    sizes = np.bincount(folds(samples, k=k, seed=0), minlength=k)
    assert sizes.sum() == samples
    assert sizes.max() - sizes.min() <= 1


def test_each_class_is_spread_as_evenly_as_it_can_be():
    strata = np.repeat([0.0, 1.0, 2.0, np.nan], [7, 40, 33, 20])
    fold = folds(100, k=10, seed=3, strata=strata)
    assert np.ptp(np.bincount(fold)) <= 1
    for code in (0, 1, 2):
        assert np.ptp(np.bincount(fold[strata == code], minlength=10)) <= 1


def test_folds_follow_from_the_seed_alone():
    group = np.arange(200) // 2
    for options in ({}, {"strata": np.arange(200) % 3}, {"group": group}):
        one, again = folds(200, k=5, seed=1, **options), folds(200, k=5, seed=1, **options)
        np.testing.assert_array_equal(one, again)
        assert (one != folds(200, k=5, seed=2, **options)).any()


def test_groups_stay_whole_and_folds_stay_balanced():
    random = np.random.default_rng(0)
    group = np.array([f"family {n}" for n in random.integers(0, 120, size=600)], dtype=object)
    group[:30] = None
    strata = (random.random(600) < 0.2).astype(float)
    fold = folds(600, k=10, seed=0, strata=strata, group=group)
    for label in set(group[30:]):
        assert len(set(fold[group == label])) == 1
    assert np.ptp(np.bincount(fold)) <= 6
    assert np.ptp(np.bincount(fold[strata == 1], minlength=10)) <= 4
    assert len(set(fold[:30])) > 3  # samples without a group are dealt one by one


@pytest.mark.parametrize(
    ("samples", "options", "message"),
    [
        (49, {"k": 10}, "49 samples make fewer than 5 a fold in 10 folds; ask for at most 9"),
        (50, {"k": 1}, "ask for at least 2"),
        (40, {"k": 2, "strata": [0] * 36 + [1] * 4}, "class 1 has 4 samples, fewer than 5"),
        (40, {"k": 5, "group": [0, 1, 2, 3] * 10}, "4 groups, fewer than 5 folds"),
        (40, {"k": 3, "group": [0] * 30 + [1] * 8 + [2] * 2}, "leave a fold with 2 samples"),
        (40, {"k": 3, "group": [0, 1]}, "2 group labels for 40 samples"),
    ],
)
def test_too_few_samples_classes_or_groups_are_refused(samples, options, message):
    with pytest.raises(InputError) as fault:
        folds(samples, seed=0, **options)
    assert message in str(fault.value)
