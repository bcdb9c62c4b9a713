"""Models of Flax NNX, Linen, Haiku and Equinox and plain functions are attributed alike."""

from __future__ import annotations

import re
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose

from genodl.attribute import attribute
from genodl.errors import InputError


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


class Dense(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(8, 16, rngs=rngs)
        self.norm = nnx.LayerNorm(16, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.last = nnx.Linear(16, 3, rngs=rngs)

    def __call__(self, x):
        return self.last(self.drop(nnx.gelu(self.norm(self.first(x)))))


class Sequence(nnx.Module):
    def __init__(self, rngs):
        self.conv = nnx.Conv(4, 8, (5,), rngs=rngs)
        self.grouped = nnx.Conv(8, 8, (3,), strides=2, feature_group_count=2, rngs=rngs)
        self.norm = nnx.GroupNorm(8, num_groups=2, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(num_heads=2, in_features=8, decode=False, rngs=rngs)
        self.recurrent = nnx.RNN(nnx.GRUCell(8, 6, rngs=rngs))
        self.last = nnx.Linear(6, 1, rngs=rngs)

    def __call__(self, x):
        h = nnx.max_pool(nnx.relu(self.conv(x)), (3,), strides=(2,))
        h = self.norm(nnx.avg_pool(self.grouped(h), (2,), strides=(1,)))
        return self.last(self.recurrent(h + self.attention(h))[:, -1])


class Linen(nn.Module):
    @nn.compact
    def __call__(self, x):
        h = nn.RNN(nn.OptimizedLSTMCell(6))(nn.silu(nn.Dense(4)(x)))
        return nn.Dense(1)(h[:, -1])[:, 0]


def test_an_nnx_model_is_a_callable_like_any_other():
    model = Dense(nnx.Rngs(0))
    model.eval()
    x, background = drawn(5, 8), drawn(4, 8)
    found = attribute(model, x, baseline=background, method="deeplift_shap")
    assert found.values.shape == (5, 8, 3)
    assert found.completeness_error.max() < 1e-5
    plain = attribute(jax.jit(lambda z: model(z)), x, baseline=background, method="deeplift_shap")
    assert_allclose(plain.values, found.values, rtol=1e-4, atol=1e-6)


def test_dropout_in_training_mode_is_an_error_that_says_what_to_do():
    model = Dense(nnx.Rngs(0))
    model.train()
    with pytest.raises(InputError, match=r"model.eval\(\)"):
        attribute(model, drawn(5, 8), baseline=0.0)


@pytest.mark.long
def test_an_nnx_model_of_sequences_is_complete():
    model = Sequence(nnx.Rngs(1))
    x = np.eye(4, dtype=np.float32)[np.random.default_rng(0).integers(0, 4, (5, 30))]
    found = attribute(lambda z: nnx.clone(model)(z), x[:3], baseline=x[3:], method="deeplift_shap")
    assert found.completeness_error.max() < 1e-5
    assert np.abs(found.values).max() > 1e-3


@pytest.mark.long
def test_a_linen_model_is_complete():
    model, x = Linen(), drawn(3, 5, 6)
    params = model.init(jax.random.key(0), jnp.asarray(x))
    found = attribute(lambda z: model.apply(params, z), x, baseline=0.1, method="deeplift")
    assert found.completeness_error.max() < 1e-5
    assert np.abs(found.values).max() > 1e-3


def test_a_haiku_model_is_complete():
    hk = pytest.importorskip("haiku")

    def forward(x):
        h = hk.MaxPool(3, 2, "SAME", channel_axis=-1)(jax.nn.relu(hk.Conv1D(6, 3)(x)))
        h = hk.LayerNorm(-1, create_scale=True, create_offset=True)(h)
        core = hk.LSTM(5)
        every, _ = hk.dynamic_unroll(core, jnp.swapaxes(h, 0, 1), core.initial_state(len(h)))
        return hk.Linear(1)(every[-1])

    model, x = hk.without_apply_rng(hk.transform(forward)), drawn(3, 10, 4)
    params = model.init(jax.random.key(0), jnp.asarray(x))
    found = attribute(lambda z: model.apply(params, z), x, baseline=0.1, method="deeplift")
    assert found.completeness_error.max() < 1e-5
    assert np.abs(found.values).max() > 1e-3


def test_an_equinox_model_is_complete():
    eqx = pytest.importorskip("equinox")
    keys = jax.random.split(jax.random.key(0), 4)
    attention, norm = eqx.nn.MultiheadAttention(2, 4, key=keys[0]), eqx.nn.LayerNorm(4)
    conv, last = eqx.nn.Conv1d(4, 6, 3, key=keys[1]), eqx.nn.MLP(6, 1, 8, 1, key=keys[2])
    pool = eqx.nn.MaxPool1d(3, 2)

    def one(sequence):
        h = jax.vmap(norm)(sequence + attention(sequence, sequence, sequence))
        return last(pool(jax.nn.silu(conv(h.T))).mean(axis=1))

    x = drawn(3, 10, 4)
    found = attribute(jax.vmap(one), x, baseline=0.1, method="deeplift")
    assert found.completeness_error.max() < 1e-5
    assert np.abs(found.values).max() > 1e-3


@pytest.mark.long
def test_the_examples_of_the_readme_run():
    text = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    section = text.split("### Attribute a model of your own")[1].split("\n##")[0]
    genes, ids = [f"gene{i}" for i in range(50)], [f"sample{i}" for i in range(6)]
    known = {"x": drawn(6, 50), "weights": drawn(50) / 7, "residual": drawn(6)}
    known |= {"genes": genes, "ids": ids, "jnp": jnp}
    for code in re.findall(r"```python\n(.*?)```", section, re.DOTALL):
        exec(code, known)
    assert known["found"].completeness_error.max() < 1e-5
    assert known["table"].shape == (6, 50)
    assert known["ranked"].shape == (50,)
    assert known["pairs"].shape == (6, 50, 50)
    assert known["report"].fractions.tolist() == np.linspace(0, 1, 11).tolist()
