"""Losses, worked by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from genodl.train.loss import LOSSES, cross_entropy, huber, logistic, squared, weighted_mean


def test_squared_error_sums_over_the_outputs():
    assert_allclose(squared(jnp.array([[1.0, 2.0]]), jnp.array([[0.0, 4.0]])), [5.0])


def test_huber_is_squared_near_zero_and_linear_beyond():
    found = huber(jnp.array([[1.0], [3.0]]), jnp.zeros((2, 1)))
    assert_allclose(found, [1.0, 2 * 1.345 * 3 - 1.345**2], rtol=1e-6)


def test_logistic_is_the_negative_log_likelihood():
    probability = 1 / (1 + np.exp(-0.7))
    found = logistic(jnp.array([[0.7], [0.7]]), jnp.array([[1.0], [0.0]]))
    assert_allclose(found, [-np.log(probability), -np.log(1 - probability)], rtol=1e-6)


def test_cross_entropy_of_equal_logits_is_the_log_of_the_classes():
    assert_allclose(cross_entropy(jnp.zeros((1, 4)), jnp.eye(4)[:1]), [np.log(4)], rtol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_stay_finite_far_out(name):
    target = jnp.array([[1.0, 0.0]])
    for size in (-1e4, 0.0, 1e4):
        found = jax.grad(lambda p: LOSSES[name](p, target).sum())(jnp.full((1, 2), size))
        assert bool(jnp.isfinite(found).all())


def test_rows_of_weight_zero_take_no_part_even_when_not_finite():
    values, weight = jnp.array([1.0, 3.0, jnp.nan]), jnp.array([1.0, 3.0, 0.0])
    assert_allclose(weighted_mean(values, weight), 2.5)
    assert_allclose(weighted_mean(values, jnp.zeros(3)), 0.0)
