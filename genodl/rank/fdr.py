"""False discovery rates and combinations of p-values."""

from __future__ import annotations

import numpy as np
from scipy import stats

LARGEST = np.log(0.99)  # p-values at 1 would outweigh everything in a Cauchy sum
SHALLOW = np.log(1e-6)  # above, the exact Cauchy tail; below, its limit


def benjamini_hochberg(p_values: np.ndarray) -> np.ndarray:
    """q-values, (tests,): the least FDR at which each test is selected.

    Parameters
    ----------
    p_values : float, (tests,), without nan

    Source
    ------
    Benjamini and Hochberg 1995; Benjamini and Yekutieli 2001 for positive dependence.
    """
    if len(p_values) == 0:
        return np.zeros(0)
    return stats.false_discovery_control(np.clip(p_values, 0, 1), method="bh")


def cauchy_combination(
    log_p: np.ndarray, group: np.ndarray, groups: int, *, weight: np.ndarray | None = None
) -> np.ndarray:
    """Natural log of the combined p-value of each group of dependent tests, (groups,).

    Parameters
    ----------
    log_p : float, (tests,), natural log of the p-values, however small
    group : int, (tests,), group of each test; a group without tests has log 1 = 0
    weight : float, (tests,), positive; equal where None

    Source
    ------
    Liu and Xie 2020, equation 1.
    """
    log_p = np.asarray(log_p, float)
    weight = np.ones(len(log_p)) if weight is None else weight
    size = np.bincount(group, minlength=groups)
    lone = (size[group] == 1) if len(group) else np.zeros(0, bool)
    alone = np.zeros(groups)
    alone[group[lone]] = log_p[lone]
    cut = np.minimum(log_p, LARGEST)
    # cot(p pi) is 1 / (p pi) far in the tail; times the smallest p of the group it stays finite
    least = np.zeros(groups)
    np.minimum.at(least, group, cut)
    bulk = np.exp(least[group]) / np.tan(np.maximum(np.exp(cut), 1e-12) * np.pi)
    tail = np.exp(least[group] - cut) / np.pi
    terms = weight * np.where(cut < np.log(1e-8), tail, bulk)
    total = np.bincount(group, weight, groups)
    mean = np.bincount(group, terms, groups) / np.maximum(total, 1e-300)
    scale = np.exp(np.maximum(least, SHALLOW))
    exact = np.log(np.clip(stats.cauchy.sf(mean / scale), 1e-300, 1.0))
    deep = least - np.log(np.pi * np.maximum(mean, 1e-300))
    combined = np.minimum(np.where(least > SHALLOW, exact, deep), 0.0)
    return np.where(size > 1, combined, alone)
