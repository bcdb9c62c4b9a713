"""The random parts of training, and its configuration."""

from __future__ import annotations

import numpy as np
import pytest

from genodl.errors import InputError
from genodl.models.network import network, settings_of
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


@pytest.mark.parametrize(
    "fault",
    [{"rounds": 0}, {"learning_rate": -1.0}, {"sparsity": (0.1,)}, {"weight_decay": -1.0}],
)
def test_a_setting_out_of_range_is_named(fault):
    with pytest.raises(InputError, match=next(iter(fault))):
        TrainConfig(**fault)
