"""A checkpoint comes back whole or is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from genodl.errors import InputError
from genodl.train import TrainConfig, checkpoint, fit_ensemble, predict


@pytest.fixture(scope="module")
def ensemble():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 40, 4)).astype("f4")
    membership = np.array([[1, 0], [1, 0], [0, 1], [1, 1]])
    return fit_ensemble(
        "pathway",
        {"membership": membership, "hidden": 2},
        x,
        x[..., 0],
        np.ones((2, 40)),
        members=2,
        seed=0,
        config=TrainConfig(rounds=2, steps=2),
    )


def test_a_restored_ensemble_predicts_the_same_bits(ensemble, tmp_path):
    x = np.random.default_rng(1).standard_normal((2, 9, 4)).astype("f4")
    checkpoint.save(ensemble, tmp_path / "model", extra={"seed": 0, "markers": ["a", "b"]})
    restored = checkpoint.restore(tmp_path / "model")
    assert_array_equal(predict(restored, x), predict(ensemble, x))
    for name in checkpoint.FIELDS:
        assert_array_equal(getattr(restored, name), getattr(ensemble, name))
    assert restored.network == ensemble.network
    assert checkpoint.extra(tmp_path / "model") == {"seed": 0, "markers": ["a", "b"]}


def test_saving_again_replaces_the_folder_and_leaves_nothing_else(ensemble, tmp_path):
    for number in (1, 2):
        checkpoint.save(ensemble, tmp_path / "model", extra={"number": number})
    assert checkpoint.extra(tmp_path / "model") == {"number": 2}
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_save_that_fails_leaves_the_earlier_checkpoint(ensemble, tmp_path):
    checkpoint.save(ensemble, tmp_path / "model", extra={"number": 1})
    with pytest.raises(TypeError):
        checkpoint.save(ensemble, tmp_path / "model", extra={"number": object()})
    assert checkpoint.extra(tmp_path / "model") == {"number": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def largest_file(folder):
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def cut(folder):
    path = largest_file(folder / "arrays")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(folder):
    path = largest_file(folder / "arrays")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


def remove(folder):
    largest_file(folder / "arrays").unlink()


def edit(folder):
    path = folder / "ensemble.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"flat": False}))


def garble(folder):
    (folder / "ensemble.json").write_text("{")


@pytest.mark.parametrize("damage", [cut, flip, remove, edit, garble])
def test_a_damaged_checkpoint_is_refused(ensemble, tmp_path, damage):
    checkpoint.save(ensemble, tmp_path / "model")
    damage(tmp_path / "model")
    with pytest.raises(InputError, match="damaged"):
        checkpoint.restore(tmp_path / "model")


def test_a_folder_without_a_checkpoint_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no ensemble\.json there"):
        checkpoint.restore(tmp_path)
