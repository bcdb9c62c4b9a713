"""Summaries over samples, accumulated block by block: the matrix of attributions is never held."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from genodl.attribute.batches import blocks, checked
from genodl.attribute.checks import Part, completeness, targets
from genodl.attribute.methods import explain, method_named, planned
from genodl.errors import InputError

# Memory for one block of samples and what is computed from it.
BLOCK_BYTES = 512 * 2**20


@dataclass(frozen=True, eq=False)
class Summary:
    """What the attributions of many samples come to.

    Attributes
    ----------
    samples : how many
    mean, mean_absolute : float64, pytree of (inputs...), or (inputs..., outputs) for all outputs
    covariance : the same, the sum over samples of attribution times residual: by completeness the
        inputs' shares of the covariance of prediction and residual
    variance : the same, of that sum under the null: the sum of squares of its terms
    incomplete : samples (and outputs) whose completeness error exceeds the tolerance
    worst_error : the largest completeness error
    """

    samples: int
    mean: Any
    mean_absolute: Any
    covariance: Any
    variance: Any
    incomplete: int
    worst_error: float

    @property
    def z(self) -> Any:
        """Attributed covariance in its standard errors, nan where an input is never attributed."""

        def ratio(total: np.ndarray, variance: np.ndarray) -> np.ndarray:
            scale = np.sqrt(variance)
            return np.divide(total, scale, out=np.full(total.shape, np.nan), where=scale > 0)

        return jax.tree.map(ratio, self.covariance, self.variance)


def summarise(
    predict: Callable[[Any], Any],
    x: Any,
    *,
    baseline: Any,
    residual: np.ndarray,
    method: str = "integrated_gradients",
    output: int | np.ndarray | None = None,
    tolerance: float = 1e-3,
    batch_size: int | None = None,
    **settings: Any,
) -> Summary:
    """Mean, mean absolute value and attributed covariance of each input over all samples.

    Parameters
    ----------
    predict, baseline, method, output, tolerance, settings : as in `attribute`
    x : pytree of arrays or anything sliced by rows (a memory map, a zarr array), (samples,
        inputs...); one block is read at a time
    residual : float, (samples,) or (samples, outputs), what the null model leaves of the phenotype
    batch_size : samples a block; from a budget of half a gigabyte when None

    Raises
    ------
    InputError : as `attribute`, or a residual that is nan or does not fit
    """
    samples = jax.tree.leaves(x)[0].shape[0]
    background = method_named(method).background
    head, start = checked(rows(x, 0, min(2, samples)), baseline, background=background)
    plan = planned(
        *(predict, head, method, settings),
        output=output,
        batch_size=batch_size,
        samples=samples,
        most_bytes=BLOCK_BYTES,
    )
    wanted = targets(output, plan.outputs, samples)
    terms = residuals(residual, samples, plan.outputs if plan.every else 0)
    totals = Totals(plan.every)
    for begin in range(0, samples, plan.size):
        used = min(plan.size, samples - begin)
        inputs, _ = checked(rows(x, begin, begin + used), baseline, background=background)
        full = np.minimum(np.arange(plan.size), used - 1)
        block = jax.tree.map(lambda v, full=full: v[full], inputs)
        ((batch, _),) = blocks(block, start, wanted[begin + full], plan.size)
        # Random draws follow the row of a sample in the whole.
        part = explain(plan, batch._replace(rows=batch.rows + begin), tolerance)
        totals = totals.add(part, terms[begin : begin + used], tolerance)
    return totals.summary(samples)


def rows(x: Any, begin: int, end: int) -> Any:
    """Some rows of every part of x, read now."""
    return jax.tree.map(lambda v: v[begin:end], x)


def residuals(residual: np.ndarray, samples: int, outputs: int) -> np.ndarray:
    """float32, (samples,) or (samples, outputs), checked."""
    found = np.asarray(residual, np.float32)
    expected = [(samples,)] + ([(samples, outputs)] if outputs else [])
    if found.shape not in expected or not np.isfinite(found).all():
        raise InputError(
            f"residual is {found.shape} with {int((~np.isfinite(found)).sum())} missing values",
            where="summarise",
            mend=f"give finite numbers of shape {' or '.join(map(str, expected))}",
        )
    if outputs and found.ndim == 1:
        return np.broadcast_to(found[:, None], (samples, outputs))
    return found


@dataclass(frozen=True, eq=False)
class Totals:
    """The running sums over samples: of values, absolute values, terms and squared terms."""

    every: bool
    sums: tuple[Any, ...] | None = None
    incomplete: int = 0
    worst: float = 0.0

    def add(self, part: Part, terms: np.ndarray, tolerance: float) -> Totals:
        """The sums with one more block, whose first rows are samples."""
        used = len(terms)
        size = jax.tree.leaves(part.values)[0].shape[0]
        padded = np.zeros((size, *terms.shape[1:]), np.float32)
        padded[:used] = terms
        found = jax.device_get(_sums(part.values, jnp.asarray(padded), used))
        sums = jax.tree.map(lambda v: v.astype(np.float64), found)
        if self.sums is not None:
            sums = jax.tree.map(np.add, self.sums, sums)
        error, lacking = completeness(part, tolerance, self.every)
        return Totals(
            *(self.every, sums, self.incomplete + int(lacking[:used].sum())),
            max(self.worst, float(error[:used].max())),
        )

    def summary(self, samples: int) -> Summary:
        """The sums as a summary."""
        if self.sums is None:
            raise InputError("no samples", where="summarise", mend="give at least one")
        mean, absolute = jax.tree.map(lambda v: v / samples, self.sums[:2])
        return Summary(
            samples=samples,
            mean=mean,
            mean_absolute=absolute,
            covariance=self.sums[2],
            variance=self.sums[3],
            incomplete=self.incomplete,
            worst_error=self.worst,
        )


@jax.jit
def _sums(values: Any, terms: jax.Array, used: jax.Array) -> tuple[Any, Any, Any, Any]:
    """Sums over the used rows of values, absolute values, terms and squared terms."""

    def over(leaf: jax.Array) -> tuple[jax.Array, ...]:
        kept = jnp.arange(leaf.shape[0]).reshape(-1, *(1,) * (leaf.ndim - 1)) < used
        middle = (1,) * (leaf.ndim - terms.ndim)
        term = leaf * terms.reshape(terms.shape[0], *middle, *terms.shape[1:])
        return tuple(
            jnp.where(kept, v, 0).sum(axis=0) for v in (leaf, jnp.abs(leaf), term, term**2)
        )

    leaves, tree = jax.tree.flatten(values)
    found = zip(*map(over, leaves), strict=True)
    first, second, third, fourth = (jax.tree.unflatten(tree, list(part)) for part in found)
    return first, second, third, fourth
