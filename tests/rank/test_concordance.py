"""Harrell's concordance: by hand, pair by pair, and beside lifelines."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from genodl.rank.concordance import concordance


def simulated(seed: int, samples: int = 60):
    rng = np.random.default_rng(seed)
    time = np.ceil(rng.exponential(6, samples))
    event = (rng.random(samples) < 0.5).astype(float)
    return time, event, np.round(rng.standard_normal(samples) - time / 6, 1)


def pair_by_pair(time, event, risk):
    """The slow plain form."""
    agreeing = comparable = 0.0
    for i, j in permutations(range(len(time)), 2):
        if event[i] and (time[i] < time[j] or (time[i] == time[j] and not event[j])):
            comparable += 1
            agreeing += 1.0 if risk[i] > risk[j] else 0.5 if risk[i] == risk[j] else 0.0
    return agreeing / comparable


def once(time, event, risk):
    return concordance(time, event, risk, np.ones((1, len(time))))[0]


def test_four_samples_are_as_by_hand():
    # pairs 1-2, 1-3, 1-4 and 3-4: the second is censored and is nobody's shorter time
    time, event = np.array([1.0, 2, 3, 4]), np.array([1.0, 0, 1, 0])
    assert once(time, event, np.array([4.0, 3, 2, 1])) == 1
    assert once(time, event, np.array([1.0, 2, 3, 4])) == 0
    assert once(time, event, np.array([2.0, 3, 2, 1])) == pytest.approx(2.5 / 4)


@pytest.mark.parametrize("seed", range(3))
def test_ties_and_censored_times_are_counted_as_pair_by_pair(seed):
    time, event, risk = simulated(seed)
    assert once(time, event, risk) == pytest.approx(pair_by_pair(time, event, risk))


def test_a_resample_counts_as_its_samples_written_out():
    time, event, risk = simulated(5)
    draws = np.random.default_rng(0).integers(60, size=(4, 60))
    counts = np.stack([np.bincount(draw, minlength=60) for draw in draws])
    expected = [pair_by_pair(time[d], event[d], risk[d]) for d in draws]
    assert concordance(time, event, risk, counts) == pytest.approx(expected)


def test_it_agrees_with_lifelines():
    utils = pytest.importorskip("lifelines.utils")
    time, event, risk = simulated(6, samples=400)
    assert once(time, event, risk) == pytest.approx(utils.concordance_index(time, -risk, event))


def test_without_a_comparable_pair_there_is_no_concordance():
    assert np.isnan(once(np.array([1.0, 2]), np.zeros(2), np.zeros(2)))
