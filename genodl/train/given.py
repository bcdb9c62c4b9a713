"""What an ensemble is given to learn from: checked, and the scales that standardise it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from genodl.errors import InputError, nearest
from genodl.train.loss import LOSSES


def checked(
    x: Any, y: Any, weight: Any, *, members: int, loss: str, validation: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
    """The arrays as float32, targets (tasks, samples, outputs) and 0 where unused."""
    x, y = np.asarray(x, np.float32), np.asarray(y, np.float32)
    weight = np.asarray(weight, np.float32)
    if (
        x.ndim != 3
        or weight.shape != x.shape[:2]
        or y.ndim not in (2, 3)
        or y.shape[:2] != weight.shape
    ):
        raise InputError(
            f"x is {x.shape}, y is {y.shape}, weight is {weight.shape}",
            where="fit_ensemble",
            mend="pass (tasks, samples, inputs), (tasks, samples[, outputs]) and (tasks, samples)",
        )
    if loss not in LOSSES:
        raise InputError(
            f"no loss named {loss!r}, nearest {nearest(loss, LOSSES)}",
            where="fit_ensemble",
            mend=f"use one of {', '.join(LOSSES)}",
        )
    if members < 1 or not 0.0 < validation <= 0.5:
        raise InputError(
            f"members is {members}, validation is {validation}",
            where="fit_ensemble",
            mend="give 1 member or more and a validation share above 0, at most 0.5",
        )
    flat = y.ndim == 2 or loss == "survival"
    targets = np.where(weight[:, :, None] > 0, y[:, :, None] if y.ndim == 2 else y, np.float32(0))
    whole = targets
    if LOSSES[loss].partial:  # a row counts where any of its columns is known
        some = np.isfinite(targets).any(axis=2, keepdims=True)
        whole = np.where(np.isnan(targets) & some, np.float32(0), targets)
    for name, array in (("x", x), ("y", whole), ("weight", weight)):
        if not np.isfinite(array).all():
            at = np.argwhere(~np.isfinite(array))[0]
            raise InputError(
                f"{name} is not finite in task {at[0]}, sample {at[1]}",
                where="fit_ensemble",
                mend="impute missing values, or give rows without a target the weight 0",
            )
    if (weight < 0).any():
        raise InputError("weight is negative", where="fit_ensemble", mend="give 0 or more")
    return x, targets, weight, flat


def standardisation(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray, *, loss: str
) -> dict[str, np.ndarray]:
    """Weighted centres and scales of inputs and targets, or what is predicted without inputs."""
    x_centre, x_scale = _moments(x, weight)
    if LOSSES[loss].standardised:
        y_centre, y_scale = _moments(y, weight)
    else:
        y_centre = np.asarray(jax.vmap(LOSSES[loss].constant)(jnp.asarray(y), jnp.asarray(weight)))
        y_scale = np.ones_like(y_centre)
    return {"x_centre": x_centre, "x_scale": x_scale, "y_centre": y_centre, "y_scale": y_scale}


def _moments(values: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and standard deviation by task and column, 1 for a constant column."""
    known = np.isfinite(values)
    if known.all():  # one weight for all columns, and nothing of the size of all tasks is made
        share = weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-12)
        mean = np.einsum("ts,tsc->tc", share, values)
        each = zip(share, values, mean, strict=True)
        variance = np.stack([s @ np.square(v - m) for s, v, m in each])
    else:
        share = weight[:, :, None] * known
        share = share / np.maximum(share.sum(axis=1, keepdims=True), 1e-12)
        mean = np.nansum(share * values, axis=1)
        variance = np.nansum(share * np.square(values - mean[:, None]), axis=1)
    floor = 1e-10 * (1.0 + np.square(mean))
    return mean, np.where(variance > floor, np.sqrt(variance), 1.0).astype(np.float32)
