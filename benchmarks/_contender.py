"""What contenders share: the answer they give, and the inputs they are given.

A contender is a function of a trial that returns an `Answer`. Covariates are taken out of the
phenotype within each training fold, and out of the markers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from _recovery_score import Locus
from _trial import Trial, standardised
from sklearn.linear_model import LogisticRegression

THREADS = 2


class Answer(NamedTuple):
    """What a contender says of a trial.

    Attributes
    ----------
    score : float, (markers,), high is good
    prediction : float, (samples,), out of fold, of the trait or its odds or hazard; None without
    p_value : float, (markers,), None without
    settings : what its cross-validation chose, or says of itself
    selected : its loci under its own false discovery rate, best first; None where it states none
    sets : by name, for each of these loci the markers that its cause may be
    """

    score: np.ndarray
    prediction: np.ndarray | None
    p_value: np.ndarray | None = None
    settings: Mapping[str, Any] = MappingProxyType({})
    selected: Sequence[Locus] | None = None
    sets: Mapping[str, Sequence[np.ndarray]] = MappingProxyType({})


class Absent(Exception):
    """A peer that cannot run here, and why."""


def design(trial: Trial) -> np.ndarray:
    """Covariates with an intercept, text one-hot, float (samples, columns)."""
    coded = pd.get_dummies(trial.samples[list(trial.covariates)], drop_first=True, dtype=float)
    return np.column_stack([np.ones(len(coded)), coded.to_numpy(float)])


def markers(trial: Trial) -> np.ndarray:
    """Variants, then transcripts, float32 (samples, markers)."""
    parts = [trial.variants.dosage.astype(np.float32)]
    return np.hstack(parts + ([] if trial.expression is None else [trial.expression]))


def residual(values: np.ndarray, covariates: np.ndarray) -> np.ndarray:
    """What least squares on covariates leaves."""
    return values - covariates @ np.linalg.lstsq(covariates, values, rcond=None)[0]


def channels(trial: Trial, *, dominance: bool) -> np.ndarray:
    """Standardised markers free of covariates; with `dominance` also their squares given them.

    The square of a dosage, made orthogonal to it, is the heterozygote indicator up to scale.
    """
    covariates = design(trial)
    additive = standardised(residual(markers(trial), covariates))
    if not dominance:
        return additive.astype(np.float32)
    square = residual(markers(trial) ** 2, covariates)
    slope = (square * additive).mean(axis=0)
    return np.hstack([additive, standardised(square - slope * additive)]).astype(np.float32)


def response(trial: Trial) -> np.ndarray:
    """The trait; of a survival time, its martingale residual given the covariates."""
    if trial.kind != "survival":
        return trial.samples["trait"].to_numpy(float)
    from lifelines import CoxPHFitter

    coded = pd.DataFrame(design(trial)[:, 1:], index=trial.samples.index).add_prefix("x")
    table = coded.join(trial.samples[["time", "event"]])
    fitted = CoxPHFitter().fit(table, "time", "event")
    found = fitted.compute_residuals(table, "martingale")
    return found["martingale"].reindex(table.index).to_numpy(float)


def marginal(trial: Trial) -> np.ndarray:
    """|t| of each marker in a linear scan given the covariates."""
    y = residual(response(trial), design(trial))
    r = channels(trial, dominance=False).T @ (y / y.std()) / len(y)
    return np.abs(r) * np.sqrt((len(y) - design(trial).shape[1] - 1) / (1 - r**2))


def with_ties_broken(score: np.ndarray, trial: Trial) -> np.ndarray:
    """Ranks of a score, high is good; markers of one score, such as 0, in order of the scan."""
    order = np.lexsort((marginal(trial), score))
    ranks = np.empty(len(score))
    ranks[order] = np.arange(len(score))
    return ranks


def offset(kind: str, covariates: np.ndarray, y: np.ndarray) -> Callable:
    """A prediction from covariates."""
    if kind == "binary":
        fitted = LogisticRegression(C=1e6, max_iter=1000).fit(covariates[:, 1:], y)
        return lambda rows: fitted.decision_function(rows[:, 1:])
    slope = np.linalg.lstsq(covariates, y, rcond=None)[0]
    return lambda rows: rows @ slope


def baseline(trial: Trial) -> np.ndarray:
    """Out-of-fold prediction from the covariates alone; log odds of a binary trait."""
    covariates, y = design(trial), response(trial)
    predicted = np.empty(len(y))
    for fold in np.unique(trial.fold):
        train = trial.fold != fold
        predicted[~train] = offset(trial.kind, covariates[train], y[train])(covariates[~train])
    return predicted
