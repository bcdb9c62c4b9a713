"""Attributions from gradients along paths from a baseline, or from each of a background set.

Paths are walked behind the affine part of the program (its first dense or convolutional layer),
found from the jaxpr: the gradient is averaged in the hidden space and projected back once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genodl.attribute.gradients import (
    Batch,
    Found,
    Predict,
    along,
    check_shapes,
    explained,
    mean_and_error,
    moments,
    no_moments,
)
from genodl.attribute.program import Split, split


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
    end = program.prefix(leaves)
    first = hidden_baseline(predict, tree, program, leaves, starts)
    mean = mean_gradient(program, first, end, *unit_path(steps, leaves[0].dtype))
    _, pull = jax.vjp(program.prefix, leaves)
    parts = [g * (a - b) for g, a, b in zip(pull(mean)[0], leaves, starts, strict=True)]
    return jax.tree.unflatten(tree, parts)


def unit_path(steps: int, kind: Any) -> tuple[jax.Array, jax.Array]:
    """Gauss-Legendre nodes and weights on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    return jnp.asarray((nodes + 1) / 2, kind), jnp.asarray(weights / 2, kind)


def mean_gradient(
    program: Split, start: list, end: list, nodes: jax.Array, weights: jax.Array
) -> list:
    """Gradient behind the affine part, averaged along the line from start to end."""
    kind = nodes.dtype

    def accumulate(total: list, point: tuple) -> tuple[list, None]:
        t, weight = point
        slope = jax.grad(lambda h: program.suffix(h)[0].sum())(between(start, end, t))
        return [a + weight * g for a, g in zip(total, slope, strict=True)], None

    total, _ = jax.lax.scan(accumulate, [jnp.zeros(e.shape, kind) for e in end], (nodes, weights))
    return [v.astype(e.dtype) for v, e in zip(total, end, strict=True)]


def between(start: list, end: list, t: jax.Array) -> list:
    """The point at t, () or (batch,), of the line, in the precision that the program has there."""
    return [(b + along(t, b) * (a - b)).astype(a.dtype) for a, b in zip(end, start, strict=True)]


def expected_gradients(
    predict: Predict,
    batch: Batch,
    *,
    draws: int | None = None,
    steps: int = 8,
    seed: int = 0,
) -> Any:
    """Integrated gradients averaged over a background set.

    Parameters
    ----------
    draws : random members and points of the path for each sample, with a standard error; None takes
        every member and `steps` Gauss-Legendre nodes
    steps : nodes for each member, where draws is None
    seed : of the draws

    Source
    ------
    Erion et al. 2021, equation 3.
    """
    members = jax.tree.leaves(batch.baseline)[0].shape[1]
    if draws is None:
        return over_members(predict, batch, steps=steps)
    kind = jax.tree.leaves(batch.x)[0].dtype
    which, points = jax.vmap(lambda turn: drawn(batch.rows, turn, members, seed, kind))(
        jnp.arange(draws)
    )
    return at_draws(predict, batch, which, points)


class Lifted(NamedTuple):
    """A batch and its background behind the affine part of the program.

    Attributes
    ----------
    program : the split program, of one output
    members : the background, leaves of (members, batch or 1, inputs...)
    end, hidden : samples and background behind the affine part
    share : (gradient there, one reference) -> contribution of each input
    """

    program: Split
    members: list
    end: list
    hidden: list
    share: Callable[[list, list], list]


def lifted(predict: Predict, batch: Batch) -> Lifted:
    """The batch and its background behind the affine part."""
    leaves, tree = jax.tree.flatten(batch.x)
    number = explained(predict, batch.target)
    program = split(lambda *z: number(jax.tree.unflatten(tree, z)), leaves)
    members = [jnp.moveaxis(b, 1, 0) for b in jax.tree.leaves(batch.baseline)]
    hidden = hidden_members(number, tree, program, leaves, members)
    end, pull = jax.vjp(program.prefix, leaves)

    def share(slope: list, starts: list) -> list:
        return [g * (a - b) for g, a, b in zip(pull(slope)[0], leaves, starts, strict=True)]

    return Lifted(program, members, end, hidden, share)


