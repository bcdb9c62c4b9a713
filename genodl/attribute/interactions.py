"""How pairs of inputs act together: integrated Hessians, behind the affine part of the program."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genodl.attribute.batches import checked
from genodl.attribute.capture import Program, capture
from genodl.attribute.checks import targets
from genodl.attribute.gradients import Batch, explained
from genodl.attribute.paths import between
from genodl.attribute.program import split
from genodl.errors import InputError


class Interactions(NamedTuple):
    """Shares of pairs of inputs in each sample's prediction.

    Attributes
    ----------
    values : float, (samples, chosen, chosen), symmetric; main effects on the diagonal. Each of the
        two places of a pair holds half of what the pair does together
    inputs : int, (chosen,), columns of x
    completeness_error : float, (samples,), |sum over all pairs - (prediction - baseline's)|, nan
        where only some of the inputs were chosen
    """

    values: np.ndarray
    inputs: np.ndarray
    completeness_error: np.ndarray


def interact(
    predict: Callable[[Any], Any],
    x: np.ndarray,
    *,
    baseline: Any,
    inputs: np.ndarray | None = None,
    output: int | None = None,
    steps: int = 16,
) -> Interactions:
    """Integrated Hessians: the share of each pair of inputs in each sample's prediction.

    The sum over all pairs is the prediction minus that of the baseline, and the sum over a row is
    the integrated gradient of that input. Rectifiers have no curvature but in their kinks, which
    are not seen: explain a smooth network, or put softplus in their place.

    Parameters
    ----------
    predict : x -> (batch,) or (batch, outputs), twice differentiable, each row by itself
    x : float, (samples, inputs), no nan
    baseline : a number, (inputs,), (1, inputs) or (samples, inputs)
    inputs : int, (chosen,), columns among which pairs are formed; all by default. Memory grows with
        samples times their number times the width of the first layer
    output : the output to explain, where there are several
    steps : nodes along the path

    Raises
    ------
    InputError : x is not one matrix, an unknown column, several outputs and none chosen

    Source
    ------
    Janizek, Sturmfels and Lee 2021, equations 6 and 7. The two paths s and t only ever enter as
    s t, whose density on the unit interval is -log: one quadrature for that weight replaces two.
    """
    found, start = checked(x, baseline, background=False)
    if getattr(found, "ndim", 0) != 2:
        raise InputError("x is not one matrix", where="interact", mend="give (samples, inputs)")
    rows = found.shape[0]
    program, outputs = capture(predict, found, {rows})
    if outputs > 1 and output is None:
        raise InputError(
            f"the model has {outputs} outputs", where="interact output", mend="choose one of them"
        )
    chosen = columns(inputs, found.shape[1])
    wanted = jnp.asarray(targets(output or 0, outputs, rows))
    wide = jnp.broadcast_to(jnp.asarray(start), found.shape)
    batch = Batch(jnp.asarray(found), wide, wanted, jnp.arange(rows))
    values, rise = _integrated_hessians(program, batch, jnp.asarray(chosen), steps=steps)
    error = np.abs(np.asarray(values, np.float64).sum(axis=(1, 2)) - np.asarray(rise))
    return Interactions(
        np.asarray(values),
        chosen,
        error if len(chosen) == found.shape[1] else np.full(rows, np.nan),
    )


def columns(inputs: np.ndarray | None, count: int) -> np.ndarray:
    """The chosen columns, checked."""
    chosen = np.arange(count) if inputs is None else np.asarray(inputs)
    wrong = chosen.ndim != 1 or chosen.dtype.kind not in "iu" or not len(chosen)
    if wrong or len(np.unique(chosen)) < len(chosen) or chosen.min() < 0 or chosen.max() >= count:
        raise InputError(
            f"inputs are {str(chosen.tolist())[:80]}, x has columns 0 to {count - 1}",
            where="interact inputs",
            mend="give each column once",
        )
    return chosen


def log_quadrature(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss nodes and weights for the density -log u on [0, 1].

    Source: Gautschi 2004, section 2.2 (discretised Stieltjes) and 3.1.1.1 (Golub and Welsch).
    """
    fine, width = np.polynomial.legendre.leggauss(400)
    fine, width = (fine + 1) / 2, width / 2
    # u = v^4 flattens the singularity of the logarithm.
    point, weight = fine**4, -4 * np.log(fine) * 4 * fine**3 * width
    before, now, norm = np.zeros_like(point), np.ones_like(point), np.float64(1)
    centre, spread = np.zeros(steps), np.zeros(steps)
    for k in range(steps):
        size = np.float64(weight @ now**2)
        centre[k] = weight @ (point * now**2) / size
        spread[k] = size / norm
        before, now = now, (point - centre[k]) * now - (spread[k] if k else 0) * before
        norm = size
    off = np.sqrt(spread[1:])
    nodes, vectors = np.linalg.eigh(np.diag(centre) + np.diag(off, 1) + np.diag(off, -1))
    return nodes, weight.sum() * vectors[0] ** 2


@partial(jax.jit, static_argnames="steps")
def _integrated_hessians(
    program: Program, batch: Batch, chosen: jax.Array, *, steps: int
) -> tuple[jax.Array, jax.Array]:
    """Shares of pairs, (samples, chosen, chosen), and the rise from the baseline, (samples,)."""
    number = explained(program, batch.target)
    cut = split(number, [batch.x])
    delta = batch.x - batch.baseline
    start, end = cut.prefix([batch.baseline]), cut.prefix([batch.x])

    def lift(column: jax.Array) -> list:
        alone = jnp.zeros_like(delta).at[:, column].set(delta[:, column])
        return jax.jvp(cut.prefix, ([batch.x],), ([alone],))[1]

    # What each input alone moves behind the affine part.
    moves = jax.vmap(lift)(chosen)
    slope = jax.grad(lambda h: cut.suffix(h)[0].sum())
    nodes, weights = (jnp.asarray(v, batch.x.dtype) for v in log_quadrature(steps))

    def accumulate(total: tuple, point: tuple) -> tuple[tuple, None]:
        u, weight = point
        first, push = jax.linearize(slope, between(start, end, u))
        bends = jax.lax.map(push, moves)
        gradient = [a + weight * g for a, g in zip(total[0], first, strict=True)]
        hessian = [a + weight * u * h for a, h in zip(total[1], bends, strict=True)]
        return (gradient, hessian), None

    kind = batch.x.dtype
    zero = [[jnp.zeros(h.shape, kind) for h in values] for values in (end, moves)]
    (gradient, hessian), _ = jax.lax.scan(accumulate, tuple(zero), (nodes, weights))

    def flat(values: list, lead: int) -> jax.Array:
        return jnp.concatenate([v.reshape(*v.shape[:lead], -1) for v in values], axis=lead)

    arms, bends = flat(moves, 2), flat(hessian, 2)
    pairs = jnp.einsum("inh,jnh->nij", bends, arms)
    main = jnp.einsum("nh,inh->ni", flat(gradient, 1), arms)
    rise = number(batch.x) - number(batch.baseline)
    return (pairs + jnp.swapaxes(pairs, 1, 2)) / 2 + jax.vmap(jnp.diag)(main), rise
