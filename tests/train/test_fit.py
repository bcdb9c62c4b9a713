"""The random parts of training, and its configuration."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from genodl.errors import InputError
from genodl.models.network import network, settings_of
from genodl.train.augment import changed
from genodl.train.draw import minibatches, validation_splits
from genodl.train.progress import TrainConfig


def test_members_partition_the_weighted_rows_and_leave_the_others_alone():
    weight = (np.arange(103) % 10 != 0).astype("f4")
    held = validation_splits(weight, members=8, parts=4, seed=(0, 1))
    for group in (held[:4], held[4:]):
        assert ((group > 0).sum(axis=0) == (weight > 0)).all()
    assert set(np.unique(held)) == {0, 1, 2}
    assert (held[:4] != held[4:]).any()


def test_both_halves_of_a_split_are_equal_to_one_row():
    held = validation_splits(np.ones(101, "f4"), members=5, parts=5, seed=(2,))
    first, second = (held == 1).sum(axis=1), (held == 2).sum(axis=1)
    assert (abs(first - second) <= 1).all()
    assert (abs(first + second - 20.2) < 2).all()


def test_a_task_without_weighted_rows_holds_out_none():
    assert not validation_splits(np.zeros(7, "f4"), members=3, parts=2, seed=(0,)).any()


@pytest.mark.parametrize("samples", [1, 7, 100, 900])
def test_minibatches_repeat_no_row_within_a_pass(samples):
    found = minibatches(samples, rounds=6, steps=4, batch=64, seed=(0,))
    batch = max(1, min(64, samples // 4))
    assert found.shape == (6, 4, batch)
    one_pass = found.reshape(-1, batch)[: samples // batch].ravel()
    assert len(set(one_pass)) == len(one_pass)
    assert found.max() < samples


def test_networks_are_equal_when_their_settings_are_equal_by_value():
    one = network("pathway", {"hidden": 3, "membership": np.eye(4)}, 4, 1)
    two = network("pathway", {"membership": np.eye(4), "hidden": 3}, 4, 1)
    assert one == two
    assert hash(one) == hash(two)
    assert one != network("pathway", {"membership": np.ones((4, 4)), "hidden": 3}, 4, 1)
    assert (settings_of(one)["membership"] == np.eye(4)).all()


def test_alleles_are_hidden_and_rows_mixed_as_the_configuration_says():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 400, 30)).astype("f4")
    y = (3 * x[:, :, :1] - x[:, :, 1:2]).astype("f4")
    weight = np.broadcast_to((np.arange(400) % 4 > 0).astype("f4"), (2, 5, 400))
    key = jax.random.key(1)
    same = changed((x, y, weight), key, TrainConfig())
    assert all(a is b for a, b in zip(same, (x, y, weight), strict=True))

    hidden, targets, _ = changed((x, y, weight), key, TrainConfig(masked=0.3))
    gone = np.asarray(hidden) == 0
    assert gone.mean() == pytest.approx(0.3, abs=0.01)
    assert_array_equal(hidden, np.where(gone, 0, x))
    assert targets is y

    mixed, targets, counted = changed((x, y, weight), key, TrainConfig(mixup=0.5))
    # a linear target stays that of its row, and rows that are not trained on stay out
    assert_allclose(targets, 3 * mixed[:, :, :1] - mixed[:, :, 1:2], atol=1e-4)
    assert np.std(mixed) < 0.95 * np.std(x)
    assert not np.asarray(counted)[weight == 0].any()
    assert (np.asarray(counted) > 0).mean() == pytest.approx(0.75**2, abs=0.05)
    alone = np.abs(np.asarray(mixed) - x).max(2) < 1e-6
    assert not alone.all(1).any()


@pytest.mark.parametrize(
    "fault",
    [{"rounds": 0}, {"learning_rate": -1.0}, {"sparsity": (0.1,)}, {"weight_decay": -1.0}],
)
def test_a_setting_out_of_range_is_named(fault):
    with pytest.raises(InputError, match=next(iter(fault))):
        TrainConfig(**fault)
