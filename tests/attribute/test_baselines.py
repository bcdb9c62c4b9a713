"""Baselines: what they keep, and whom they compare with."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from genodl.attribute import baselines
from genodl.errors import InputError


def test_homozygous_reference_is_dosage_zero_standardised():
    found = baselines.homozygous_reference(np.array([0.5, 1.0]), np.array([0.5, 2.0]))
    assert_allclose(found, [[-1.0, -0.5]])


def test_a_variant_without_variance_has_no_standard_unit():
    with pytest.raises(InputError, match="variant 1"):
        baselines.homozygous_reference(np.zeros(2), np.array([1.0, 0.0]))


def test_the_background_takes_the_same_samples_from_every_part():
    x = {"a": np.arange(10.0)[:, None], "b": 2 * np.arange(10.0)[:, None]}
    found = baselines.background(x, size=4, seed=1)
    assert_array_equal(found["b"], 2 * found["a"])
    assert len(np.unique(found["a"])) == 4


def test_controls_come_from_the_stratum_and_are_never_the_sample():
    x = np.arange(12.0)[:, None]
    strata = np.repeat(["north", "south"], 6)
    controls = np.arange(12) % 2 == 0
    found = baselines.matched_controls(x, strata, controls, members=5)[..., 0].astype(int)
    assert found.shape == (12, 5)
    assert controls[found].all()
    assert (strata[found] == strata[:, None]).all()
    assert (found != np.arange(12)[:, None]).all()


def test_a_stratum_without_controls_is_an_error():
    with pytest.raises(InputError, match="'b'"):
        baselines.matched_controls(
            np.ones((3, 1)), np.array(["a", "a", "b"]), np.array([True, True, True]), members=1
        )


def pairs(letters: np.ndarray) -> Counter:
    return Counter(zip(letters[:-1].tolist(), letters[1:].tolist(), strict=True))


def test_shuffles_keep_dinucleotides_and_ends_but_not_the_order():
    letters = np.random.default_rng(0).integers(0, 4, (3, 200))
    found = baselines.dinucleotide_shuffle(np.eye(4)[letters], members=5).argmax(axis=-1)
    for row, shuffles in zip(letters, found, strict=True):
        for shuffled in shuffles:
            assert pairs(shuffled) == pairs(row)
            assert (shuffled[0], shuffled[-1]) == (row[0], row[-1])
            assert (shuffled != row).mean() > 0.3


def test_every_walk_of_a_small_sequence_is_equally_likely():
    letters = np.array([0, 1, 0, 2, 0, 0])
    found = baselines.dinucleotide_shuffle(np.eye(3)[letters][None], members=3000)
    counts = np.array(list(Counter(map(tuple, found[0].argmax(-1).tolist())).values()))
    # The edges 0-0, 0-1-0 and 0-2-0 may come in any of 3! orders.
    assert len(counts) == 6
    assert ((counts - 500) ** 2 / 500).sum() < 20.5


def test_shuffles_of_a_row_do_not_depend_on_the_other_rows():
    onehot = np.eye(4)[np.random.default_rng(0).integers(0, 4, (3, 50))]
    whole = baselines.dinucleotide_shuffle(onehot, members=2)
    assert_array_equal(whole[:1], baselines.dinucleotide_shuffle(onehot[:1], members=2))
