"""False discovery rates and combinations of p-values."""

from __future__ import annotations

import numpy as np
from scipy import stats


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


def cauchy_combination(log_p: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """Natural log of the combined p-value of each group of dependent tests, (groups,).

    Parameters
    ----------
    log_p : float, (tests,), natural log of the p-values
    group : int, (tests,), group of each test

    Source
    ------
    Liu and Xie 2020, equation 1, with equal weights.
    """
    log_p = np.minimum(np.asarray(log_p, float), np.log(0.99))
    # far in the tail tan((1/2 - p) pi) is 1 / (p pi); scaling by the smallest p keeps it finite
    least = np.full(groups, 0.0)
    np.minimum.at(least, group, log_p)
    relative = np.exp(least[group])
    p = np.exp(log_p)
    bulk = np.tan((0.5 - np.maximum(p, 1e-12)) * np.pi) * relative
    tail = np.exp(least[group] - log_p) / np.pi
    total = np.bincount(group, np.where(log_p < np.log(1e-8), tail, bulk), groups)
    size = np.bincount(group, minlength=groups)
    mean = total / np.maximum(size, 1)
    shallow = least > np.log(1e-6)
    scale = np.exp(np.maximum(least, np.log(1e-6)))
    exact = np.log(np.clip(stats.cauchy.sf(mean / scale), 1e-300, 1.0))
    deep = least - np.log(np.pi * np.maximum(mean, 1e-300))
    return np.minimum(np.where(shallow, exact, deep), 0.0)
