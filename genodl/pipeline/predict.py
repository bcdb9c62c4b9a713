"""Out-of-fold predictions of a phenotype in its own unit, and how good they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from genodl.config import DiscoverConfig
from genodl.pipeline.learn import Deep, Linear
from genodl.pipeline.study import Study
from genodl.rank.performance import performance
from genodl.screen import cox
from genodl.screen.residual import Survival, Target

MODELS = ("covariates", "linear", "deep")
RIDGE = 1e-3  # of the slope of a prediction of unit spread


def predictions(
    study: Study, numbers: Sequence[int], joint: Sequence[Linear], deeps: Sequence[Deep]
) -> pd.DataFrame:
    """What each model predicts for the samples it never saw, of one phenotype.

    A quantitative phenotype is predicted in its unit and a class as a probability, which the
    markers shift linearly. Of survival it is the log hazard: the markers' prediction of the
    martingale residual times the slope that a Cox model gives it in the training fold, by
    predictions of inner fits that left those rows out.

    Parameters
    ----------
    numbers : the targets of the phenotype
    joint, deeps : of every target

    Returns
    -------
    DataFrame, columns phenotype sample fold observed covariates linear deep, one row a sample; of
        a multiclass phenotype one a sample and class, which the column `class` names, `observed` 1
        for its members; of survival `observed` is the time and a column `event` is added
    """
    return pd.concat(
        [_of_target(study, study.targets[i], joint[i], deeps[i]) for i in numbers],
        ignore_index=True,
    )


def assessed(
    study: Study,
    numbers: Sequence[int],
    table: pd.DataFrame,
    deeps: Sequence[Deep],
    config: DiscoverConfig,
) -> dict[str, Any]:
    """The metrics of one phenotype from its predictions, see `rank.performance`."""
    target = study.targets[numbers[0]]
    gates = np.concatenate([deeps[i].gate for i in numbers])
    columns: dict[str, np.ndarray] = {m: table[m].to_numpy() for m in MODELS}
    observed: np.ndarray = table["observed"].to_numpy()
    if target.kind == "survival":
        observed = table[["observed", "event"]].to_numpy()
    fold = table["fold"].to_numpy()[: len(table) // len(numbers)]
    if target.label:
        columns = {m: values.reshape(len(numbers), -1).T for m, values in columns.items()}
        observed = observed.reshape(len(numbers), -1).T
    if target.kind in ("binary", "multiclass"):
        level = training_share(observed, fold)
        columns = {m: values - level for m, values in columns.items()}
    return performance(
        observed,
        columns,
        kind=target.kind,
        gate=gates,
        products=any(deeps[i].products.attribution for i in numbers),
        seed=config.seed,
    )


def training_share(member: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Share of each class among the samples of the other folds, of the shape of `member`.

    A fold with fewer cases than its share has a training fold with more: predictions of different
    folds are ranked together only once this level, which opposes the truth, is taken out.
    """
    level = np.zeros(member.shape)
    for k in np.unique(fold):
        level[fold == k] = member[fold != k].mean(axis=0)
    return level


def _of_target(study: Study, target: Target, linear: Linear, deep: Deep) -> pd.DataFrame:
    """One row a sample where the target is known."""
    folded, known = study.folded, target.known
    places = np.arange(len(known))
    straight = linear.prediction[places, folded.fold]
    more = straight + deep.products.prediction + deep.network.prediction
    if target.survival is None:
        expected = target.values - target.residual[places, folded.fold]
        found = {"covariates": expected, "linear": expected + straight, "deep": expected + more}
        observed = target.values
    else:
        slopes = _slopes(target, target.survival, linear.inner, folded.fold)
        fold, hazard = folded.fold, target.survival.log_hazard
        expected = hazard[places, fold]
        found = {
            "covariates": expected,
            "linear": expected + straight * slopes[fold],
            "deep": expected + more * slopes_of(target, linear, deep, fold)[fold],
        }
        observed = target.survival.time
    table = {
        "phenotype": target.name,
        "sample": study.cohort.samples.index.to_numpy()[folded.rows.ravel()[known]],
        "fold": folded.fold[known] + 1,
        "observed": observed[known],
        **{model: values[known] for model, values in found.items()},
    }
    if target.label:
        table["class"] = target.label
    if target.survival is not None:
        table["event"] = target.values[known]
    return pd.DataFrame(table)


def slopes_of(target: Target, linear: Linear, deep: Deep, fold: np.ndarray) -> np.ndarray:
    """A unit of the predicted residual in the unit of the prediction, (folds,)."""
    if target.survival is None:
        return np.ones(len(deep.gate))
    added = linear.inner + deep.products.inner + deep.network.inner
    return _slopes(target, target.survival, added, fold)


def _slopes(target: Target, survival: Survival, inner: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Log hazard a unit of the predicted residual, (folds,), 0 or more, by each training fold.

    Where the inner fits predict nothing it is the one-step estimate, samples over events.
    """
    slopes = np.full(inner.shape[1], 1 / target.information)
    for k in range(len(slopes)):
        train = target.known & (fold != k)
        predicted = inner[train, k].astype(float)
        spread = predicted.std()
        if spread > 0:
            model = cox.fit(
                survival.time[train],
                target.values[train],
                predicted[:, None] / spread,
                offset=survival.log_hazard[train, k],
                ridge=RIDGE,
            )
            slopes[k] = max(float(model.coefficients[0]) / spread, 0.0)
    return slopes
