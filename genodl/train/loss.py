"""Losses of one sample each, and their weighted mean."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

Loss = Callable[[jax.Array, jax.Array], jax.Array]


def squared(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Squared error summed over the outputs, (batch,).

    `prediction` and `target` are (batch, outputs), in the unit of the phenotype.
    """
    return jnp.square(prediction - target).sum(axis=-1)


def huber(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Twice Huber's loss summed over the outputs, (batch,): squared to 1.345, then linear.

    `prediction` and `target` are (batch, outputs), in standard deviations.
    Source: Huber 1964; the bound of 1.345 keeps 95 % efficiency under normal errors.
    """
    return 2.0 * optax.losses.huber_loss(prediction, target, delta=1.345).sum(axis=-1)


def logistic(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Negative log likelihood of 0/1 targets summed over the outputs, (batch,), in nats.

    `prediction` is (batch, outputs), in logits; `target` is (batch, outputs), in [0, 1].
    """
    return optax.losses.sigmoid_binary_cross_entropy(prediction, target).sum(axis=-1)


def cross_entropy(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Negative log likelihood of the classes, (batch,), in nats.

    `prediction` is (batch, outputs), in logits; `target` is (batch, outputs), one-hot or shares.
    """
    return optax.losses.softmax_cross_entropy(prediction, target)


LOSSES: dict[str, Loss] = {
    "squared": squared,
    "huber": huber,
    "logistic": logistic,
    "cross_entropy": cross_entropy,
}


def weighted_mean(values: jax.Array, weight: jax.Array) -> jax.Array:
    """The mean of `values` under `weight`, both (..., samples); 0 where no sample has weight.

    A row of weight zero takes no part, even where its value is not finite.
    """
    counted = jnp.where(weight > 0, values * weight, 0.0).sum(axis=-1)
    total = weight.sum(axis=-1)
    return counted / jnp.where(total > 0, total, 1.0)
