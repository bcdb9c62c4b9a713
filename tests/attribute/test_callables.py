"""Models of Flax NNX, of Linen and plain functions are attributed alike."""

from __future__ import annotations

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


def test_an_nnx_model_of_sequences_is_complete():
    model = Sequence(nnx.Rngs(1))
    x = np.eye(4, dtype=np.float32)[np.random.default_rng(0).integers(0, 4, (5, 30))]
    found = attribute(lambda z: nnx.clone(model)(z), x[:3], baseline=x[3:], method="deeplift_shap")
    assert found.completeness_error.max() < 1e-5
    assert np.abs(found.values).max() > 1e-3


def test_a_linen_model_is_complete():
    model, x = Linen(), drawn(3, 5, 6)
    params = model.init(jax.random.key(0), jnp.asarray(x))
    found = attribute(lambda z: model.apply(params, z), x, baseline=0.1, method="deeplift")
    assert found.completeness_error.max() < 1e-5
    assert np.abs(found.values).max() > 1e-3
