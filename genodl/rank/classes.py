"""The classes of one phenotype, each tested against all others, brought together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import gammaln

from genodl.rank.combine import deviate
from genodl.rank.fdr import cauchy_combination

FAR = 600.0  # chi-square beyond which the tail is its asymptotic series


def join_classes(
    tables: Sequence[pd.DataFrame], labels: Sequence[str], residuals: np.ndarray
) -> pd.DataFrame:
    """One row a marker from its rows in the tables of the classes.

    Two tests have equal parts in the p-value, by the Cauchy combination, which holds whatever
    their dependence: the Cauchy combination of the classes, which is strong where a marker moves
    one class, and the quadratic form of their additive scores with one degree of freedom less than
    there are classes, which is strong where it moves several. Everything else is of the class with
    the strongest test, which `effect_class` names.

    Parameters
    ----------
    tables : of each class, one row a marker in the same order, with log_p, marginal_p and
        z, the signed normal deviate of the additive channel
    labels : the class of each table; a phenotype of one table without a label stays as it is
    residuals : float, (classes, samples), whose correlations are those of the z under the null

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
    z = np.stack([t["z"].to_numpy(float) for t in tables])
    joined["log_p"] = _cauchy(np.stack([_cauchy(log_p), _quadratic(z, residuals)]))
    joined["score"] = deviate(joined["log_p"].to_numpy())
    marginal = np.stack([t["marginal_p"].to_numpy(float) for t in tables])
    joined["marginal_p"] = np.exp(_cauchy(np.log(np.maximum(marginal, 1e-300))))
    joined["effect_class"] = np.array(labels, object)[strongest]
    return joined


def _cauchy(log_p: np.ndarray) -> np.ndarray:
    """Natural log of the p-value of each column of (tests, markers)."""
    tests, markers = log_p.shape
    return cauchy_combination(log_p.ravel(), np.tile(np.arange(markers), tests), markers)


def _quadratic(z: np.ndarray, residuals: np.ndarray) -> np.ndarray:
    """Natural log of the p-value of all scores of a marker, (markers,).

    Indicators of all classes add up to one: the class of the largest variance is left out, and
    says nothing that the others do not.
    """
    kept = np.delete(np.arange(len(z)), residuals.var(axis=1).argmax())
    likeness = np.atleast_2d(np.corrcoef(residuals[kept]))
    form = (z[kept] * np.linalg.solve(likeness, z[kept])).sum(0)
    return _log_tail(form, len(kept))


def _log_tail(form: np.ndarray, freedom: int) -> np.ndarray:
    """Natural log of the upper tail of chi-square, exact beyond underflow."""
    near = stats.chi2.logsf(np.minimum(form, FAR), freedom)
    half, x = freedom / 2, np.maximum(form, FAR) / 2
    # the incomplete gamma function by parts, to an error below 1e-5 of the tail
    series = 1 + (half - 1) / x * (1 + (half - 2) / x * (1 + (half - 3) / x))
    far = (half - 1) * np.log(x) - x - gammaln(half) + np.log(series)
    return np.where(form < FAR, near, far)
