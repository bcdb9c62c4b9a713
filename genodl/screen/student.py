"""Tails of Student's law for millions of tests of few degrees of freedom."""

from __future__ import annotations

from functools import lru_cache

import numba
import numpy as np
from scipy import special

FARTHEST, STEP = 40.0, 0.05  # of the table of log p-values over |t|
MOST_LAWS = 2048


def p_values(t: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """Two-sided p-values of Student's law, float64, to a relative 1e-7; nan where t is.

    Few degrees of freedom occur among millions of tests: log p is interpolated between the values
    of the law on a grid by cubics that share its slope.

    Parameters
    ----------
    t : float64
    freedom : int64, of the same shape
    """
    flat, nu = np.abs(np.ravel(t)), np.ravel(freedom)
    found = np.full(len(flat), np.nan)
    used = np.flatnonzero(np.bincount(np.maximum(nu, 0)))
    used = used[used > 0]
    if len(used) * 10 < len(flat) and len(used) <= MOST_LAWS:
        laws = [_law(int(level)) for level in used]
        row = np.full(int(nu.max()) + 1, -1)
        row[used] = np.arange(len(used))
        height, slope = (np.stack(part) for part in zip(*laws, strict=True))
        _interpolate(flat, nu, row, height, slope, found)
    rest = np.isfinite(flat) & np.isnan(found) & (nu > 0)
    if rest.any():
        found[rest] = 2 * special.stdtr(nu[rest], -flat[rest])
    return found.reshape(np.shape(t))


@lru_cache(maxsize=MOST_LAWS)
def _law(freedom: int) -> tuple[np.ndarray, np.ndarray]:
    """log p and its slope, a grid step long, at the nodes of |t|."""
    grid = np.arange(0, FARTHEST + STEP, STEP)
    tail = np.log(np.maximum(special.stdtr(freedom, -grid), 1e-300))
    density = special.gammaln((freedom + 1) / 2) - special.gammaln(freedom / 2)
    density -= np.log(freedom * np.pi) / 2
    density = density - (freedom + 1) / 2 * np.log1p(grid**2 / freedom)
    return np.log(2) + tail, -np.exp(density - tail) * STEP


@numba.njit(cache=True, nogil=True)
def _interpolate(t, freedom, row, height, slope, out):
    """exp of the cubics at |t|; what is too far, where log p is below -600, stays as it is."""
    last = height.shape[1] - 2
    for i in range(len(t)):
        if freedom[i] <= 0 or not t[i] < FARTHEST:
            continue
        r = row[freedom[i]]
        j = min(int(t[i] / STEP), last)
        a, b = height[r, j], height[r, j + 1]
        if b < -600:
            continue
        x = t[i] / STEP - j
        da, db, rise = slope[r, j], slope[r, j + 1], b - a
        out[i] = np.exp(a + x * (da + x * (3 * rise - 2 * da - db + x * (da + db - 2 * rise))))
