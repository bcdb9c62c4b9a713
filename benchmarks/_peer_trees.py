"""Boosted trees ranked by SHAP, and a random forest; both read the covariates as features too."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from _contender import (
    THREADS,
    Absent,
    Answer,
    baseline,
    design,
    markers,
    offset,
    residual,
    response,
    with_ties_broken,
)
from _trial import Trial
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

DEPTHS, RATE, ROUNDS, PATIENCE = (1, 2, 4, 6), 0.1, 500, 20
TREES, FEATURES = 300, (0.03, 0.15)  # of a forest; share of the features a split tries
INNER = 5  # groups of whole folds that choose depth and rounds
OBJECTIVES = {
    "quantitative": ("reg:squarederror", "rmse"),
    "binary": ("binary:logistic", "logloss"),
    "survival": ("survival:cox", "cox-nloglik"),
}


def xgboost(
    trial: Trial,
    *,
    depths: Sequence[int] = DEPTHS,
    rate: float = RATE,
    predicting: bool = True,
) -> Answer:
    """Boosted trees, ranked by mean |SHAP| (TreeSHAP of XGBoost itself) of the model on all.

    Depth and number of rounds by cross-validation with early stopping; 80 % of rows and half of
    the columns a tree, as its authors advise against overfitting.
    """
    try:
        import xgboost as xgb
    except ImportError:
        raise Absent("xgboost is not installed") from None
    boosted = _Boosted(xgb, trial, rate)
    group = trial.fold % INNER
    curves = [boosted.curves(group, depth) for depth in depths]
    prediction = _predicted(boosted, trial.fold, curves, depths) if predicting else None
    place, rounds = _best(curves, np.arange(INNER))
    depth = depths[place]
    shares = boosted.shares(depth, rounds)[:, : len(trial.names)]
    score = np.abs(shares).mean(axis=0)
    settings = {"rounds": rounds, "max_depth": depth, "eta": rate}
    return Answer(with_ties_broken(score, trial), prediction, settings=settings)


def _predicted(
    boosted: _Boosted, fold: np.ndarray, curves: Sequence[np.ndarray], depths: Sequence[int]
) -> np.ndarray:
    """Margins of each fold by a model of all others."""
    folds = [np.flatnonzero(fold == each) for each in np.unique(fold)]
    # the group that holds a fold has no say in the settings it is predicted with
    others = [np.setdiff1d(np.arange(INNER), fold[rows] % INNER) for rows in folds]
    chosen = [_best(curves, judges) for judges in others]

    def held(rows: np.ndarray, best: tuple[int, int]) -> np.ndarray:
        return boosted.predicted(rows, depths[best[0]], best[1])

    prediction = np.empty(len(fold))
    with ThreadPoolExecutor(THREADS) as pool:
        for rows, values in zip(folds, pool.map(held, folds, chosen), strict=True):
            prediction[rows] = values
    return prediction


def _best(curves: Sequence[np.ndarray], judges: np.ndarray) -> tuple[int, int]:
    """Place and number of rounds of the least mean loss over the judging groups."""
    means = [curve[judges].mean(axis=0) for curve in curves]
    place = int(np.argmin([mean.min() for mean in means]))
    return place, int(means[place].argmin()) + 1


class _Boosted:
    """The matrices of one trial and the models grown on them."""

    def __init__(self, xgb: Any, trial: Trial, rate: float):
        self.xgb, self.kind, self.rate = xgb, trial.kind, rate
        self.covariates, self.y = design(trial), response(trial)
        self.label = _survival_label(trial) if trial.kind == "survival" else self.y
        self.x = np.hstack([markers(trial), self.covariates[:, 1:].astype(np.float32)])

    def matrix(self, rows: np.ndarray, train: np.ndarray) -> Any:
        """Samples with what the covariates of the training samples predict as a start."""
        made = self.xgb.DMatrix(self.x[rows], label=self.label[rows], nthread=1)
        if self.kind != "survival":
            start = offset(self.kind, self.covariates[train], self.y[train])
            made.set_base_margin(start(self.covariates[rows]))
        return made

    def grow(self, matrix: Any, depth: int, rounds: int, **more: Any) -> Any:
        """A model."""
        goal, metric = OBJECTIVES[self.kind]
        fixed = {"objective": goal, "eval_metric": metric, "seed": 0, "nthread": 1}
        chosen = {"max_depth": depth, "eta": self.rate, "subsample": 0.8, "colsample_bytree": 0.5}
        return self.xgb.train(fixed | chosen, matrix, rounds, verbose_eval=False, **more)

    def curve(self, held: np.ndarray, depth: int) -> list[float]:
        """Loss of the held-out samples after each round."""
        train = np.setdiff1d(np.arange(len(self.y)), held)
        log: dict[str, Any] = {}
        watched = [(self.matrix(held, train), "held")]
        more = {"evals": watched, "evals_result": log, "early_stopping_rounds": PATIENCE}
        self.grow(self.matrix(train, train), depth, ROUNDS, **more)
        return next(iter(log["held"].values()))

    def curves(self, group: np.ndarray, depth: int) -> np.ndarray:
        """Loss of each group of whole folds after each round, (groups, rounds)."""
        held = [np.flatnonzero(group == g) for g in range(INNER)]
        with ThreadPoolExecutor(THREADS) as pool:
            found = list(pool.map(lambda rows: self.curve(rows, depth), held))
        length = max(map(len, found))
        # a group that stopped keeps its last loss
        return np.array([c + [c[-1]] * (length - len(c)) for c in found])

    def predicted(self, held: np.ndarray, depth: int, rounds: int) -> np.ndarray:
        """Margins of held-out samples."""
        train = np.setdiff1d(np.arange(len(self.y)), held)
        grown = self.grow(self.matrix(train, train), depth, rounds)
        return grown.predict(self.matrix(held, train), output_margin=True)

    def shares(self, depth: int, rounds: int) -> np.ndarray:
        """SHAP values of the model on all samples, (samples, features and intercept)."""
        every = np.arange(len(self.y))
        whole = self.matrix(every, every)
        return self.grow(whole, depth, rounds).predict(whole, pred_contribs=True)


def _survival_label(trial: Trial) -> np.ndarray:
    """Times, negative where censored, as XGBoost reads them."""
    time, event = (trial.samples[c].to_numpy(float) for c in ("time", "event"))
    return np.where(event == 1, time, -time)


def forest(trial: Trial) -> Answer:
    """Random forest (scikit-learn), ranked by its impurity importance.

    Features a split by the out-of-bag score; out-of-bag predictions stand for out-of-fold ones,
    on top of what the covariates predict; classes of a binary trait read the covariates instead.
    """
    covariates, y = design(trial), response(trial)
    x = np.hstack([markers(trial), covariates[:, 1:].astype(np.float32)])
    binary = trial.kind == "binary"
    goal = y.astype(int) if binary else residual(y, covariates)
    small = [_grown(x, goal, share, binary, trees=100) for share in FEATURES]
    best = FEATURES[int(np.argmax([each.oob_score_ for each in small]))]
    grown = _grown(x, goal, best, binary, trees=TREES)
    out = grown.oob_decision_function_[:, 1] if binary else baseline(trial) + grown.oob_prediction_
    score = grown.feature_importances_[: len(trial.names)]
    return Answer(with_ties_broken(score, trial), out, settings={"max_features": best})


def _grown(x: np.ndarray, y: np.ndarray, share: float, binary: bool, *, trees: int) -> Any:
    """A forest with its out-of-bag predictions."""
    kind = RandomForestClassifier if binary else RandomForestRegressor
    chosen = {"min_samples_leaf": 5, "max_features": share, "n_estimators": trees}
    return kind(**chosen, oob_score=True, n_jobs=THREADS, random_state=0).fit(x, y)
