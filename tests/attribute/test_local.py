"""A change within a window gives what the whole program gives, at every site and architecture."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from numpy.testing import assert_allclose

from genodl.attribute import attribute

LENGTH, CHANNELS = 13, 4


def weight(*shape: int) -> np.ndarray:
    drawn = np.random.default_rng(len(shape) + sum(shape)).normal(size=shape)
    return (drawn / np.sqrt(np.prod(shape[:-1]))).astype(np.float32)


def conv(x, width, channels, *, stride=1, padding="SAME", dilation=1):
    return lax.conv_general_dilated(
        *(x, weight(width, x.shape[-1], channels), (stride,), padding),
        rhs_dilation=(dilation,),
        dimension_numbers=("NWC", "WIO", "NWC"),
    )


def pool(x, width, stride, padding="VALID", by=lax.max, start=-jnp.inf):
    return lax.reduce_window(x, start, by, (1, width, 1), (1, stride, 1), padding)


def mean(x):
    return x.mean(axis=1) @ weight(x.shape[-1], 2)


def flat(x):
    return x.reshape(x.shape[0], -1) @ weight(x.shape[1] * x.shape[2], 2)


def residual(x):
    h = conv(x, 3, 4)
    return mean(jax.nn.gelu(h + x) * jax.nn.sigmoid(conv(h, 3, 4)))


NETWORKS = {
    "convolutions and mean": lambda x: mean(jax.nn.relu(conv(jax.nn.relu(conv(x, 5, 6)), 3, 5))),
    "even kernel, flattened": lambda x: flat(jax.nn.silu(conv(x, 4, 6))),
    "no padding": lambda x: mean(jax.nn.relu(conv(x, 5, 6, padding="VALID"))),
    "strides": lambda x: flat(conv(jax.nn.relu(conv(x, 5, 6, stride=2)), 3, 5, stride=3)),
    "strides wider than kernels": lambda x: flat(conv(x, 2, 6, stride=3, padding="VALID")),
    "dilation": lambda x: mean(jnp.tanh(conv(jnp.tanh(conv(x, 3, 6, dilation=2)), 3, 5))),
    "overlapping max-pools": lambda x: flat(pool(pool(conv(x, 5, 6), 3, 2), 2, 1, "SAME")),
    "mean pools": lambda x: flat(jnp.tanh(pool(conv(x, 3, 6), 3, 2, "SAME", lax.add, 0.0))),
    "global maximum": lambda x: conv(x, 5, 6).max(axis=1) @ weight(6, 2),
    "residual and gate": residual,
    "kernel longer than the sequence": lambda x: mean(jnp.tanh(conv(x, 15, 6))),
    "dense layers within and over positions": lambda x: jnp.einsum(
        "nld,ldo->no", jnp.tanh(jnp.einsum("nlc,cd->nld", x, weight(4, 6))), weight(LENGTH, 6, 2)
    ),
    "bias by position": lambda x: mean(jnp.tanh(conv(x, 3, 6) + weight(LENGTH, 6))),
}


LIKE_OTHERS = ("no padding", "mean pools", "strides", "dilation")


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.long] if n in LIKE_OTHERS else []) for n in NETWORKS],
)
def test_every_substitution_is_what_the_whole_program_gives(name):
    predict = NETWORKS[name]
    letters = np.random.default_rng(0).integers(0, CHANNELS, (2, LENGTH))
    x = np.eye(CHANNELS, dtype=np.float32)[letters]
    found = attribute(predict, x, baseline=0.0, method="ism", output=1).values
    sites, bases = np.meshgrid(np.arange(LENGTH), np.arange(CHANNELS), indexing="ij")
    mutants = np.repeat(x[:, None], LENGTH * CHANNELS, axis=1)
    mutants[:, np.arange(LENGTH * CHANNELS), sites.ravel()] = np.eye(CHANNELS)[bases.ravel()]
    flatly = mutants.reshape(-1, LENGTH, CHANNELS)
    answers = jax.jit(predict)(flatly)[:, 1].reshape(2, LENGTH, CHANNELS)
    expected = answers - jax.jit(predict)(x)[:, 1][:, None, None]
    assert np.abs(expected).max() > 1e-2
    assert_allclose(found, expected, rtol=1e-4, atol=2e-6)
