"""What a batch of attributions is checked for: independent rows, completeness, a known output."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

from genodl.attribute.capture import Program
from genodl.errors import InputError


class Part(NamedTuple):
    """What one batch gives, with the outputs last where all are explained."""

    values: Any
    standard_error: Any
    prediction: Any
    baseline_prediction: Any


def check_rows(program: Program, x: Any) -> None:
    """Raise where the prediction of a sample depends on the sample beside it."""
    last = len(jax.tree.leaves(x)[0]) - 1
    pair = jax.tree.map(lambda v: np.asarray(v[np.array([0, last])]), x)
    other = jax.tree.map(lambda v: np.stack([v[0], v[1] * 2 + 1]), pair)
    one, two = (np.asarray(_predict(program, z))[0] for z in (pair, other))
    if not np.allclose(one, two, rtol=1e-3, atol=1e-5, equal_nan=True):
        raise InputError(
            f"the prediction of a sample goes from {one[0]:.6g} to {two[0]:.6g} with its neighbour",
            where="attribute",
            mend="put the model in evaluation mode, or replace BatchNorm by LayerNorm",
        )


def targets(output: Any, outputs: int, samples: int) -> np.ndarray:
    """float32, (samples, outputs), one where an output is explained."""
    if output is None:
        return np.ones((samples, max(outputs, 1)), np.float32)
    index = (
        np.broadcast_to(np.asarray(output), (samples,))
        if np.ndim(output) == 0
        else np.asarray(output)
    )
    wrong = index.shape != (samples,) or index.dtype.kind not in "iu"
    if wrong or index.min() < 0 or index.max() >= max(outputs, 1):
        raise InputError(
            f"output is {output!r}, the model has {max(outputs, 1)} outputs",
            where="attribute",
            mend="give one index from 0, or one for each sample",
        )
    return np.eye(max(outputs, 1), dtype=np.float32)[index]


def where_lacking(rows: np.ndarray, new: Any, old: Any) -> np.ndarray:
    """New values in the chosen rows (and outputs), old ones elsewhere."""
    middle = (1,) * (old.ndim - rows.ndim)
    return np.where(rows.reshape(rows.shape[:1] + middle + rows.shape[1:]), new, old)


def trim(part: Part, used: int) -> Part:
    """The rows of a batch that are samples, on the host."""
    return jax.tree.map(lambda v: np.asarray(v)[:used], part)


def completeness(part: Part, tolerance: float, every: bool) -> tuple[np.ndarray, np.ndarray]:
    """Completeness error of each sample (and output), and where it exceeds the tolerance."""

    leaves = [np.asarray(v) for v in jax.tree.leaves(part.values)]

    def total(values: np.ndarray) -> np.ndarray:
        axes = tuple(range(1, values.ndim - every))
        return values.sum(axis=axes, dtype=np.float64)

    found = np.sum([total(v) for v in leaves], axis=0)
    end, start = (np.asarray(p, np.float64) for p in (part.prediction, part.baseline_prediction))
    error = np.abs(found - (end - start))
    scale = tolerance * (np.abs(end) + np.abs(start))
    over = ~(error <= scale)
    if over.any():
        # Rounding of large shares that cancel is no fault of the method.
        size = np.sum([total(np.abs(v)) for v in leaves], axis=0)
        over &= ~(error <= 8 * np.finfo(leaves[0].dtype).eps * size)
    return error, over


_predict = jax.jit(lambda program, x: program(x))
