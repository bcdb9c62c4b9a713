"""Tests of a product of two markers on samples that had no part in proposing it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import stats

LEVELS = 256  # values that stand for a larger sample of residuals
STEPS = 40

Cumulants = Callable[[float], tuple[float, float, float]]


def one_sided(direction: np.ndarray, residual: np.ndarray, *, ratio: float = 1.0) -> float:
    """P-value of a positive sum of direction times residual, the larger of two laws.

    Under the first law residuals are exchangeable: each sample draws one from all of them, so a
    skewed or heavy-tailed phenotype and few carriers are allowed for. Under the second each
    residual keeps its sample and size, and its sign is tossed: that allows for a spread that
    differs between genotypes, as where a marker tags a stronger one that was not typed. A product
    counts only where both laws find it unlikely.

    Parameters
    ----------
    direction : float, (samples,), the product, freed of what it must not be confused with
    residual : float, (samples,), held out
    ratio : what relatives and groups multiply the variance of the sum by, at least 1

    Source
    ------
    The tails are those of Lugannani and Rice 1980, in the form of Barndorff-Nielsen 1986.
    """
    u = np.asarray(direction, float) - np.mean(direction)
    e = np.asarray(residual, float) - np.mean(residual)
    if not ((u**2).sum() > 1e-12 and (e**2).sum() > 1e-12):
        return 1.0
    u, e = u / np.sqrt((u**2).sum()), e / e.std()
    level = float(u @ e) / np.sqrt(ratio)
    if level <= 0:
        return 1.0 - stats.norm.sf(-level)
    drawn, tossed = _drawn(u, e), _tossed(u * e)
    reachable = np.where(u > 0, u * e.max(), u * e.min()).sum()
    return float(
        max(
            _tail(drawn, level, reachable),
            _tail(tossed, level, np.abs(u * e).sum()),
        )
    )


def of_folds(p_values: np.ndarray, *, folds: int, proposals: int = 1) -> float:
    """P-value of a product that several folds proposed and tested each on its held-out samples.

    The folds that propose a product are no independent draw, and tests of several are not added
    up: the least p-value is multiplied by the number of folds. As a fold that proposes nothing
    tests nothing, this holds, whatever the dependence, also for a product known to be proposed.

    Parameters
    ----------
    p_values : float, (tests,), one for each fold that proposed it
    folds : of the cross-fitting
    proposals : the most that one fold proposed of what counts as one product
    """
    return float(min(1.0, folds * proposals * np.min(p_values)))


def given_proposed(p_value: float, *, threshold: float) -> float:
    """P-value over all samples of a product that is known to be proposed.

    A product without effect is proposed where its z in some training fold exceeds the threshold,
    which is at least as likely as it is in one; that a p-value is so small, given that it is
    proposed, is therefore at most so many times as likely.
    """
    return min(1.0, p_value / (2 * float(stats.norm.sf(threshold))))


def either(*p_values: float) -> float:
    """P-value of several tests of one product, whatever their dependence."""
    return min(1.0, len(p_values) * min(p_values))


def _drawn(u: np.ndarray, e: np.ndarray) -> Cumulants:
    """Cumulants of the sum of u times draws from e."""
    if len(e) > LEVELS:
        parts = np.array_split(np.sort(e), LEVELS)
        values, weight = np.array([p.mean() for p in parts]), np.array([len(p) for p in parts])
        values = values / np.sqrt((weight * values**2).sum() / len(e))
    else:
        values, weight = e, np.ones(len(e))

    def at(t: float) -> tuple[float, float, float]:
        power = t * np.outer(u, values)
        top = power.max(1, keepdims=True)
        mass = np.exp(power - top) * weight
        total = mass.sum(1)
        first = (mass @ values) / total
        second = (mass @ values**2) / total - first**2
        height = np.log(total / len(e)) + top[:, 0]
        return height.sum(), (u * first).sum(), (u**2 * second).sum()

    return at


def _tossed(terms: np.ndarray) -> Cumulants:
    """Cumulants of the sum of terms whose signs are tossed."""

    def at(t: float) -> tuple[float, float, float]:
        x = np.abs(t * terms)
        height = x + np.log1p(np.exp(-2 * x)) - np.log(2)
        slope = np.tanh(t * terms)
        return height.sum(), (terms * slope).sum(), (terms**2 * (1 - slope**2)).sum()

    return at


def _tail(cumulants: Cumulants, level: float, reachable: float) -> float:
    """P(sum >= level) by the saddlepoint, for a level above the mean of 0."""
    level = min(level, 0.999 * reachable)
    low, high = 0.0, 1.0
    while cumulants(high)[1] < level and high < 1e6:
        low, high = high, 2 * high
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if cumulants(middle)[1] < level else (low, middle)
    t = (low + high) / 2
    height, _, curvature = cumulants(t)
    w = np.sqrt(max(2 * (t * level - height), 0.0))
    if w < 1e-3:
        return float(stats.norm.sf(level))
    v = t * np.sqrt(max(curvature, 1e-12))
    return float(np.clip(stats.norm.sf(w + np.log(max(v, 1e-12) / w) / w), 1e-300, 1.0))
