"""The exact sparse linear path, its penalty chosen inside the training fold."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lasso_path

PENALTIES = np.geomspace(1.0, 0.05, 30)
GAIN_Z = 1.64  # standard errors of the inner gain
TWINS_R2 = 0.9
SEGMENT = 6  # penalties fitted before the path is asked whether to go on


class SparseFit(NamedTuple):
    """A sparse linear prediction of a residual.

    Attributes
    ----------
    coefficients : float64, (features,), mostly 0
    inner : float64, (samples,), predictions of the training samples by fits that left them out
    """

    coefficients: np.ndarray
    inner: np.ndarray


def sparse_path(
    values: np.ndarray,
    residual: np.ndarray,
    *,
    features: np.ndarray,
    inner: np.ndarray,
    inner_features: Sequence[np.ndarray],
) -> SparseFit:
    """Lasso at the penalty of least inner cross-validated error.

    Each inner fit sees only the features that a screen without its left-out rows passed on: a
    screen of all rows has seen the answers, and the inner error would favour fitting noise.
    Nothing is selected unless the inner predictions beat zero by `GAIN_Z` standard errors. The
    path runs from the largest useful penalty downwards and stops once the inner error has risen
    for a whole segment.

    Parameters
    ----------
    values : float32, (samples, columns), of the training samples
    residual : float64, (samples,)
    features : int, columns of the final fit
    inner : int, (samples,), inner group of each sample, from 0
    inner_features : of each inner group, columns of the fit that leaves it out

    Returns
    -------
    SparseFit; its coefficients are those of `features`, on centred columns

    Source
    ------
    Tibshirani 1996; coordinate descent after Friedman, Hastie and Tibshirani 2010; screening
    inside the validation after Ambroise and McLachlan 2002.
    """
    y = residual - residual.mean()
    nothing = SparseFit(np.zeros(len(features)), np.zeros(len(y)))
    x = _centred(values, features)
    largest = np.abs(x.T @ y).max(initial=0) / len(y)
    if not largest > 0:
        return nothing
    penalties = largest * PENALTIES
    predicted = _inner_predictions(values, y, inner, inner_features, penalties)
    best = int(((y[:, None] - predicted) ** 2).mean(0).argmin())
    gain = y**2 - (y - predicted[:, best]) ** 2
    if gain.mean() <= GAIN_Z * gain.std() / np.sqrt(len(y)):
        return nothing
    whole = _path(x, y, penalties[: best + 1], tolerance=1e-4)
    return SparseFit(whole[:, -1], predicted[:, best])


def distinct(features: np.ndarray, *, r2: float = TWINS_R2) -> np.ndarray:
    """Columns that are no near copies of an earlier one, int, ascending.

    The path gains nothing from two columns that say the same, and crawls along their valley.

    Parameters
    ----------
    features : float, (samples, features), centred, the most wanted first
    r2 : squared correlation above which a later column is a copy
    """
    length = np.sqrt((features**2).sum(0))
    unit = features / np.maximum(length, 1e-12)
    copies = (unit.T @ unit) ** 2 > r2
    kept = length > 0
    for column in range(len(kept)):
        if kept[column]:
            kept[column + 1 :] &= ~copies[column, column + 1 :]
    return np.flatnonzero(kept)


def _centred(values: np.ndarray, features: np.ndarray, rows: np.ndarray | None = None):
    """Chosen columns, float64, Fortran order, less their mean."""
    chosen = values[:, features] if rows is None else values[np.ix_(rows, features)]
    x = np.asfortranarray(chosen, dtype=np.float64)
    x -= x.mean(0)
    return x


def _inner_predictions(values, y, inner, inner_features, penalties):
    """Left-out predictions, (samples, penalties), of as many penalties as are worth it."""
    parts = []
    for group, features in enumerate(inner_features):
        out, kept = np.flatnonzero(inner == group), np.flatnonzero(inner != group)
        x = _centred(values, features, kept)
        mean = values[np.ix_(kept, features)].mean(0)
        target = y[kept] - y[kept].mean()
        parts.append((out, x, target, x.T @ x, x.T @ target, values[np.ix_(out, features)] - mean))
    warm: list[np.ndarray | None] = [None] * len(parts)
    pieces: list[np.ndarray] = []
    least = np.inf
    for start in range(0, len(penalties), SEGMENT):
        chosen = penalties[start : start + SEGMENT]
        piece = np.zeros((len(y), len(chosen)))
        for k, (out, x, target, gram, product, left) in enumerate(parts):
            path = _path(x, target, chosen, gram, product, tolerance=1e-3, warm=warm[k])
            warm[k] = path[:, -1]
            piece[out] = left @ path
        pieces.append(piece)
        lowest = ((y[:, None] - piece) ** 2).mean(0).min()
        if lowest >= least:
            break
        least = lowest
    return np.concatenate(pieces, axis=1)


def _path(x, y, penalties, gram=None, product=None, *, tolerance, warm=None):
    """Lasso coefficients, (features, penalties), by coordinate descent on the Gram matrix."""
    with warnings.catch_warnings():
        # the path is a means to a ranking: a duality gap of a percent is enough
        warnings.simplefilter("ignore", ConvergenceWarning)
        return lasso_path(
            x,
            y,
            alphas=penalties,
            precompute=x.T @ x if gram is None else gram,
            Xy=x.T @ y if product is None else product,
            coef_init=warm,
            tol=tolerance,
            max_iter=300,
            check_input=False,
        )[1]
