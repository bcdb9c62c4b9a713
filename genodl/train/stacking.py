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
    y : float, of the same shape, the target, centred; nan where it is unknown
    weight : float, (samples,), 0 = leave out

    Source
    ------
    Stacking: Wolpert 1992; Breiman 1996. The bound is ours.
    """
    count = len(weight)
    f, target = out_of_bag.reshape(count, -1), y.reshape(count, -1)
    used = (weight > 0) & np.isfinite(f).all(axis=1)
    f, target = f[used].astype(float), target[used].astype(float)
    f, target = (np.where(np.isfinite(target), v, 0.0) for v in (f, target))
    w = weight[used].astype(float)
    power = float(w @ np.square(f).sum(axis=1))
    if power == 0.0:
        return 0.0
    g = float(np.clip(w @ (f * target).sum(axis=1) / power, 0.0, 1.0))
    saved = (np.square(target) - np.square(target - g * f)).sum(axis=1)
    return g if _is_real(saved, w) else 0.0


def gate_by_loss(
    out_of_bag: np.ndarray, y: np.ndarray, weight: np.ndarray, constant: np.ndarray, *, loss: str
) -> float:
    """1 when the likelihood gains over a constant by 1.64 standard errors, else 0."""
    used = (weight > 0) & np.isfinite(out_of_bag).all(axis=1)
    if not used.any():
        return 0.0
    each, target = LOSSES[loss].each, jnp.asarray(y[used])
    w = jnp.asarray(weight[used], jnp.float32)
    found = jnp.asarray(out_of_bag[used], jnp.float32)
    null = jnp.broadcast_to(jnp.asarray(constant, jnp.float32), found.shape)
    saved = np.asarray(each(null, target, w)) - np.asarray(each(found, target, w))
    return float(_is_real(saved, weight[used].astype(float)))


def _is_real(saved: np.ndarray, weight: np.ndarray) -> bool:
    """Whether a weighted sum of paired gains exceeds its standard error 1.64-fold."""
    total = float(weight @ saved)
    error = float(np.sqrt(np.square(weight) @ np.square(saved - total / weight.sum())))
    return total > GATE_Z * error and total > 0.0
