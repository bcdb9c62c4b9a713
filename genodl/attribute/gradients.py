"""Attributions from gradients: at the input, around it, and along paths from a baseline.

Paths are walked behind the affine part of the program (its first dense or convolutional layer),
found from the jaxpr: the gradient is averaged in the hidden space and projected back once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genodl.attribute.program import Split, split
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
) -> tuple[Any, Any]:
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
    return mean_and_error(total)


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


def integrated_gradients(predict: Predict, x: Any, baseline: Any, *, steps: int = 32) -> Any:
    """Attribution of each input by the mean gradient along the line from the baseline.

    Pure and jittable; rows of `predict` must be independent. The row sums equal
    predict(x) - predict(baseline) up to the quadrature error. The path is walked behind the affine
    part of `predict` (its first dense layer, say), so that the cost of many inputs is paid once
    and not at every step.

    Parameters
    ----------
    predict : x -> (batch,), differentiable, output in its own unit (e.g. logit)
    x : float array, (batch, inputs...), or pytree of such
    baseline : the same, with batch or 1 rows
    steps : Gauss-Legendre nodes

    Returns
    -------
    as x, in the unit of `predict`

    Raises
    ------
    InputError : x and baseline differ in shape

    Source
    ------
    Sundararajan, Taly and Yan 2017, section 3.
    """
    check_shapes(x, baseline, where="integrated_gradients")
    leaves, tree = jax.tree.flatten(x)
    program = split(lambda *z: predict(jax.tree.unflatten(tree, z)), leaves)
    starts = [jnp.asarray(b) for b in jax.tree.leaves(baseline)]
    first = hidden_baseline(predict, tree, program, leaves, starts)
    step = [a - b for a, b in zip(program.prefix(leaves), first, strict=True)]
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    kind = leaves[0].dtype
    path = (jnp.asarray((nodes + 1) / 2, kind), jnp.asarray(weights / 2, kind))

    def accumulate(total: list, point: tuple) -> tuple[list, None]:
        t, weight = point
        at = [b + t * d for b, d in zip(first, step, strict=True)]
        slope = jax.grad(lambda h: program.suffix(h)[0].sum())(at)
        return [a + weight * g for a, g in zip(total, slope, strict=True)], None

    mean, _ = jax.lax.scan(accumulate, [jnp.zeros_like(d) for d in step], path)
    _, back = jax.vjp(program.prefix, leaves)
    parts = [g * (a - b) for g, a, b in zip(back(mean)[0], leaves, starts, strict=True)]
    return jax.tree.unflatten(tree, parts)


def hidden_baseline(
    predict: Predict, tree: Any, program: Split, leaves: list, starts: list
) -> list:
    """The baseline behind the affine part; one row is projected once and shared by all."""
    if any(b.shape[0] != 1 or v.shape[0] == 1 for b, v in zip(starts, leaves, strict=True)):
        return program.prefix(
            [jnp.broadcast_to(b, v.shape) for b, v in zip(starts, leaves, strict=True)]
        )
    whole = jax.eval_shape(program.prefix, leaves)
    try:
        hidden = split(lambda *z: predict(jax.tree.unflatten(tree, z)), starts).prefix(starts)
        fits = [
            np.broadcast_shapes(h.shape, w.shape) == w.shape
            for h, w in zip(hidden, whole, strict=True)
        ]
    except (TypeError, ValueError):
        fits = [False]
    if all(fits):
        return [jnp.broadcast_to(h, w.shape) for h, w in zip(hidden, whole, strict=True)]
    return program.prefix(
        [jnp.broadcast_to(b, v.shape) for b, v in zip(starts, leaves, strict=True)]
    )


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


def integrated(predict: Predict, batch: Batch, *, steps: int | None = None) -> Any:
    """Integrated gradients; None takes as many steps as the tolerance needs."""
    return integrated_gradients(
        explained(predict, batch.target), batch.x, batch.baseline, steps=steps or 32
    )
