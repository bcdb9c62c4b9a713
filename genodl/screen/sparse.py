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
    views : float32, (groups, samples), predictions of all of them by the fit that left out a group
    """

    coefficients: np.ndarray
    inner: np.ndarray
    views: np.ndarray


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
    for a whole segment. A column that is nearly a copy of a better one is left out.

    Parameters
    ----------
    values : float32, (samples, columns), of the training samples
    residual : float64, (samples,)
    features : int, columns of the final fit, the most wanted first
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
    views = np.zeros((len(inner_features), len(y)), np.float32)
    nothing = SparseFit(np.zeros(len(features)), np.zeros(len(y)), views)
    used, place = np.unique(np.concatenate([features, *inner_features]), return_inverse=True)
    lists = np.split(place, np.cumsum([len(features), *map(len, inner_features)])[:-1])
    x = values[:, used] - values[:, used].mean(0, dtype=np.float64).astype(np.float32)
    whole = _problem(x, y, lists[0], gram=x.T @ x, out=np.zeros(len(y), bool))
    largest = np.abs(whole.product).max(initial=0) / len(y)
    if not largest > 0:
        return nothing
    penalties = largest * PENALTIES
    parts = []
    for group, columns in enumerate(lists[1:]):
        out = inner == group
        parts.append(_problem(x, y, columns, gram=whole.gram_of_all - x[out].T @ x[out], out=out))
    predicted, paths = _inner_predictions(parts, y, penalties)
    best = int(((y[:, None] - predicted) ** 2).mean(0).argmin())
    gain = y**2 - (y - predicted[:, best]) ** 2
    if gain.mean() <= GAIN_Z * gain.std() / np.sqrt(len(y)):
        return nothing
    coefficients = np.zeros(len(features))
    path = _path(whole, penalties[: best + 1], tolerance=1e-4)
    coefficients[whole.kept] = path[:, -1]
    for view, part, path in zip(views, parts, paths, strict=True):
        used = path[:, best] != 0
        columns = part.columns[used]
        view[:] = (x[:, columns] - part.mean[columns]) @ path[used, best]
    return SparseFit(coefficients, predicted[:, best], views)


class _Problem(NamedTuple):
    """A lasso on some rows: its Gram matrix and what goes with it, columns and rows centred."""

    kept: np.ndarray
    columns: np.ndarray
    mean: np.ndarray
    x: np.ndarray
    y: np.ndarray
    gram: np.ndarray
    product: np.ndarray
    gram_of_all: np.ndarray
    out: np.ndarray
    left: np.ndarray


def _problem(
    x: np.ndarray, y: np.ndarray, columns: np.ndarray, *, gram: np.ndarray, out: np.ndarray
) -> _Problem:
    """The lasso on the rows that are not left out; `gram` is that of those rows, all columns."""
    rows = ~out
    mean = x[rows].mean(0, dtype=np.float64)
    centred = gram[np.ix_(columns, columns)] - rows.sum() * np.outer(mean[columns], mean[columns])
    kept = _distinct(centred, r2=TWINS_R2)
    chosen = columns[kept]
    inside = np.asfortranarray(x[np.ix_(rows, chosen)] - mean[chosen], dtype=np.float64)
    target = y[rows] - y[rows].mean()
    return _Problem(
        kept,
        chosen,
        mean,
        inside,
        target,
        np.ascontiguousarray(centred[np.ix_(kept, kept)], dtype=np.float64),
        inside.T @ target,
        gram,
        np.flatnonzero(out),
        x[np.ix_(out, chosen)] - mean[chosen],
    )


def _distinct(gram: np.ndarray, *, r2: float) -> np.ndarray:
    """Columns that are no near copies of an earlier one, ascending, by the Gram matrix.

    The path gains nothing from two columns that say the same, and crawls along their valley.
    """
    power = np.maximum(np.diag(gram), 0)
    kept = power > 1e-6 * power.max(initial=1e-12)
    copies = gram**2 > r2 * np.outer(power, power)
    for column in range(len(kept)):
        if kept[column]:
            kept[column + 1 :] &= ~copies[column, column + 1 :]
    return np.flatnonzero(kept)


def _inner_predictions(
    parts: Sequence[_Problem], y: np.ndarray, penalties: np.ndarray
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Left-out predictions, (samples, penalties), of as many penalties as are worth it, and paths.

    A path is the coefficients of a part, (features, penalties).
    """
    warm: list[np.ndarray | None] = [None] * len(parts)
    paths: list[list[np.ndarray]] = [[] for _ in parts]
    pieces: list[np.ndarray] = []
    nothing = least = (y**2).mean()
    idle = 0
    for start in range(0, len(penalties), SEGMENT):
        chosen = penalties[start : start + SEGMENT]
        piece = np.zeros((len(y), len(chosen)))
        for k, part in enumerate(parts):
            path = _path(part, chosen, tolerance=1e-3, warm=warm[k])
            warm[k] = path[:, -1]
            paths[k].append(path)
            piece[part.out] = part.left @ path
        pieces.append(piece)
        lowest = ((y[:, None] - piece) ** 2).mean(0).min()
        idle = 0 if lowest < least else idle + 1
        least = min(least, lowest)
        # a path that has gained nothing yet is given one segment more
        if idle > (1 if least == nothing else 0):
            break
    return np.concatenate(pieces, axis=1), [np.concatenate(path, axis=1) for path in paths]


def _path(problem: _Problem, penalties: np.ndarray, *, tolerance: float, warm=None) -> np.ndarray:
    """Lasso coefficients, (features, penalties), by coordinate descent on the Gram matrix."""
    with warnings.catch_warnings():
        # the path is a means to a ranking: a duality gap of a percent is enough
        warnings.simplefilter("ignore", ConvergenceWarning)
        return lasso_path(
            problem.x,
            problem.y,
            alphas=penalties,
            precompute=problem.gram,
            Xy=problem.product,
            coef_init=warm,
            tol=tolerance,
            max_iter=300,
            check_input=False,
        )[1]
