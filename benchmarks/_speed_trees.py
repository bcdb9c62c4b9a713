"""XGBoost with cross-validated SHAP on a cohort of `_speed_cohort`, in a process of its own.

    python benchmarks/_speed_trees.py FOLDER --phenotype y0

Depth and number of rounds are chosen by five-fold cross-validation with early stopping, 80 % of
rows and half of the columns a tree, as its authors advise against overfitting; then in each of
five folds a model is grown on the others and the samples it held out are explained by TreeSHAP.
Prints the mean |SHAP| of the best markers as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import xgboost as xgb

DEPTHS, RATE, ROUNDS, PATIENCE, FOLDS = (1, 2, 4, 6), 0.1, 500, 20, 5
BEST = 20


def settings(depth: int) -> dict[str, object]:
    """Of one depth."""
    fixed = {"objective": "reg:squarederror", "seed": 0, "nthread": os.cpu_count()}
    return fixed | {
        "tree_method": "hist",
        "max_depth": depth,
        "eta": RATE,
        "subsample": 0.8,
        "colsample_bytree": 0.5,
    }


def chosen(x: np.ndarray, y: np.ndarray, fold: np.ndarray) -> tuple[int, int]:
    """Depth and rounds of the least cross-validated error."""
    pairs = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(FOLDS)]
    matrix = xgb.QuantileDMatrix(x, label=y)
    least: list[tuple[float, int, int]] = []
    for depth in DEPTHS:
        curve = xgb.cv(
            settings(depth), matrix, ROUNDS, folds=pairs, early_stopping_rounds=PATIENCE
        )["test-rmse-mean"]
        least.append((float(curve.min()), depth, int(curve.argmin()) + 1))
    return min(least)[1:]


def explained(x: np.ndarray, y: np.ndarray, fold: np.ndarray, depth: int, rounds: int):
    """SHAP values of held-out samples, float32, (samples, markers)."""
    values = np.zeros(x.shape, np.float32)
    for k in range(FOLDS):
        train, held = fold != k, fold == k
        grown = xgb.train(settings(depth), xgb.QuantileDMatrix(x[train], label=y[train]), rounds)
        values[held] = grown.predict(xgb.DMatrix(x[held]), pred_contribs=True)[:, :-1]
    return values


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--phenotype", default="y0")
    given = parser.parse_args()
    dosage = np.load(given.folder / "dosage.npy")
    x = np.where(dosage < 0, np.nan, dosage).astype(np.float32)
    y = pd.read_csv(given.folder / "samples.tsv", sep="\t")[given.phenotype].to_numpy()
    fold = np.random.default_rng(0).permutation(len(y)) % FOLDS
    depth, rounds = chosen(x, y, fold)
    score = np.abs(explained(x, y, fold, depth, rounds)).mean(0)
    best = np.argsort(-score)[:BEST]
    print(json.dumps({"max_depth": depth, "rounds": rounds, "best": best.tolist()}))


if __name__ == "__main__":
    main()
