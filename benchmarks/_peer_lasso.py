"""Lasso and elastic net, with additive coding or with dominance.

Penalties are chosen by cross-validation: of the ranking on all folds, of a prediction on the
folds that do not judge it.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from _contender import THREADS, Answer, channels, design, residual, response, with_ties_broken
from _trial import Trial, standardised
from sklearn.linear_model import LogisticRegression, enet_path

ALPHAS, SMALLEST_ALPHA = 48, 0.02  # of a path, and its end as a share of its start
STRETCH = 6  # alphas after which a path that has not improved ends
PENALTIES = np.geomspace(0.003, 0.1, 8)  # inverse penalties of the logistic lasso


def lasso(trial: Trial, *, dominance: bool, mixing: Sequence[float] = (1.0,)) -> Answer:
    """Lasso or elastic net (scikit-learn); logistic lasso for a binary trait."""
    if trial.kind == "binary":
        return _logistic(trial, dominance=dominance)
    x, y, covariates = channels(trial, dominance=dominance), response(trial), design(trial)
    paths = [_path(x, y, covariates, trial.fold, share) for share in mixing]
    predicted = np.hstack([path[1] for path in paths])
    options = [
        (share, alpha) for share, path in zip(mixing, paths, strict=True) for alpha in path[0]
    ]
    best, prediction = chosen(predicted, (y[:, None] - predicted) ** 2, trial.fold)
    share, alpha = options[best]
    left = residual(y, covariates)
    # the model on all, along the path from its start, as a path is what is cheap to fit
    top = np.abs(x.T @ left).max() / len(left) / share
    weight = _enet(x, left, np.geomspace(max(top, alpha), alpha, 10), share, None)[:, -1]
    score = with_ties_broken(_summed(weight, len(trial.names)), trial)
    settings = {"alpha": float(alpha), "l1_ratio": share, "nonzero": int((weight != 0).sum())}
    return Answer(score, prediction, settings=settings)


def chosen(predicted: np.ndarray, loss: np.ndarray, fold: np.ndarray) -> tuple[int, np.ndarray]:
    """The setting of least loss, and predictions each by the best setting of the other folds.

    Parameters
    ----------
    predicted, loss : float, (samples, settings), out of fold
    """
    best = int(loss.mean(axis=0).argmin())
    held = np.empty(len(fold))
    for one in np.unique(fold):
        inside = fold == one
        held[inside] = predicted[inside, loss[~inside].mean(axis=0).argmin()]
    return best, held


def _enet(x, y, alphas, share, start) -> np.ndarray:
    """Coefficients along a path, (features, alphas)."""
    inside, left = np.asfortranarray(x), np.asarray(y - y.mean(), x.dtype)
    more = {} if start is None else {"coef_init": start}
    return enet_path(inside, left, l1_ratio=share, alphas=alphas, max_iter=3000, tol=1e-3, **more)[
        1
    ]


def _path(x, y, covariates, fold, share) -> tuple[np.ndarray, np.ndarray]:
    """Alphas, and out-of-fold predictions at each, (samples, alphas).

    The path goes on until its error has risen for a whole stretch of alphas.
    """
    trains = [fold != one for one in np.unique(fold)]
    slopes = [np.linalg.lstsq(covariates[t], y[t], rcond=None)[0] for t in trains]
    starts: list[Any] = [None] * len(trains)
    top = np.abs(x.T @ residual(y, covariates)).max() / len(y) / share
    alphas = np.geomspace(top, top * SMALLEST_ALPHA, ALPHAS)
    parts, least = [], np.inf
    for stretch in np.array_split(alphas, ALPHAS // STRETCH):
        predicted = np.empty((len(y), len(stretch)))

        def fit(k: int, stretch=stretch, predicted=predicted) -> None:
            train, slope = trains[k], slopes[k]
            left = y[train] - covariates[train] @ slope
            weights = _enet(x[train], left, stretch, share, starts[k])
            starts[k] = np.ascontiguousarray(weights[:, -1])
            shift = left.mean() - x[train].mean(axis=0) @ weights
            flat = covariates[~train] @ slope
            predicted[~train] = flat[:, None] + x[~train] @ weights + shift

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(fit, range(len(trains))))
        parts.append(predicted)
        lowest = ((y[:, None] - predicted) ** 2).mean(axis=0).min()
        if lowest > least:
            break
        least = lowest
    predicted = np.hstack(parts)
    return alphas[: predicted.shape[1]], predicted


def _summed(coefficients: np.ndarray, count: int) -> np.ndarray:
    """Size of a marker's coefficients over its channels."""
    return np.sqrt((np.asarray(coefficients).reshape(-1, count) ** 2).sum(axis=0))


def _logistic(trial: Trial, *, dominance: bool) -> Answer:
    """L1 logistic regression (liblinear); covariates scaled up, so next to unpenalised."""
    x, y = channels(trial, dominance=dominance), response(trial)
    scaled = 100 * standardised(design(trial)[:, 1:])
    full = np.hstack([x, scaled])
    predicted = np.empty((len(y), len(PENALTIES)))

    def fit(fold: int) -> None:
        train = trial.fold != fold
        for i, c in enumerate(PENALTIES):
            fitted = _l1(c).fit(full[train], y[train])
            predicted[~train, i] = fitted.decision_function(full[~train])

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(fit, np.unique(trial.fold)))
    loss = np.logaddexp(0, np.where(y[:, None] == 1, -predicted, predicted))
    best, prediction = chosen(predicted, loss, trial.fold)
    weight = _l1(PENALTIES[best]).fit(full, y).coef_[0, : x.shape[1]]
    score = with_ties_broken(_summed(weight, len(trial.names)), trial)
    settings = {"C": float(PENALTIES[best]), "nonzero": int((weight != 0).sum())}
    return Answer(score, prediction, settings=settings)


def _l1(c: float) -> LogisticRegression:
    """The logistic lasso at one penalty."""
    return LogisticRegression(
        l1_ratio=1.0, solver="liblinear", C=c, intercept_scaling=100, tol=1e-3, max_iter=200
    )
