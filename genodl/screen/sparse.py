"""The exact sparse linear path, its penalty chosen inside the training fold."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lasso_path

INNER_FOLDS = 5
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


def sparse_path(features: np.ndarray, residual: np.ndarray, *, seed: int) -> SparseFit:
    """Lasso at the penalty of least inner cross-validated error.

    Nothing is selected unless the inner predictions beat zero by `GAIN_Z` standard errors: a path
    that fits noise adds it to every test. The path runs from the largest useful penalty downwards
    and stops once the inner error has risen for a whole segment.

    Parameters
    ----------
    features : float32 or float64, (samples, features), centred
    residual : float64, (samples,), centred
    seed : of the inner folds

    Source
    ------
    Tibshirani 1996; coordinate descent after Friedman, Hastie and Tibshirani 2010.
    """
    x = np.asfortranarray(features, dtype=np.float64)
    y = np.asarray(residual, np.float64)
    samples, width = x.shape
    nothing = SparseFit(np.zeros(width), np.zeros(samples))
    gram, product = x.T @ x, x.T @ y
    largest = np.abs(product).max(initial=0) / samples
    if not largest > 0:
        return nothing
    inner = np.random.default_rng(seed).permutation(samples) % INNER_FOLDS
    penalties = largest * PENALTIES
    predicted = _inner_predictions(x, y, gram, product, inner, penalties)
    best = int(((y[:, None] - predicted) ** 2).mean(0).argmin())
    gain = y**2 - (y - predicted[:, best]) ** 2
    if gain.mean() <= GAIN_Z * gain.std() / np.sqrt(samples):
        return nothing
    whole = _path(x, y, gram, product, penalties[: best + 1], tolerance=1e-4)
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


def _inner_predictions(x, y, gram, product, inner, penalties):
    """Left-out predictions, (samples, penalties), of as many penalties as are worth it."""
    held = [inner == k for k in range(INNER_FOLDS)]
    parts = []
    for out in held:
        part, kept = x[out], np.asfortranarray(x[~out])
        parts.append((kept, y[~out], gram - part.T @ part, product - part.T @ y[out], part))
    warm: list[np.ndarray | None] = [None] * INNER_FOLDS
    pieces: list[np.ndarray] = []
    least = np.inf
    for start in range(0, len(penalties), SEGMENT):
        chosen = penalties[start : start + SEGMENT]
        piece = np.empty((len(y), len(chosen)))
        for k, (kept, target, g, p, part) in enumerate(parts):
            path = _path(kept, target, g, p, chosen, tolerance=1e-3, warm=warm[k])
            warm[k] = path[:, -1]
            piece[held[k]] = part @ path
        pieces.append(piece)
        lowest = ((y[:, None] - piece) ** 2).mean(0).min()
        if lowest >= least:
            break
        least = lowest
    return np.concatenate(pieces, axis=1)


def _path(x, y, gram, product, penalties, *, tolerance, warm=None):
    """Lasso coefficients, (features, penalties), by coordinate descent on the Gram matrix."""
    with warnings.catch_warnings():
        # the path is a means to a ranking: a duality gap of a percent is enough
        warnings.simplefilter("ignore", ConvergenceWarning)
        return lasso_path(
            x,
            y,
            alphas=penalties,
            precompute=gram,
            Xy=product,
            coef_init=warm,
            tol=tolerance,
            max_iter=300,
            check_input=False,
        )[1]