def over_members(predict: Predict, batch: Batch, *, steps: int) -> Any:
    """Integrated gradients averaged over every member of the background."""
    leaves, tree = jax.tree.flatten(batch.x)
    it = lifted(predict, batch)
    path = unit_path(steps, leaves[0].dtype)

    def add(total: list, member: tuple) -> tuple[list, None]:
        starts, first = member
        found = it.share(mean_gradient(it.program, first, it.end, *path), starts)
        return [t + f for t, f in zip(total, found, strict=True)], None

    zero = [jnp.zeros_like(v) for v in leaves]
    total, _ = jax.lax.scan(add, zero, (it.members, it.hidden))
    return jax.tree.unflatten(tree, [t / it.members[0].shape[0] for t in total])


def at_draws(predict: Predict, batch: Batch, which: jax.Array, points: jax.Array) -> Found:
    """Mean and standard error at given members and points of the path, (draws, batch)."""
    leaves, tree = jax.tree.flatten(batch.x)
    it = lifted(predict, batch)

    def draw(carry: tuple, now: tuple) -> tuple[tuple, None]:
        member, t = now
        first = [member_of(h, member) for h in it.hidden]
        slope = jax.grad(lambda h: it.program.suffix(h)[0].sum())(between(first, it.end, t))
        return moments(carry, it.share(slope, [member_of(m, member) for m in it.members])), None

    mean, error = mean_and_error(jax.lax.scan(draw, no_moments(leaves), (which, points))[0])
    return Found(jax.tree.unflatten(tree, mean), jax.tree.unflatten(tree, error))


def drawn(
    rows: jax.Array, turn: jax.Array, members: int, seed: int, kind: Any
) -> tuple[jax.Array, jax.Array]:
    """A member and a point of the path for each sample, the same in any batch."""

    def one(row: jax.Array) -> tuple[jax.Array, jax.Array]:
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), row), turn)
        first, second = jax.random.split(key)
        return jax.random.randint(first, (), 0, members), jax.random.uniform(second, (), kind)

    return jax.vmap(one)(rows)


def member_of(values: jax.Array, which: jax.Array) -> jax.Array:
    """Each sample's chosen member, from (members, batch or 1, ...)."""
    rows = jnp.zeros_like(which) if values.shape[1] == 1 else jnp.arange(len(which))
    return values[which, rows]


def hidden_members(
    predict: Predict, tree: Any, program: Split, leaves: list, members: list
) -> list:
    """A background set behind the affine part, (members, batch or 1, ...)."""
    one = partial(hidden_row, predict, tree, program, leaves)
    if all(m.shape[1] == 1 for m in members) and leaves[0].shape[0] > 1:
        found = jax.eval_shape(one, [m[0] for m in members])
        whole = jax.eval_shape(program.prefix, leaves)
        if found is not None and all(
            len(f.shape) == len(w.shape) for f, w in zip(found, whole, strict=True)
        ):
            return jax.vmap(one)(members)
    return jax.lax.map(partial(hidden_baseline, predict, tree, program, leaves), members)


def hidden_row(predict: Predict, tree: Any, program: Split, leaves: list, starts: list) -> Any:
    """One shared row behind the affine part, in one row where its program allows it, else None."""
    whole = jax.eval_shape(program.prefix, leaves)
    found = split(lambda *z: predict(jax.tree.unflatten(tree, z)), starts).prefix(starts)
    if len(found) != len(whole):
        return None
    pairs = zip(found, whole, strict=True)
    if all(h.ndim == len(w.shape) and broadcasts(h.shape, w.shape) for h, w in pairs):
        return found
    return None


def broadcasts(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """Whether an array of one shape spreads to the other."""
    return len(shape) == len(whole) and all(a in (1, b) for a, b in zip(shape, whole, strict=True))


def hidden_baseline(
    predict: Predict, tree: Any, program: Split, leaves: list, starts: list
) -> list:
    """The baseline behind the affine part, (batch, ...); one shared row is projected once."""
    if leaves[0].shape[0] > 1 and all(b.shape[0] == 1 for b in starts):
        found = hidden_row(predict, tree, program, leaves, starts)
        if found is not None:
            whole = jax.eval_shape(program.prefix, leaves)
            return [jnp.broadcast_to(h, w.shape) for h, w in zip(found, whole, strict=True)]
    wide = [jnp.broadcast_to(b, v.shape) for b, v in zip(starts, leaves, strict=True)]
    return program.prefix(wide)


def integrated(predict: Predict, batch: Batch, *, steps: int | None = None) -> Any:
    """Integrated gradients; None takes as many steps as the tolerance needs."""
    return integrated_gradients(
        explained(predict, batch.target), batch.x, batch.baseline, steps=steps or 32
    )
