"""How well held-out samples are predicted, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

RESAMPLES = 400
LEVEL = 0.95


def r2(observed: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Coefficient of determination along the last axis."""
    centred = observed - observed.mean(-1, keepdims=True)
    return 1 - ((observed - predicted) ** 2).sum(-1) / (centred**2).sum(-1)


def auc(observed: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Area under the ROC curve along the last axis; `observed` is 0 and 1, both present."""
    cases = observed.sum(-1)
    controls = observed.shape[-1] - cases
    ranks = (stats.rankdata(predicted, axis=-1) * observed).sum(-1)
    return (ranks - cases * (cases + 1) / 2) / (cases * controls)


METRICS: dict[str, tuple[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]] = {
    "quantitative": ("r2", r2),
    "binary": ("auc", auc),
}


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
    observed : float, (samples,), the phenotype of the samples where it is known
    predictions : "covariates", "linear" and "deep" -> float, (samples,), out of fold
    kind : quantitative (R2, coefficient of determination) or binary (area under the ROC curve)
    gate : float, (folds,), stacking weights of the networks
    products : whether any fold predicts with products of markers
    """
    name, metric = METRICS[kind]
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(observed), size=(RESAMPLES, len(observed)))
    resampled = observed[draws]
    # a draw of one class or of one value has no metric
    varied = resampled.min(1) < resampled.max(1)
    draws, resampled = draws[varied], resampled[varied]
    entry: dict[str, Any] = {"kind": kind, "metric": name, "n": len(observed)}
    for model, predicted in predictions.items():
        found = metric(resampled, predicted[draws])
        low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        value = float(metric(observed, predicted))
        entry[model] = {"value": value, "low": float(low), "high": float(high)}
    entry["gate"] = float(np.mean(gate))
    better = entry["deep"]["value"] > entry["linear"]["value"]
    entry["network_adds"] = bool(entry["gate"] > 0 and better)
    entry["products_add"] = bool(products and better)
    entry["statement"] = _statement(entry)
    return entry


def _statement(entry: dict[str, Any]) -> str:
    """One plain sentence."""
    metric = {"r2": "R2", "auc": "AUC"}[entry["metric"]]
    full, linear, covariates = (
        f"{entry[m]['value']:.3f}" for m in ("deep", "linear", "covariates")
    )
    tail = f"out-of-fold {metric} {full}, linear {linear}, covariates only {covariates}"
    if entry["network_adds"]:
        return f"the network adds to the linear model: {tail}"
    if entry["products_add"]:
        return f"interactions add to the linear model, the network nothing: {tail}"
    return f"the network adds nothing over the linear model: {tail}"
