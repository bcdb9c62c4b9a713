"""Tails of a score when few samples carry it and the residual is skewed or heavy-tailed."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from scipy import stats
from scipy.special import ndtri_exp

FEW = 200.0  # effective carriers below which the tail is the saddlepoint's
LEAST_Z = 2.0  # nearer to zero any law is as good
PEAKED, SKEWED = 3.0, 9.0  # times z^-4 and z^-6: kurtosis and squared skewness that bend the tail
BINS = 64  # of the values of a marker that is drawn
POINTS = 801  # nodes of the tabulated cumulant function on each side of zero
FARTHEST = 40.0  # standard deviations over which it is tabulated
STEPS = 60  # of the safeguarded Newton iteration, at most
CLOSE = 1e-7
FLAT = 0.2  # a draw times its weight, at most, that four cumulants tell all of
AHEAD = 1.5  # times the level: how far a saddlepoint is foreseen to lie


class Law(NamedTuple):
    """The empirical law of a residual, or of a marker, scaled to mean 0 and variance 1.

    Attributes
    ----------
    values : float64, those it may take
    cumulants : float64, (nodes, 3), the cumulant function and two derivatives at nodes s even in
        the inverse hyperbolic sine, each over what it is for a normal law (s^2 / 2, s and 1): near
        0, where most samples of a rare marker are, what is interpolated is flat, and no error adds
        up over many samples
    spacing : of the nodes
    skewness, kurtosis : third moment, and fourth in excess of a normal law's
    """

    values: np.ndarray
    cumulants: np.ndarray
    spacing: float
    skewness: float
    kurtosis: float


def empirical_law(values: np.ndarray, count: np.ndarray | None = None) -> Law:
    """The law that values are taken to be drawn from.

    Parameters
    ----------
    values : float, (values,), such as the residual of each sample
    count : how often there is each; once where None
    """
    e = np.asarray(values, np.float64)
    share = np.full(len(e), 1 / len(e)) if count is None else count / count.sum()
    e = e - share @ e
    e = e / np.sqrt(share @ e**2)
    spacing = np.arcsinh(FARTHEST) / (POINTS - 1)
    s = np.sinh(np.arange(1 - POINTS, POINTS) * spacing)
    power = np.outer(s, e)
    top = power.max(1, keepdims=True)
    weight = np.exp(power - top) * share
    total = weight.sum(1)
    first = (weight @ e) / total
    second = (weight @ e**2) / total - first**2
    s[POINTS - 1] = 1.0
    cumulants = np.stack([2 * (np.log(total) + top[:, 0]) / s**2, first / s, second], axis=1)
    cumulants[POINTS - 1] = second[POINTS - 1]
    third, fourth = float(share @ e**3), float(share @ e**4)
    return Law(e, cumulants, float(spacing), third, fourth - 3)


def heaviness(law: Law) -> float:
    """Fourth moment over that of a normal law, at least 1."""
    return max(law.kurtosis / 3 + 1, 1.0)


def deviates(
    channels: np.ndarray,
    law: Law,
    z: np.ndarray,
    *,
    given: np.ndarray | None = None,
    spread: np.ndarray | None = None,
) -> np.ndarray:
    """Signed normal deviates of the scores whose tails are not normal, nan elsewhere, like `z`.

    Those are the scores that few samples carry, and those far out where marker and residual are
    skewed or heavy-tailed both: under permutation the excess kurtosis of a score is the product of
    theirs over the number of samples, and its squared skewness that of theirs. Drawing one of the
    two and holding the other adds thrice the kurtosis of what is drawn, so the lighter is drawn.

    Parameters
    ----------
    channels : float32, (2, samples, markers), of the samples where the phenotype is known
    law : of the residual of the phenotype on the covariates
    z : float, (rows, markers), see `genodl.rank.test.Tested`; all but two rows are left alone
    given : float32, (samples, columns), orthonormal, taken out of the channels first
    spread : float, (samples,), variances that the law has been freed of
    """
    found = np.full(z.shape, np.nan)
    for row in (0, 1):
        chosen = np.flatnonzero(np.abs(z[row]) > LEAST_Z)
        direction = _direction(channels, chosen, row, given)
        wald, samples = z[row, chosen], len(direction)
        varies, skewness, kurtosis = _shape(direction)
        bent = varies & (
            (samples < FEW * (kurtosis + 3))
            | (wald**4 * np.abs(kurtosis * law.kurtosis) > PEAKED * samples)
            | (wald**6 * (skewness * law.skewness) ** 2 > SKEWED * samples)
        )
        # z has the marker's own slope out of its error, the score under the null has it in
        score = wald / np.sqrt(1 + wald**2 / samples)
        scale = np.ones(samples) if spread is None else np.sqrt(spread)
        log_p = np.full(len(chosen), np.nan)
        drawn = bent & (kurtosis >= law.kurtosis)
        if drawn.any():
            log_p[drawn] = log_tail(direction[:, drawn] * scale[:, None], law, score[drawn])
        held = (law.values * scale)[:, None]
        for j in np.flatnonzero(bent & ~drawn):
            log_p[j] = log_tail(held, _law_of_marker(direction[:, j]), score[[j]])[0]
        found[row, chosen] = np.sign(wald) * -ndtri_exp(log_p - np.log(2))
    return found


def _shape(direction: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether each column varies, its skewness and its excess kurtosis."""
    centred = direction - direction.mean(0)
    square = centred * centred  # a power is many times dearer than a product
    variance = square.mean(0)
    scale = np.maximum(variance, 1e-18)
    third, fourth = (square * centred).mean(0), (square * square).mean(0)
    return variance > 1e-18, third / scale**1.5, fourth / scale**2 - 3


