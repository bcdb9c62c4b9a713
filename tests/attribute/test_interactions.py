"""Pairs of inputs: exact on products, complete, and a refinement of integrated gradients."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from genodl.attribute import attribute, interact
from genodl.attribute.interactions import log_quadrature
from genodl.errors import InputError


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


FIRST, LAST = drawn(6, 5, seed=1), drawn(5, 2, seed=2)


def predict(z):
    return jnp.tanh(z @ FIRST) @ LAST


def test_the_quadrature_integrates_powers_under_the_logarithm_exactly():
    nodes, weights = log_quadrature(8)
    for k in range(16):
        # The integral of -u^k log u is 1 / (k + 1)^2.
        assert_allclose(weights @ nodes**k, 1 / (k + 1) ** 2, rtol=1e-10)


def test_a_product_lies_between_its_two_inputs_alone():
    x = np.array([[2.0, 3.0, 5.0]], np.float32)
    found = interact(lambda z: z[:, 0] * z[:, 1] + 4 * z[:, 2], x, baseline=0.0)
    # Half of 6 comes as each input's own part: the path to a product bends both ways alike.
    pair = found.values[0]
    assert_allclose(pair, pair.T)
    assert_allclose(pair[2], [0, 0, 20], atol=1e-5)
    assert_allclose(pair[:2, :2], [[1.5, 1.5], [1.5, 1.5]], rtol=1e-5)


def test_the_pairs_of_an_input_sum_to_its_integrated_gradient():
    x = drawn(4, 6)
    found = interact(predict, x, baseline=0.2, output=1)
    single = attribute(predict, x, baseline=0.2, output=1, steps=32)
    assert_allclose(found.values.sum(axis=2), single.values, rtol=1e-3, atol=1e-4)
    assert found.completeness_error.max() < 1e-4


def test_chosen_inputs_have_the_values_they_have_among_all():
    x = drawn(4, 6)
    whole = interact(predict, x, baseline=0.0, output=1)
    some = interact(predict, x, baseline=0.0, output=1, inputs=np.array([4, 1]))
    assert_allclose(some.values, whole.values[:, [4, 1]][:, :, [4, 1]], rtol=1e-4, atol=1e-6)
    assert np.isnan(some.completeness_error).all()


def test_additive_models_have_no_interactions():
    found = interact(lambda z: jnp.tanh(z).sum(axis=1), drawn(3, 5), baseline=0.0)
    off = found.values * (1 - np.eye(5))
    assert np.abs(off).max() < 1e-6
    assert np.abs(found.values).max() > 0.1


def test_one_of_several_outputs_must_be_chosen():
    with pytest.raises(InputError, match="2 outputs"):
        interact(predict, drawn(2, 6), baseline=0.0)
    with pytest.raises(InputError, match="columns 0 to 5"):
        interact(predict, drawn(2, 6), baseline=0.0, output=0, inputs=np.array([7]))
