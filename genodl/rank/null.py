"""The null law of a cross-fitted statistic, known without permutation."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import stats
from scipy.special import ndtri_exp

DRAWS = 200_000
FARTHEST = 45.0  # radius to which the law is tabulated; log p about -1000


@cache
def cross_fitted_law(folds: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Log upper tail of the cross-fitted z under the null.

    Each fold's held-out score is a standard normal vector over the channels, and its weight is the
    score of all other folds. The weighted sum, divided by its standard error, is not normal: a
    chance association of the whole sample is in every training fold and in every held-out one. Its
    law depends on nothing but the number of folds and of channels, so it is tabulated once: the
    length of the total score is stratified and weighted by its chi density, which resolves the
    tail as well as the body.

    Returns
    -------
    z, log_tail : float64, ascending in z
    """
    rng = np.random.default_rng(2_026)
    radius = (np.arange(DRAWS) + rng.random(DRAWS)) / DRAWS * FARTHEST
    direction = rng.standard_normal((DRAWS, channels))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    total = radius[:, None] * direction
    parts = rng.standard_normal((folds, DRAWS, channels))
    parts += total / np.sqrt(folds) - parts.mean(0)
    weight = parts.sum(0)[None] - parts
    z = (weight * parts).sum((0, 2)) / np.sqrt((weight**2).sum((0, 2)))
    density = stats.chi.logpdf(radius, channels) + np.log(FARTHEST / DRAWS)
    order = np.argsort(-z)
    log_tail = np.logaddexp.accumulate(density[order])
    return z[order][::-1].copy(), np.minimum(log_tail[::-1], 0.0).copy()


def log_p_value(
    z: np.ndarray, *, folds: int, channels: np.ndarray, samples: int | np.ndarray
) -> np.ndarray:
    """Natural log of the p-value of a cross-fitted z.

    Parameters
    ----------
    z : float, any shape, sum(A r) over held-out samples, divided by its standard error
    folds : of the cross-fitting
    channels : int, shape of z, channels in which the marker varies; 0 gives log 1 = 0
    samples : on which the standard error rests, as those of a t statistic
    """
    z = np.asarray(z, float)
    normal = _normal_scale(z, samples - 1)
    result = np.zeros(z.shape)
    for count in (1, 2):
        here = channels == count
        grid, log_tail = cross_fitted_law(folds, count)
        result[here] = np.interp(normal[here], grid, log_tail)
    return result


def deviate(log_p: np.ndarray) -> np.ndarray:
    """The normal deviate with this log upper tail, exact far beyond underflow."""
    return -ndtri_exp(np.minimum(log_p, -1e-12))


def _normal_scale(t: np.ndarray, freedom: int | np.ndarray) -> np.ndarray:
    """The normal deviate with the tail of a t statistic."""
    return np.sign(t) * deviate(stats.t.logsf(np.abs(t), freedom))
