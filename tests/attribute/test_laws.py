"""Laws that attributions obey, on random networks and samples."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from genodl.attribute import METHODS, attribute

ROWS, INPUTS, HIDDEN = 4, 6, 5
COMPLETE = ("integrated_gradients", "expected_gradients", "deeplift", "deeplift_shap", "shapley")
SETTINGS = {
    "integrated_gradients": {"steps": 32},
    "expected_gradients": {"steps": 32},
    "smoothgrad": {"draws": 3},
}
quick = settings(max_examples=8, deadline=None, derandomize=True, database=None)


def values(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def tanh_network(seed: int):
    first, last = values(seed, INPUTS, HIDDEN), values(seed + 1, HIDDEN)
    return lambda z: jnp.tanh(z @ first + 0.2) @ last


def shares(method: str, predict, x, baseline) -> np.ndarray:
    start = baseline if METHODS[method].background else baseline[:1]
    return attribute(predict, x, baseline=start, method=method, **SETTINGS.get(method, {})).values


@pytest.mark.parametrize("method", COMPLETE)
@given(seed=st.integers(0, 10**6))
@quick
def test_completeness(method, seed):
    x, b = values(seed + 2, ROWS, INPUTS), values(seed + 3, 3, INPUTS)
    start = b if METHODS[method].background else b[:1]
    found = attribute(
        tanh_network(seed), x, baseline=start, method=method, **SETTINGS.get(method, {})
    )
    assert found.completeness_error.max() < 2e-4
    assert not found.incomplete[np.abs(found.prediction) > 0.1].any()


@pytest.mark.parametrize("method", ["integrated_gradients", "expected_gradients", "shapley"])
@given(seed=st.integers(0, 10**6))
@quick
def test_linearity(method, seed):
    x, b = values(seed + 2, ROWS, INPUTS), values(seed + 3, 3, INPUTS)
    one, two = tanh_network(seed), tanh_network(seed + 10)
    joint = shares(method, lambda z: 2 * one(z) - 3 * two(z), x, b)
    parts = 2 * shares(method, one, x, b) - 3 * shares(method, two, x, b)
    assert_allclose(joint, parts, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "method",
    [pytest.param(m, marks=[] if m == "shapley" else pytest.mark.long) for m in COMPLETE],
)
@given(seed=st.integers(0, 10**6))
@quick
def test_inputs_that_enter_alike_receive_alike(method, seed):
    predict = tanh_network(seed)

    def symmetric(z):
        return predict(z.at[:, :2].set((z[:, :1] + z[:, 1:2]) / 2))

    x, b = values(seed + 2, ROWS, INPUTS), values(seed + 3, 3, INPUTS)
    x[:, 1], b[:, 1] = x[:, 0], b[:, 0]
    found = shares(method, symmetric, x, b)
    assert_allclose(found[:, 0], found[:, 1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"ism"}))
@given(seed=st.integers(0, 10**6))
@quick
def test_an_input_that_is_not_used_receives_nothing(method, seed):
    first, last = values(seed, INPUTS, HIDDEN), values(seed + 1, HIDDEN)
    first[3] = 0
    x, b = values(seed + 2, ROWS, INPUTS), values(seed + 3, 3, INPUTS)
    found = shares(method, lambda z: jnp.tanh(z @ first) @ last, x, b)
    assert np.abs(found[:, 3]).max() < 1e-5
    assert np.abs(found).max() > 1e-3


@given(seed=st.integers(0, 10**6))
@quick
def test_integrated_gradients_see_the_function_not_how_it_is_written(seed):
    first, last = values(seed, INPUTS, HIDDEN), values(seed + 1, HIDDEN)

    def rewritten(z):
        e = jnp.exp(2 * jnp.concatenate([z[:, :3], z[:, 3:]], axis=1) @ first)
        return ((e - 1) / (e + 1)) @ last

    x, b = 0.3 * values(seed + 2, ROWS, INPUTS), 0.3 * values(seed + 3, 1, INPUTS)
    method = "integrated_gradients"
    assert_allclose(
        shares(method, rewritten, x, b),
        shares(method, lambda z: jnp.tanh(z @ first) @ last, x, b),
        *(1e-3, 1e-4),
    )


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"ism"}))
def test_each_row_is_attributed_by_itself(method):
    x, b = values(2, ROWS, INPUTS), values(3, 3, INPUTS)
    predict = tanh_network(0)
    whole = shares(method, predict, x, b)
    changed = x.copy()
    changed[1:] = values(9, ROWS - 1, INPUTS)
    assert_allclose(shares(method, predict, changed, b)[0], whole[0], rtol=1e-5, atol=1e-6)
