"""Whether what a network adds is real: its stacking weight."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from genodl.train.loss import LOSSES

GATE_Z = 1.64  # standard errors that a gain must exceed


def gate(out_of_bag: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    """The stacking weight of a prediction in [0, 1], 0 unless its gain is real.

    The weight is the least-squares g = <f, y> / <f, f> cut to [0, 1]. It counts when the squared
    error it saves over predicting zero exceeds 1.64 of its standard errors, by paired differences
    of the samples.

    Parameters
    ----------
    out_of_bag : float, (samples,) or (samples, outputs), f; nan where there is none
    y : float, of the same shape, the target, centred
    weight : float, (samples,), 0 = leave out

    Source
    ------
    Stacking: Wolpert 1992; Breiman 1996. The bound is ours.
    """
    count = len(weight)
    f, target = out_of_bag.reshape(count, -1), y.reshape(count, -1)
    used = (weight > 0) & np.isfinite(f).all(axis=1)
    f, target = f[used].astype(float), target[used].astype(float)
    w = weight[used].astype(float)
    power = float(w @ np.square(f).sum(axis=1))
    if power == 0.0:
        return 0.0
    g = float(np.clip(w @ (f * target).sum(axis=1) / power, 0.0, 1.0))
    saved = (np.square(target) - np.square(target - g * f)).sum(axis=1)
    return g if _is_real(saved, w) else 0.0


def gate_by_loss(out_of_bag: np.ndarray, y: np.ndarray, weight: np.ndarray, *, loss: str) -> float:
    """1 when the likelihood gains over the mean prediction by 1.64 standard errors, else 0."""
    used = (weight > 0) & np.isfinite(out_of_bag).all(axis=1)
    if not used.any():
        return 0.0
    w, target = weight[used].astype(float), y[used]
    mean = np.clip(np.average(target, axis=0, weights=w), 1e-6, 1 - 1e-6)
    flat = np.log(mean) if loss == "cross_entropy" else np.log(mean / (1 - mean))
    each = LOSSES[loss]
    null = np.asarray(each(jnp.broadcast_to(jnp.asarray(flat, jnp.float32), target.shape), target))
    return float(_is_real(null - np.asarray(each(out_of_bag[used], target)), w))


def _is_real(saved: np.ndarray, weight: np.ndarray) -> bool:
    """Whether a weighted sum of paired gains exceeds its standard error 1.64-fold."""
    total = float(weight @ saved)
    error = float(np.sqrt(np.square(weight) @ np.square(saved - total / weight.sum())))
    return total > GATE_Z * error and total > 0.0
