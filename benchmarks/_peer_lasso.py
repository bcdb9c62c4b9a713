"""Lasso and elastic net, with additive coding or with dominance.

Penalties are chosen by cross-validation on the very folds that judge the prediction, which can
only flatter these peers.
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
    left = residual(y, covariates)
    tried = [_path(x, y, covariates, trial.fold, share) for share in mixing]
    best = int(np.argmin([found[0] for found in tried]))
    _, alpha, prediction = tried[best]
    # the model on all, along the path from its start, as a path is what is cheap to fit
    top = np.abs(x.T @ left).max() / len(left) / mixing[best]
    alphas = np.geomspace(max(top, alpha), alpha, 10)
    weight = _enet(x, left, alphas, mixing[best], None)[:, -1]
    score = with_ties_broken(_summed(weight, len(trial.names)), trial)
    settings = {
        "alpha": float(alpha),
        "l1_ratio": mixing[best],
        "nonzero": int((weight != 0).sum()),
    }
    return Answer(score, prediction, settings=settings)


def _enet(x, y, alphas, share, start) -> np.ndarray:
    """Coefficients along a path, (features, alphas)."""
    inside, left = np.asfortranarray(x), np.asarray(y - y.mean(), x.dtype)
    more = {} if start is None else {"coef_init": start}
    return enet_path(inside, left, l1_ratio=share, alphas=alphas, max_iter=3000, tol=1e-3, **more)[
        1
    ]


def _path(x, y, covariates, fold, share) -> tuple[float, float, np.ndarray]:
    """The least out-of-fold error along a path, its alpha, and the predictions there.

    The path goes on until its error has risen for a whole stretch of alphas.
    """
    trains = [fold != one for one in np.unique(fold)]
    slopes = [np.linalg.lstsq(covariates[t], y[t], rcond=None)[0] for t in trains]
    starts: list[Any] = [None] * len(trains)
    top = np.abs(x.T @ residual(y, covariates)).max() / len(y) / share
    alphas = np.geomspace(top, top * SMALLEST_ALPHA, ALPHAS)
    best: tuple[float, float, np.ndarray] = (np.inf, top, y)
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
        error = ((y[:, None] - predicted) ** 2).mean(axis=0)
        low = int(error.argmin())
        if error[low] < best[0]:
            best = (float(error[low]), float(stretch[low]), predicted[:, low].copy())
        else:
            break
    return best


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
    loss = np.logaddexp(0, np.where(y[:, None] == 1, -predicted, predicted)).mean(axis=0)
    chosen = int(loss.argmin())
    weight = _l1(PENALTIES[chosen]).fit(full, y).coef_[0, : x.shape[1]]
    score = with_ties_broken(_summed(weight, len(trial.names)), trial)
    settings = {"C": float(PENALTIES[chosen]), "nonzero": int((weight != 0).sum())}
    return Answer(score, predicted[:, chosen], settings=settings)


def _l1(c: float) -> LogisticRegression:
    """The logistic lasso at one penalty."""
    return LogisticRegression(
        l1_ratio=1.0, solver="liblinear", C=c, intercept_scaling=100, tol=1e-3, max_iter=200
    )
