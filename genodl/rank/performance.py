"""How well held-out samples are predicted, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from genodl.rank.concordance import concordance

RESAMPLES = 400
LEVEL = 0.95


def r2(observed: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Coefficient of determination along the last axis; nan where all observed are equal."""
    centred = observed - observed.mean(-1, keepdims=True)
    varied = observed.min(-1) < observed.max(-1)
    total = np.where(varied, (centred**2).sum(-1), np.nan)
    return 1 - ((observed - predicted) ** 2).sum(-1) / total


def auc(observed: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Area under the ROC curve along the last axis; nan where `observed` is all 0 or all 1."""
    cases = observed.sum(-1)
    controls = observed.shape[-1] - cases
    ranks = (stats.rankdata(predicted, axis=-1) * observed).sum(-1)
    pairs = np.where(cases * controls > 0, cases * controls, np.nan)
    return (ranks - cases * (cases + 1) / 2) / pairs


def _macro_auc(observed: np.ndarray, predicted: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Mean over the classes of each one's AUC against all others."""
    pairs = zip(observed.T, predicted.T, strict=True)
    return np.mean([auc(o[draws], p[draws]) for o, p in pairs], axis=0)


def _concordance(observed: np.ndarray, predicted: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Harrell's concordance of (time, event) rows."""
    counts = np.stack([np.bincount(draw, minlength=len(observed)) for draw in draws])
    return concordance(observed[:, 0], observed[:, 1], predicted, counts)


# of each resample of the samples, int (resamples, samples)
METRICS: dict[str, tuple[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]]] = {
    "quantitative": ("r2", lambda o, p, draws: r2(o[draws], p[draws])),
    "binary": ("auc", lambda o, p, draws: auc(o[draws], p[draws])),
    "multiclass": ("auc_macro", _macro_auc),
    "survival": ("c_index", _concordance),
}
WORDS = {"r2": "R2", "auc": "AUC", "auc_macro": "macro AUC", "c_index": "concordance"}


def performance(
    observed: np.ndarray,
    predictions: dict[str, np.ndarray],
    *,
    kind: str,
    gate: np.ndarray,
    products: bool,
    seed: int,
) -> dict[str, Any]:
    """The out-of-fold metric of each prediction with its 95 % percentile bootstrap interval.

    Parameters
    ----------
    observed : float, (samples,), the phenotype of the samples where it is known; of multiclass
        (samples, classes), 1 where the sample is in the class; of survival (samples, 2), the time
        and whether the event was seen
    predictions : "covariates", "linear" and "deep" -> float, (samples,), out of fold; of
        multiclass (samples, classes)
    kind : quantitative (r2, coefficient of determination), binary (auc, area under the ROC curve),
        multiclass (auc_macro, mean over the classes of the AUC of each against all others) or
        survival (c_index, Harrell's concordance of log hazards)
    gate : float, (folds,), stacking weights of the networks
    products : whether any fold predicts with products of markers
    """
    name, metric = METRICS[kind]
    every = np.arange(len(observed))
    draws = np.random.default_rng(seed).integers(len(observed), size=(RESAMPLES, len(observed)))
    entry: dict[str, Any] = {"kind": kind, "metric": name, "n": len(observed)}
    for model, predicted in predictions.items():
        # a draw of one class, of one value or of no event has no metric
        found = metric(observed, predicted, draws)
        low, high = np.nanquantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        value = float(metric(observed, predicted, every[None])[0])
        entry[model] = {"value": value, "low": float(low), "high": float(high)}
    entry["gate"] = float(np.mean(gate))
    better = entry["deep"]["value"] > entry["linear"]["value"]
    entry["network_adds"] = bool(entry["gate"] > 0 and better)
    entry["products_add"] = bool(products and better)
    entry["statement"] = _statement(entry)
    return entry


def _statement(entry: dict[str, Any]) -> str:
    """One plain sentence."""
    metric = WORDS[entry["metric"]]
    full, linear, covariates = (
        f"{entry[m]['value']:.3f}" for m in ("deep", "linear", "covariates")
    )
    tail = f"out-of-fold {metric} {full}, linear {linear}, covariates only {covariates}"
    if entry["network_adds"] and entry["products_add"]:
        return f"interactions and the network add to the linear model: {tail}"
    if entry["network_adds"]:
        return f"the network adds to the linear model: {tail}"
    if entry["products_add"]:
        return f"interactions add to the linear model, the network nothing: {tail}"
    return f"the network adds nothing over the linear model: {tail}"
