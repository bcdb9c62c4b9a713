"""Models over ordered markers, sets and modalities: what each may see, and in which order."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose

from genodl.errors import InputError
from genodl.models import build

CONTIGS = (5, 7)
GRU = pytest.param("gru", marks=pytest.mark.long)  # an lstm with another cell


def moved(name, settings, inputs=12, outputs=1, seed=0):
    """A model whose parameters are all away from where they start."""
    model = build(name, settings, inputs, outputs, seed=seed)
    rng = np.random.default_rng(seed)
    nnx.update(
        model,
        jax.tree.map(
            lambda a: jnp.asarray(np.asarray(a) + 0.2 * rng.standard_normal(a.shape).astype("f4")),
            nnx.state(model, nnx.Param),
        ),
    )
    return model


def compiled(model):
    """The model as one program: op by op it takes long to compile."""
    return jax.jit(lambda x: model(x))


def rows(count, width=12, seed=1):
    return jax.random.normal(jax.random.key(seed), (count, width))


@pytest.mark.parametrize("name", ["cnn", "lstm", GRU])
def test_contigs_do_not_see_each_other(name):
    model, x, y = compiled(moved(name, {"contigs": CONTIGS})), rows(6), rows(6, seed=2)
    first, second = (jnp.arange(12) < 5), (jnp.arange(12) >= 5)
    rows_of = (jnp.where(first, x, y), jnp.where(second, x, y), x, y)
    told = [np.asarray(model(each)) for each in rows_of]
    assert_allclose(told[0] + told[1], told[2] + told[3], rtol=1e-4, atol=1e-5)
    single = compiled(moved(name, {}))
    told = [np.asarray(single(each)) for each in rows_of]
    assert not np.allclose(told[0] + told[1], told[2] + told[3])


@pytest.mark.parametrize("name", ["cnn", "lstm", GRU])
def test_padding_of_the_shorter_contig_has_no_part(name):
    # the same contig beside a longer one, whose markers are all zero gain
    model = moved(name, {"contigs": (5,)}, inputs=5)
    longer = build(name, {"contigs": CONTIGS}, 12, 1, seed=0)
    state, small = nnx.state(longer, nnx.Param), nnx.state(model, nnx.Param)

    def widened(big, little):
        if big.shape == little.shape:
            return little
        padded = np.zeros(big.shape, np.float32)
        padded[tuple(slice(0, n) for n in little.shape)] = little
        return jnp.asarray(padded)

    nnx.update(longer, jax.tree.map(widened, state, small))
    x = rows(4)
    assert_allclose(compiled(longer)(x), compiled(model)(x[:, :5]), rtol=1e-4, atol=1e-5)


def test_a_convolution_by_hand():
    model = build("cnn", {"width": 1, "window": 3, "depth": 1}, 4, 1, seed=0)
    model.conv0.kernel[...] = jnp.asarray([1.0, 2.0, 4.0]).reshape(3, 1)
    model.gain[...] = jnp.ones(4)
    model.read[...] = jnp.asarray([0.0, 1.0, 0.0, 10.0]).reshape(1, 4, 1, 1)
    x = jnp.asarray([[1.0, 0.0, 1.0, 2.0]])
    # before the second marker 1, on it 0, after it 1; on the last 2, before it 1
    expected = jax.nn.gelu(1.0 + 0.0 + 4.0) + 10 * jax.nn.gelu(1.0 + 4.0)
    assert_allclose(compiled(model)(x), [[expected]], rtol=1e-6)


def test_recurrent_cells_see_both_sides():
    for name in ("lstm", "gru"):
        model = moved(name, {}, inputs=3)
        model.read[...] = jnp.zeros_like(model.read[...]).at[:, 1].set(1.0)
        slope = jax.jit(jax.grad(lambda x, m=model: m(x).sum()))(rows(1, 3))
        assert np.abs(slope).min() > 1e-5


def test_the_order_of_a_set_does_not_matter():
    model, x = moved("attention", {}), rows(5)
    order = np.random.default_rng(3).permutation(12)
    turned = moved("attention", {})
    for name in ("gain", "identity"):
        getattr(turned, name)[...] = jnp.asarray(np.asarray(getattr(model, name)[...])[order])
    turned.value[...] = jnp.asarray(np.asarray(model.value[...])[:, order])
    one, other = compiled(model), compiled(turned)
    assert_allclose(other(x[:, order]), one(x), rtol=1e-4, atol=1e-5)
    assert not np.allclose(one(x[:, order]), one(x))


@pytest.mark.parametrize("name", ["cnn", "lstm", GRU, "attention"])
def test_what_was_not_called_is_told_from_what_is_zero(name):
    model = compiled(moved(name, {"missing": True}, inputs=12))
    called = jnp.concatenate([rows(4, 6).at[:, 2].set(0.0), jnp.zeros((4, 6))], axis=1)
    unknown = called.at[:, 6 + 2].set(1.0)
    assert np.abs(np.asarray(model(unknown)) - model(called)).min() > 1e-4
    with pytest.raises(InputError, match="odd number"):
        build(name, {"missing": True}, 11, 1, seed=0)


def test_a_modality_that_was_not_measured_is_not_read():
    model = compiled(moved("fusion", {"modalities": (7, 3), "present": True}))
    known = jnp.asarray([[1.0, 0.0]] * 4)
    x, other = (jnp.concatenate([rows(4, 10, seed=s), known], axis=1) for s in (1, 2))
    without = jnp.concatenate([x[:, :7], other[:, 7:]], axis=1)
    assert_allclose(model(without), model(x), rtol=1e-6)
    assert not np.allclose(model(x.at[:, -1].set(1.0)), model(x))


def test_training_hides_a_modality_as_if_it_were_not_measured():
    settings = {"modalities": (7, 3), "present": True, "absent": 0.5}
    model, key = moved("fusion", settings), jax.random.key(0)
    x = jnp.concatenate([rows(400, 10), jnp.ones((400, 2))], axis=1)
    without_key = compiled(model)
    seen = [
        without_key(x.at[:, -2:].set(jnp.asarray(s))) for s in ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0))
    ]
    found = jax.jit(lambda x, key: model(x, key))(x, key)
    which = np.stack([np.isclose(found, each, rtol=1e-5)[:, 0] for each in seen])
    assert which.any(axis=0).all()
    # of four equally likely draws the empty one falls back to both
    assert_allclose(which.mean(axis=1), [0.5, 0.25, 0.25], atol=0.1)


@pytest.mark.parametrize(
    ("name", "settings", "phrase"),
    [
        ("cnn", {"contigs": (5, 6)}, "contigs hold 11 markers, the inputs 12"),
        ("cnn", {"window": 4}, "window is 4"),
        ("lstm", {"width": 0}, "width is 0"),
        ("attention", {"width": 6, "heads": 4}, "width is 6, heads are 4"),
        ("fusion", {"modalities": (8, 3)}, "modalities make 11 inputs, there are 12"),
        ("fusion", {"absent": 1.0}, "absent is 1.0"),
    ],
)
def test_a_fault_in_the_settings_of_a_sequence_is_named(name, settings, phrase):
    with pytest.raises(InputError) as caught:
        build(name, settings, 12, 1, seed=0)
    assert phrase in str(caught.value)
    assert "\n" not in str(caught.value)


class Squares(nnx.Module):
    def __init__(self, inputs, outputs, *, rngs, power=2):
        self.dense, self.power = nnx.Linear(inputs, outputs, rngs=rngs), power

    def __call__(self, x):
        return self.dense(x**self.power)


def test_a_module_of_the_users_own_is_a_model():
    model = build(Squares, {"power": 3}, 4, 2, seed=0)
    x = rows(3, 4)
    assert_allclose(model(x, jax.random.key(0)), model.module.dense(x**3))
    model.shrink(jnp.asarray(1.0))  # it has none of its own
    assert_allclose(model(x), model.module.dense(x**3))
