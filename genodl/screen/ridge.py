"""Ridge regression on all markers at once, by the relationship of the samples.

Ridge regression of y on many columns X is kernel regression with K = X X' / columns. With
G = (K + penalty I)^-1 over all samples, what the fit without a block of samples b says of them is

    y_b - (G_bb)^-1 (G y)_b ,

whatever y_b is, so that one inverse serves every fold and every group inside the folds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.optimize

PENALTIES = (0.5, 1.5, 4.0, 12.0)  # in units of a sample's relationship with itself


class RidgeFit(NamedTuple):
    """Ridge predictions of some residuals, each by the fits that did not see the sample.

    Attributes
    ----------
    weights : float32, (samples, folds, targets), of the samples in the fit of each fold; K times
        them is its prediction
    inner : float32, (samples, folds, targets), of the training samples of each fold by fits that
        left out their inner group as well
    """

    weights: np.ndarray
    inner: np.ndarray


def ridge(
    kernel: np.ndarray, residual: np.ndarray, *, fold: np.ndarray, inner: np.ndarray
) -> RidgeFit:
    """The ridge fit of each training fold, its penalty chosen on the inner groups.

    Parameters
    ----------
    kernel : float, (samples, samples), mean of the products of standardised markers
    residual : float, (samples, folds, targets), what is to be explained in each training fold
    fold : int, (samples,)
    inner : int, (folds, samples), inner group of each training sample, -1 in the fold itself

    Source
    ------
    Hoerl and Kennard 1970; the left-out prediction after Cook and Weisberg 1982, section 2.2; the
    same background as in Loh and others 2015 and Mbatchou and others 2021.
    """
    folds, targets = residual.shape[1:]
    scale = max(float(np.trace(kernel)) / len(kernel), 1e-12)
    eye = np.eye(len(kernel), dtype=np.float32)
    inverses = [
        scipy.linalg.inv((kernel / scale).astype(np.float32) + p * eye, check_finite=False)
        for p in PENALTIES
    ]
    weights = np.zeros(residual.shape, np.float32)
    kept = np.zeros(residual.shape, np.float32)
    for k in range(folds):
        train = fold != k
        y = np.where(train[:, None], residual[:, k], 0).astype(np.float32)
        y[train] -= y[train].mean(0)
        predicted = np.stack([_inner_predictions(g, y, inner[k]) for g in inverses])
        best = ((y - predicted) ** 2)[:, train].mean(1).argmin(0)
        for t in range(targets):
            kept[:, k, t] = predicted[best[t], :, t]
            weights[:, k, t] = _weights(inverses[best[t]], y[:, t], ~train) / scale
    return RidgeFit(weights, kept)


def stack(y: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Weights of two left-out predictions, 0 or more; 1 and 0 where the second adds nothing.

    The second has a weight only where the two together beat the first by a standard error of the
    gain.

    Parameters
    ----------
    y, first, second : float, (samples,)

    Source
    ------
    Breiman 1996, stacked regressions.
    """
    weights = scipy.optimize.nnls(np.stack([first, second], axis=1).astype(float), y.astype(float))[
        0
    ]
    gain = (y - first) ** 2 - (y - weights[0] * first - weights[1] * second) ** 2
    if gain.mean() <= gain.std() / np.sqrt(len(gain)):
        return 1.0, 0.0
    return float(weights[0]), float(weights[1])


def _inner_predictions(inverse: np.ndarray, y: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Predictions, (samples, targets), of each inner group without it and without the fold."""
    found = np.zeros_like(y)
    whole = inverse @ y
    for group in range(inner.max() + 1):
        out = np.flatnonzero((inner == group) | (inner < 0))
        block = inverse[np.ix_(out, out)]
        predicted = y[out] - scipy.linalg.solve(block, whole[out], assume_a="pos")
        mine = inner[out] == group
        found[out[mine]] = predicted[mine]
    return found


def _weights(inverse: np.ndarray, y: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Weights, (samples,), of the fit without the samples that are out, where y is 0."""
    whole = inverse @ y
    rest = scipy.linalg.solve(inverse[np.ix_(out, out)], whole[out], assume_a="pos")
    return np.where(out, 0, whole - inverse[:, out] @ rest)
