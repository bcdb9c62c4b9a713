"""Attributions from the gradient at the input and around it, and what all methods share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from genodl.errors import InputError

Predict = Callable[[Any], jax.Array]


class Batch(NamedTuple):
    """What a method sees: some samples and what each is explained for.

    Attributes
    ----------
    x : pytree of float arrays, (batch, inputs...)
    baseline : the same, (batch or 1, inputs...), or a set, (batch or 1, members, inputs...)
    target : float, (batch, outputs), the weight of each output in what is explained
    rows : int32, (batch,), row of each sample in the whole, from which its random draws come
    """

    x: Any
    baseline: Any
    target: jax.Array
    rows: jax.Array


class Found(NamedTuple):
    """What a method gives that has more to tell than the values.

    Attributes
    ----------
    values : as x
    standard_error : as x, None where nothing is sampled
    baseline_prediction : (batch,), where the method computed it on its way
    """

    values: Any
    standard_error: Any = None
    baseline_prediction: Any = None


def explained(predict: Predict, target: jax.Array) -> Predict:
    """The explained number of each sample, (batch,), from all outputs."""

    def scalar(x: Any) -> jax.Array:
        found = predict(x)
        # An output that is not explained may be infinite without harm.
        return jnp.where(target != 0, found * target, 0).sum(axis=-1)

    return scalar


def gradient(predict: Predict, x: Any) -> Any:
    """Gradient of each row's own output by its input, a pytree shaped as x."""
    return jax.grad(lambda z: predict(z).sum())(x)


def saliency(predict: Predict, batch: Batch) -> Any:
    """Absolute gradient at the input. Source: Simonyan, Vedaldi and Zisserman 2013, section 3."""
    return jax.tree.map(jnp.abs, gradient(explained(predict, batch.target), batch.x))


def input_x_gradient(predict: Predict, batch: Batch) -> Any:
    """Gradient at the input times its distance from the baseline. Source: Shrikumar et al. 2016."""
    slope = gradient(explained(predict, batch.target), batch.x)
    return jax.tree.map(lambda g, x, b: g * (x - b), slope, batch.x, batch.baseline)


def smoothgrad(
    predict: Predict, batch: Batch, *, draws: int = 32, noise: float = 0.1, seed: int = 0
) -> Found:
    """Mean gradient under Gaussian noise on the input, and its standard error.

    Parameters
    ----------
    noise : standard deviation, in the unit of x
    draws : noisy copies of each sample; at least two

    Source
    ------
    Smilkov et al. 2017.
    """
    number = explained(predict, batch.target)
    leaves, tree = jax.tree.flatten(batch.x)

    def one(key: jax.Array, row: jax.Array, leaf: jax.Array) -> jax.Array:
        return leaf + noise * jax.random.normal(
            jax.random.fold_in(key, row), leaf.shape, leaf.dtype
        )

    def draw(carry: Any, key: jax.Array) -> tuple[Any, None]:
        keys = jax.random.split(key, len(leaves))
        noisy = [
            jax.vmap(one, (None, 0, 0))(k, batch.rows, v) for k, v in zip(keys, leaves, strict=True)
        ]
        return moments(carry, gradient(number, jax.tree.unflatten(tree, noisy))), None

    keys = jax.random.split(jax.random.key(seed), draws)
    total, _ = jax.lax.scan(draw, no_moments(batch.x), keys)
    return Found(*mean_and_error(total))


def no_moments(like: Any) -> tuple:
    """The running count, mean and sum of squares before the first draw."""
    zero = jax.tree.map(jnp.zeros_like, like)
    return jnp.zeros((), jax.tree.leaves(like)[0].dtype), zero, zero


def moments(carry: tuple, value: Any) -> tuple:
    """The running moments with one more draw (Welford 1962)."""
    count, mean, square = carry
    count = count + 1
    after = jax.tree.map(lambda m, v: m + (v - m) / count, mean, value)
    square = jax.tree.map(lambda s, v, m, a: s + (v - m) * (v - a), square, value, mean, after)
    return count, after, square


def mean_and_error(carry: tuple) -> tuple[Any, Any]:
    """The mean over draws and its standard error."""
    count, mean, square = carry
    return mean, jax.tree.map(lambda s: jnp.sqrt(s / jnp.maximum(count - 1, 1) / count), square)


def along(values: jax.Array, like: jax.Array) -> jax.Array:
    """(batch,) values with axes to be spread over those of another array."""
    return values.reshape(-1, *(1,) * (like.ndim - 1))


def check_shapes(x: Any, baseline: Any, *, where: str) -> None:
    """Raise unless the baseline has the inputs of x, in one row or as many."""
    expected, found = (str(jax.tree.structure(z)) for z in (x, baseline))
    if found != expected:
        raise InputError(
            f"baseline is {found}, x is {expected}",
            where=where,
            mend="give the baseline the structure of x",
        )
    for v, b in zip(jax.tree.leaves(x), jax.tree.leaves(baseline), strict=True):
        if b.shape[1:] != v.shape[1:] or b.shape[:1] not in (v.shape[:1], (1,)):
            raise InputError(
                f"baseline is {b.shape}, x is {v.shape}",
                where=where,
                mend="broadcast the baseline to x first",
            )
