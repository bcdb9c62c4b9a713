"""The classes of one phenotype, each tested against all others, brought together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from genodl.rank.fdr import cauchy_combination
from genodl.rank.test import deviate


def join_classes(tables: Sequence[pd.DataFrame], labels: Sequence[str]) -> pd.DataFrame:
    """One row a marker from its rows in the tables of the classes.

    The p-values are joined by the Cauchy combination, which holds whatever their dependence;
    stability is the largest; everything else is of the class with the strongest test, which
    `effect_class` names.

    Parameters
    ----------
    tables : of each class, one row a marker in the same order, with log_p, stability, marginal_p
    labels : the class of each table; a phenotype of one table without a label stays as it is

    Source
    ------
    Liu and Xie 2020.
    """
    if len(tables) == 1 and labels[0] == "":
        return tables[0]
    log_p = np.stack([t["log_p"].to_numpy(float) for t in tables])
    strongest = log_p.argmin(0)
    rows = np.arange(log_p.shape[1])
    whole = pd.concat(tables, ignore_index=True)
    joined = whole.iloc[strongest * len(rows) + rows].reset_index(drop=True)
    joined["log_p"] = _cauchy(log_p)
    joined["score"] = deviate(joined["log_p"].to_numpy())
    joined["stability"] = np.max([t["stability"].to_numpy() for t in tables], axis=0)
    marginal = np.stack([t["marginal_p"].to_numpy(float) for t in tables])
    joined["marginal_p"] = np.exp(_cauchy(np.log(np.maximum(marginal, 1e-300))))
    joined["effect_class"] = np.array(labels, object)[strongest]
    return joined


def _cauchy(log_p: np.ndarray) -> np.ndarray:
    """Natural log of the p-value of each column of (classes, markers)."""
    classes, markers = log_p.shape
    return cauchy_combination(log_p.ravel(), np.tile(np.arange(markers), classes), markers)
