"""One residual for every kind of phenotype: what the covariates leave unexplained."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression

from genodl.screen.layout import Folded
from genodl.values import Phenotype

LEAST_TRAINING_ROWS = 10


class Target(NamedTuple):
    """A phenotype as the folds see it, laid out fold by fold.

    Attributes
    ----------
    name : phenotype, or the phenotype a null replicate was made from
    kind : quantitative or binary
    null : whether this is a permuted replicate
    values : float64, (places,), the phenotype, nan where unknown or padding
    residual : float32, (places, folds), the phenotype less the prediction of the covariates-only
        model of the fold in that column; 0 where unknown
    marginal : float32, (places,), the same with one model of all samples
    """

    name: str
    kind: str
    null: bool
    values: np.ndarray
    residual: np.ndarray
    marginal: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """bool, (places,)."""
        return np.isfinite(self.values)


def target(phenotype: Phenotype, covariates: np.ndarray, folded: Folded) -> Target:
    """The cross-fitted residuals of a phenotype.

    Parameters
    ----------
    covariates : float64, (places, columns), laid out, the first column the intercept
    """
    values = folded.lay_with_nan(phenotype.values)
    known = np.isfinite(values)
    folds = len(folded.rows)
    residual = np.zeros((len(values), folds), np.float32)
    for k in range(folds):
        expected = _expected(values, covariates, known & (folded.fold != k), phenotype.kind)
        residual[known, k] = (values - expected)[known]
    whole = values - _expected(values, covariates, known, phenotype.kind)
    marginal = np.where(known, whole, 0).astype(np.float32)
    return Target(phenotype.name, phenotype.kind, False, values, residual, marginal)


def permuted(phenotype: Phenotype, covariates: np.ndarray, folded: Folded, *, seed: int) -> Target:
    """A null replicate: the covariates keep their effect, their residuals change owners.

    Source
    ------
    Freedman and Lane 1983.
    """
    values = folded.lay_with_nan(phenotype.values)
    known = np.isfinite(values)
    expected = _expected(values, covariates, known, phenotype.kind)
    shuffled = values.copy()
    left = (values - expected)[known]
    shuffled[known] = expected[known] + np.random.default_rng(seed).permutation(left)
    samples = folded.gather(shuffled, len(phenotype.values))
    replicate = Phenotype(phenotype.name, "quantitative", samples)
    return target(replicate, covariates, folded)._replace(null=True)


def _expected(
    values: np.ndarray, covariates: np.ndarray, train: np.ndarray, kind: str
) -> np.ndarray:
    """The covariates-only prediction of every place, learnt on the training rows."""
    if kind == "binary":
        if covariates.shape[1] == 1:
            return np.full(len(values), values[train].mean())
        model = LogisticRegression(C=100.0, max_iter=500)
        model.fit(covariates[train, 1:], values[train].astype(int))
        return model.predict_proba(covariates[:, 1:])[:, 1]
    solution = np.linalg.lstsq(covariates[train], values[train], rcond=1e-8)[0]
    return covariates @ solution
