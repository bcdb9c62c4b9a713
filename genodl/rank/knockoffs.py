"""Group knockoffs of Gaussian markers, and the filter that selects with them."""

from __future__ import annotations

import numpy as np
from sklearn.covariance import ledoit_wolf
from sklearn.linear_model import LassoCV

LEAST_VARIANCE = 1e-8
PENALTIES = 40
SPAN = 0.02  # of the least to the greatest penalty


def gaussian_knockoffs(values: np.ndarray, group: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Knockoffs of the markers of one block, float64, (samples, markers).

    They have the covariance of the markers among themselves and with every marker of another
    group, and as little as they may with their own group. The covariance is shrunk (Ledoit and
    Wolf), so with few samples it is matched in part only; dosages are taken as Gaussian.

    Parameters
    ----------
    values : float, (samples, markers), centred
    group : int, (markers,), the group of each
    noise : float, (samples, markers), independent standard normal draws

    Source
    ------
    Candès, Fan, Janson and Lv 2018, equation 3.2; Dai and Barber 2016 for groups.
    """
    values = np.asarray(values, np.float64)
    scale = np.sqrt(np.maximum((values**2).mean(0), LEAST_VARIANCE))
    x = values / scale
    covariance = ledoit_wolf(x, assume_centered=True)[0]
    apart = equicorrelated(covariance, group)
    kept = np.linalg.solve(covariance, apart)
    left = root(2 * apart - apart @ kept)
    return (x - x @ kept + noise @ left) * scale


def equicorrelated(covariance: np.ndarray, group: np.ndarray) -> np.ndarray:
    """S, (markers, markers): what the covariance with the knockoffs lacks within each group.

    The covariance within groups, times the largest factor up to 1 for which twice the covariance
    less S has no negative eigenvalue.
    """
    within = covariance * (group[:, None] == group[None, :])
    size, vector = np.linalg.eigh(within)
    inverse = (vector / np.sqrt(np.maximum(size, LEAST_VARIANCE))) @ vector.T
    least = np.linalg.eigvalsh(inverse @ covariance @ inverse)[0]
    return within * np.clip(2 * least, 0.0, 1.0)


def root(matrix: np.ndarray) -> np.ndarray:
    """The symmetric root of a matrix without negative eigenvalues but for rounding."""
    size, vector = np.linalg.eigh((matrix + matrix.T) / 2)
    return (vector * np.sqrt(np.maximum(size, 0))) @ vector.T


def coefficient_differences(
    values: np.ndarray, knockoffs: np.ndarray, response: np.ndarray, fold: np.ndarray
) -> np.ndarray:
    """W of each marker, (markers,): its lasso coefficient, by size, less that of its knockoff.

    Parameters
    ----------
    values, knockoffs : float, (samples, markers)
    response : float, (samples,), centred
    fold : int, (samples,), of the cross-validation that chooses the penalty

    Source
    ------
    Candès, Fan, Janson and Lv 2018, section 3.2 (the lasso coefficient difference).
    """
    markers = values.shape[1]
    both = np.hstack([values, knockoffs]).astype(np.float64)
    both -= both.mean(0)
    both /= np.sqrt(np.maximum((both**2).mean(0), LEAST_VARIANCE))
    if not np.abs(both.T @ response).max(initial=0) > 0:
        return np.zeros(markers)
    splits = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in np.unique(fold)]
    model = LassoCV(eps=SPAN, alphas=PENALTIES, fit_intercept=False, cv=splits, max_iter=3_000)
    size = np.abs(model.fit(both, response).coef_)
    return size[:markers] - size[markers:]


def threshold(w: np.ndarray, *, fdr: float) -> float:
    """The least W that is selected at a false discovery rate (knockoff+); infinity: none is."""
    q = q_values(w)
    return float(w[q <= fdr].min(initial=np.inf))


def q_values(w: np.ndarray) -> np.ndarray:
    """The least false discovery rate at which the filter selects each group, (groups,), up to 1.

    Parameters
    ----------
    w : float, (groups,), as likely positive as negative where a group says nothing

    Source
    ------
    Barber and Candès 2015, the knockoff+ filter.
    """
    level = np.unique(np.abs(w[w > 0]))
    if not len(level):
        return np.ones(len(w))
    above = len(w) - np.searchsorted(np.sort(w), level, side="left")
    below = np.searchsorted(np.sort(w), -level, side="right")
    ratio = np.minimum(np.minimum.accumulate((1 + below) / np.maximum(above, 1)), 1.0)
    q = np.ones(len(w))
    chosen = w > 0
    q[chosen] = ratio[np.searchsorted(level, w[chosen])]
    return q
