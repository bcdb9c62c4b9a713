"""Samples cut into equal batches, sized from memory and spread over devices."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from genodl.attribute.capture import Program
from genodl.attribute.gradients import Batch, check_shapes
from genodl.errors import InputError

# Values kept for the backward pass, the gradient, and what XLA cannot fuse.
COPIES = 6


def checked(x: Any, baseline: Any, *, background: bool) -> tuple[Any, Any]:
    """Inputs and baseline as float arrays of matching shapes.

    Parameters
    ----------
    x : pytree of arrays, (samples, inputs...)
    baseline : what `attribute` takes
    background : whether it is a set, (members, inputs...) or (samples, members, inputs...)

    Returns
    -------
    x, and the baseline with 1 or samples rows (and a second axis of members in a set)

    Raises
    ------
    InputError : nan or infinity, no samples, ragged leaves, shapes that do not fit
    """
    inputs = jax.tree.map(lambda v: _floats(v, "x"), x)
    leaves = jax.tree.leaves(inputs)
    counts = {v.shape[0] if v.ndim else 0 for v in leaves}
    if len(counts) != 1 or 0 in counts or any(v.ndim < 2 for v in leaves):
        raise InputError(
            f"x has shapes {[v.shape for v in leaves]}",
            where="attribute",
            mend="give every array (samples, inputs...) with the same samples",
        )
    if np.isscalar(baseline):
        baseline = jax.tree.map(lambda v: np.full((1, *v.shape[1:]), baseline, v.dtype), inputs)
    if str(jax.tree.structure(inputs)) != str(jax.tree.structure(baseline)):
        check_shapes(inputs, baseline, where="attribute")
    shape = _background if background else _start
    start = jax.tree.map(
        lambda v, b: shape(v, _floats(b, "baseline").astype(v.dtype)), inputs, baseline
    )
    sizes = {b.shape[1] for b in jax.tree.leaves(start)} if background else {1}
    if len(sizes) != 1:
        raise InputError(
            f"the parts of the background have {sorted(sizes)} members",
            where="attribute baseline",
            mend="give each part the same members in the same order",
        )
    return inputs, start


def _floats(array: Any, name: str) -> Any:
    """A float array without nan; integers such as dosages become float32."""
    # Arrays of JAX and of numpy both stay where they are.
    found = array if isinstance(array, jax.Array) else np.asarray(array)
    if not jnp.issubdtype(found.dtype, jnp.floating):
        if not (jnp.issubdtype(found.dtype, jnp.integer) or found.dtype == bool):
            raise InputError(
                f"{name} has type {found.dtype}", where="attribute", mend="give it numbers"
            )
        found = found.astype(np.float32)
    found = found.astype(jax.dtypes.canonicalize_dtype(found.dtype))
    finite = jnp.isfinite(found) if isinstance(found, jax.Array) else np.isfinite(found)
    if not bool(finite.all()):
        first = np.argwhere(~np.asarray(finite))[0]
        raise InputError(
            f"{name} is nan or infinite at {tuple(int(i) for i in first)} (first axis: row)",
            where="attribute",
            mend="impute the missing values, or leave the sample out, first",
        )
    return found


def _start(v: Any, b: Any) -> Any:
    """A baseline with 1 or samples rows."""
    if b.shape == v.shape[1:] or b.ndim == 0:
        b = np.broadcast_to(np.asarray(b), (1, *v.shape[1:]))
    check_shapes(v, b, where="attribute")
    return b


def _background(v: Any, b: Any) -> Any:
    """A background set, (1 or samples, members, inputs...)."""
    if b.shape == v.shape[1:]:
        b = b[None]
    if b.ndim == v.ndim:
        b = b[None]
    if b.ndim != v.ndim + 1 or b.shape[2:] != v.shape[1:] or b.shape[0] not in (1, v.shape[0]):
        raise InputError(
            f"background is {b.shape}, x is {v.shape}",
            where="attribute baseline",
            mend="give (members, inputs...), or (samples, members, inputs...)",
        )
    return b


def rows_per_batch(program: Program, samples: int, copies: int, most_bytes: float = np.inf) -> int:
    """Samples a batch that fit a quarter of the free memory, a multiple of the devices."""
    devices = jax.local_device_count()
    need = max(program.bytes_per_row() * COPIES * copies, 1.0)
    room = min(free_memory() / 4 * devices, most_bytes)
    fit = int(min(samples, max(room // need, 1)))
    return min(samples, max(fit - fit % devices, 1)) if fit >= devices else fit


def free_memory() -> float:
    """Bytes free on one device; on the host, its free memory over its devices."""
    device = jax.local_devices()[0]
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        return float(stats["bytes_limit"] - stats.get("bytes_in_use", 0))
    try:
        pages = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        pages = 2 * 2**30
    return float(pages) / jax.local_device_count()


def blocks(x: Any, baseline: Any, target: np.ndarray, size: int) -> Iterator[tuple[Batch, int]]:
    """Batches of `size` rows and the samples in each; the last is filled by its last sample."""
    samples = len(target)
    for begin in range(0, samples, size):
        rows = np.minimum(np.arange(begin, begin + size), samples - 1)
        whole = size == samples

        def take(v: Any, rows: np.ndarray = rows, whole: bool = whole) -> Any:
            return v if whole or (v.shape[0] == 1 and samples > 1) else v[rows]

        yield (
            place(
                Batch(
                    jax.tree.map(take, x),
                    jax.tree.map(take, baseline),
                    take(target),
                    jnp.asarray(rows, np.int32),
                )
            ),
            min(size, samples - begin),
        )


def place(batch: Batch) -> Batch:
    """The batch on its devices: rows are spread where they divide evenly."""
    devices = jax.local_devices()
    rows = len(batch.rows)
    if len(devices) == 1 or rows % len(devices):
        return jax.tree.map(jnp.asarray, batch)
    mesh = Mesh(np.array(devices), ("samples",))

    def put(v: Any) -> jax.Array:
        spread = PartitionSpec("samples") if v.shape[0] == rows else PartitionSpec()
        return jax.device_put(v, NamedSharding(mesh, spread))

    return jax.tree.map(put, batch)