def _law_of_marker(direction: np.ndarray) -> Law:
    """The law of a marker's values, float (samples,), gathered in bins of one width."""
    edges = np.linspace(direction.min(), direction.max(), BINS + 1)
    bins = np.searchsorted(edges[1:-1], direction, side="right")
    count = np.bincount(bins, minlength=BINS)
    total = np.bincount(bins, direction, minlength=BINS)
    return empirical_law(total[count > 0] / count[count > 0], count[count > 0])


def _direction(
    channels: np.ndarray, chosen: np.ndarray, row: int, given: np.ndarray | None
) -> np.ndarray:
    """The first channel of the chosen markers, or the second orthogonal to it."""

    def free(channel: np.ndarray) -> np.ndarray:
        column = channel[:, chosen].astype(np.float64)
        return column if given is None else column - given @ (given.T @ column)

    first = free(channels[0])
    if row == 0:
        return first
    second = free(channels[1])
    return second - first * (first * second).sum(0) / np.maximum((first**2).sum(0), 1e-12)


def log_tail(directions: np.ndarray, law: Law, z: np.ndarray) -> np.ndarray:
    """Natural log of the two-sided p-value of scores, by the saddlepoint approximation.

    The residuals of the samples are taken as draws from their own empirical distribution, so that
    the law of the score depends on how many samples carry a marker and on the residual's tails; a
    normal law gives a handful of carriers too small a p-value.

    Parameters
    ----------
    directions : float, (samples, markers), not all 0 in any column
    law : of the residual of those samples
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
    level = np.abs(np.asarray(z, np.float64))
    # the lower tail is the upper one of the directions turned round
    both = _one_tail(np.hstack([x, -x]), law, np.tile(level, 2))
    return np.minimum(np.logaddexp(*np.split(both, 2)), 0.0)


def _one_tail(x: np.ndarray, law: Law, level: np.ndarray) -> np.ndarray:
    """log P(sum of x e >= level), where the sum has variance 1."""
    # a level beyond what any draw can give is moved to the edge, where the tail is smallest
    level = np.minimum(level, 0.999 * _reachable(x, law))
    shape = (law.skewness, law.kurtosis, float(np.abs(law.values).max()))
    rows = np.ascontiguousarray(x.T)
    t, k, curvature = _saddlepoints(law.cumulants, law.spacing, shape, rows, level)
    w = np.sqrt(np.maximum(2 * (t * level - k), 1e-12))
    v = t * np.sqrt(np.maximum(curvature, 1e-12))
    # Barndorff-Nielsen's form of the same approximation stays positive
    star = w + np.log(np.maximum(v, 1e-12) / w) / w
    return stats.norm.logsf(np.where(w > 1e-3, star, level))


def _reachable(x: np.ndarray, law: Law) -> np.ndarray:
    """The largest sum that draws can give each column."""
    return np.where(x > 0, x * law.values.max(), x * law.values.min()).sum(0)


@numba.njit(cache=True, nogil=True)
def _saddlepoints(values, spacing, shape, x, level):
    """Where the derivative of each row's cumulant function is its level, and two others there.

    Samples of so small a weight that the first cumulants tell all, as those of a rare variant that
    do not carry it, are taken together by them, as long as t is no farther than foreseen.

    Source
    ------
    Dey and others 2017 (fastSPA), who take them as normal.
    """
    skewness, kurtosis, largest = shape
    found = np.zeros((3, len(x)))
    for row in range(len(x)):
        reach = AHEAD * level[row]
        near = np.abs(x[row]) * largest * reach <= FLAT
        far, flat = x[row][~near], x[row][near]
        square = flat * flat
        moments = (square.sum(), skewness * (square * flat).sum(), kurtosis * (square**2).sum())
        low, high = 0.0, FARTHEST / np.abs(x[row]).max()
        t = min(level[row], high / 2)
        k, slope, curvature = _sums(values, spacing, far, moments, t)
        for _ in range(STEPS):
            if slope < level[row]:
                low = t
            else:
                high = t
            step = t - (slope - level[row]) / max(curvature, 1e-9)
            if abs(slope - level[row]) < CLOSE or high - low < CLOSE * high:
                break
            t = step if low < step < high else (low + high) / 2
            if t <= reach:
                k, slope, curvature = _sums(values, spacing, far, moments, t)
            else:
                k, slope, curvature = _sums(values, spacing, x[row], (0.0, 0.0, 0.0), t)
        found[0, row], found[1, row], found[2, row] = t, k, curvature
    return found


@numba.njit(cache=True, nogil=True)
def _sums(values, spacing, x, moments, t):
    """The cumulant function of the sum of x e at t, and its two derivatives.

    Of further samples `moments` are the second, third and fourth cumulant of their sum.
    """
    second, third, fourth = moments
    k = t**2 * (second / 2 + t * (third / 6 + t * fourth / 24))
    slope = t * (second + t * (third / 2 + t * fourth / 6))
    curvature = second + t * (third + t * fourth / 2)
    for value in x:
        s = min(max(value * t, -FARTHEST), FARTHEST)
        place = np.arcsinh(s) / spacing + (POINTS - 1)
        node = min(int(place), 2 * POINTS - 3)
        share = place - node
        k += (values[node, 0] + share * (values[node + 1, 0] - values[node, 0])) * s * s / 2
        slope += (values[node, 1] + share * (values[node + 1, 1] - values[node, 1])) * s * value
        change = share * (values[node + 1, 2] - values[node, 2])
        curvature += (values[node, 2] + change) * value * value
    return k, slope, curvature
