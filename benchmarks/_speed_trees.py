"""XGBoost with cross-validated SHAP on a cohort of `_speed_cohort`, in a process of its own.

    python benchmarks/_speed_trees.py FOLDER --phenotype y0

Depth and number of rounds are chosen by five-fold cross-validation with early stopping, 80 % of
rows and half of the columns a tree, as its authors advise against overfitting; then in each of
five folds a model is grown on the others and the samples it held out are explained by TreeSHAP.
Prints the settings and the markers of largest mean |SHAP| as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import xgboost as xgb

DEPTHS, RATE, ROUNDS, PATIENCE, FOLDS = (1, 2, 4, 6), 0.1, 500, 20, 5
BEST = 20


class Fold(NamedTuple):
    """Samples of one fold as XGBoost reads them, quantised once for all depths."""

    train: xgb.QuantileDMatrix
    held: xgb.QuantileDMatrix
    rows: np.ndarray


def settings(depth: int) -> dict[str, object]:
    """Of one depth; folds run side by side, so each model has one thread."""
    fixed = {"objective": "reg:squarederror", "tree_method": "hist", "seed": 0, "nthread": 1}
    return fixed | {"max_depth": depth, "eta": RATE, "subsample": 0.8, "colsample_bytree": 0.5}


def laid(x: np.ndarray, y: np.ndarray, fold: np.ndarray, k: int) -> Fold:
    """The matrices of one fold."""
    kept, out = fold != k, fold == k
    train = xgb.QuantileDMatrix(x[kept], label=y[kept], nthread=1)
    held = xgb.QuantileDMatrix(x[out], label=y[out], ref=train, nthread=1)
    return Fold(train, held, np.flatnonzero(out))


def curve(fold: Fold, depth: int) -> list[float]:
    """Error of the held-out samples after each round."""
    log: dict[str, dict[str, list[float]]] = {}
    more = {"evals": [(fold.held, "held")], "evals_result": log, "verbose_eval": False}
    xgb.train(settings(depth), fold.train, ROUNDS, early_stopping_rounds=PATIENCE, **more)
    return log["held"]["rmse"]


def chosen(folds: list[Fold], pool: ThreadPoolExecutor) -> tuple[int, int]:
    """Depth and rounds of the least cross-validated error."""
    least: list[tuple[float, int, int]] = []
    for depth in DEPTHS:
        curves = list(pool.map(lambda fold: curve(fold, depth), folds))  # noqa: B023
        length = max(map(len, curves))
        # a fold that stopped keeps its last error
        mean = np.mean([c + [c[-1]] * (length - len(c)) for c in curves], axis=0)
        least.append((float(mean.min()), depth, int(mean.argmin()) + 1))
    return min(least)[1:]


def explained(fold: Fold, depth: int, rounds: int) -> np.ndarray:
    """Sum of |SHAP| over the held-out samples, (markers,)."""
    grown = xgb.train(settings(depth), fold.train, rounds)
    return np.abs(grown.predict(fold.held, pred_contribs=True)[:, :-1]).sum(0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--phenotype", default="y0")
    given = parser.parse_args()
    dosage = np.load(given.folder / "dosage.npy")
    x = np.where(dosage < 0, np.nan, dosage).astype(np.float32)
    y = pd.read_csv(given.folder / "samples.tsv", sep="\t")[given.phenotype].to_numpy()
    fold = np.random.default_rng(0).permutation(len(y)) % FOLDS
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        folds = list(pool.map(lambda k: laid(x, y, fold, k), range(FOLDS)))
        depth, rounds = chosen(folds, pool)
        score = sum(pool.map(lambda each: explained(each, depth, rounds), folds)) / len(y)
    best = np.argsort(-score)[:BEST]
    print(json.dumps({"max_depth": depth, "rounds": rounds, "best": best.tolist()}))


if __name__ == "__main__":
    main()
