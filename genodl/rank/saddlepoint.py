"""Tails of a score when few samples carry it and the residual is skewed or heavy-tailed."""

from __future__ import annotations

import numpy as np
from scipy import stats
from scipy.special import ndtri_exp

FEW = 200.0  # effective carriers below which the tail is the saddlepoint's
LEAST_Z = 2.0  # nearer to zero any law is as good
POINTS = 801  # nodes of the tabulated cumulant function on each side of zero
STEPS = 40


def deviates(channels: np.ndarray, residual: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Signed normal deviates of the scores that few samples carry, nan elsewhere, (3, markers).

    Parameters
    ----------
    channels : float32, (2, samples, markers), of the samples where the phenotype is known
    residual : float, (samples,), of the phenotype on the covariates
    z : float, (3, markers), see `genodl.rank.test.Tested`; the last row is left alone
    """
    found = np.full(z.shape, np.nan)
    for row in (0, 1):
        chosen = np.flatnonzero(np.abs(z[row]) > LEAST_Z)
        first = channels[0][:, chosen].astype(np.float64)
        direction = first
        if row == 1:
            second = channels[1][:, chosen].astype(np.float64)
            direction = second - first * (first * second).sum(0) / np.maximum(
                (first**2).sum(0), 1e-12
            )
        power = (direction**2).sum(0)
        few = (power > 1e-9) & (power**2 < FEW * (direction**4).sum(0))
        if few.any():
            # z has the marker's own slope out of its error, the score under the null has it in
            wald = z[row, chosen[few]]
            log_p = log_tail(direction[:, few], residual, wald / np.sqrt(1 + wald**2 / len(first)))
            found[row, chosen[few]] = np.sign(z[row, chosen[few]]) * -ndtri_exp(log_p - np.log(2))
    return found


def log_tail(directions: np.ndarray, residual: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Natural log of the two-sided p-value of scores, by the saddlepoint approximation.

    The residuals of the samples are taken as draws from their own empirical distribution, so that
    the law of the score depends on how many samples carry a marker and on the residual's tails; a
    normal law gives a handful of carriers too small a p-value.

    Parameters
    ----------
    directions : float, (samples, markers), not all 0 in any column
    residual : float, (samples,), of the same samples; only the shape of its distribution counts
    z : float, (markers,), sum of direction times residual over its standard error

    Returns
    -------
    float64, (markers,), at most 0

    Source
    ------
    Lugannani and Rice 1980, in the form of Barndorff-Nielsen 1986; the empirical cumulant function
    after Bi and others 2020 (SPACox).
    """
    x = np.asarray(directions, np.float64)
    x = x / np.sqrt((x**2).sum(0))
    e = np.asarray(residual, np.float64)
    e = (e - e.mean()) / e.std()
    level = np.abs(np.asarray(z, np.float64))
    return np.minimum(np.logaddexp(_one_tail(x, e, level), _one_tail(-x, e, level)), 0.0)


def _one_tail(x: np.ndarray, e: np.ndarray, level: np.ndarray) -> np.ndarray:
    """log P(sum of x e >= level), where the sum has variance 1."""
    # a level beyond what any draw can give is moved to the edge, where the tail is smallest
    level = np.minimum(level, 0.999 * _reachable(x, e))
    table = _cumulants(e)
    low, high = np.zeros(len(level)), np.full(len(level), table[0][-1] / np.abs(x).max(0))
    for _ in range(STEPS):
        middle = (low + high) / 2
        below = _derivative(table, x, middle, 1) < level
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    t = (low + high) / 2
    k = _derivative(table, x, t, 0)
    curvature = np.maximum(_derivative(table, x, t, 2), 1e-12)
    w = np.sqrt(np.maximum(2 * (t * level - k), 1e-12))
    v = t * np.sqrt(curvature)
    # Barndorff-Nielsen's form of the same approximation stays positive
    star = w + np.log(np.maximum(v, 1e-12) / w) / w
    return stats.norm.logsf(np.where(w > 1e-3, star, level))


def _reachable(x: np.ndarray, e: np.ndarray) -> np.ndarray:
    """The largest sum that draws of e can give each column."""
    return np.where(x > 0, x * e.max(), x * e.min()).sum(0)


def _cumulants(e: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes s and the cumulant function of e with its two derivatives, (3, nodes)."""
    farthest = 40.0
    half = np.sinh(np.linspace(0, np.arcsinh(farthest), POINTS))
    s = np.concatenate([-half[:0:-1], half])
    power = np.outer(s, e)
    top = power.max(1, keepdims=True)
    weight = np.exp(power - top)
    total = weight.sum(1)
    first = (weight * e).sum(1) / total
    second = (weight * e**2).sum(1) / total - first**2
    return s, np.stack([np.log(total / len(e)) + top[:, 0], first, second])


def _derivative(
    table: tuple[np.ndarray, np.ndarray], x: np.ndarray, t: np.ndarray, order: int
) -> np.ndarray:
    """The cumulant function of each column's sum at t, or a derivative of it."""
    s, values = table
    return (np.interp(x * t, s, values[order]) * x**order).sum(0)
