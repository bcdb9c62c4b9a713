"""What other tools make of the cell lines: the samples, markers, covariates and folds of ours."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
from _cohorts import Variants
from _contender import Absent, Answer
from _peer_lasso import lasso
from _peer_trees import forest, xgboost
from _trial import Trial

PEERS: Mapping[str, Callable[[Trial], Answer]] = MappingProxyType(
    {
        "lasso": partial(lasso, dominance=False),
        "elastic_net": partial(lasso, dominance=False, mixing=(0.3, 0.7)),
        "xgboost": partial(xgboost, predicting=False),
        "forest": forest,
    }
)


class Screens:
    """The drug screens as trials.

    Parameters
    ----------
    folder : of the cell lines
    markers, predictions : tables of our run, which say what was read and how it was folded
    covariates : columns of the sample table
    """

    def __init__(
        self,
        folder: Path,
        markers: pd.DataFrame,
        predictions: pd.DataFrame,
        covariates: tuple[str, ...],
    ):
        import genodl as gd

        expression = {"expression": folder / "expression.h5ad"}
        self.cohort = gd.read_cohort(
            features={"alterations": folder / "alterations.h5ad"},
            samples=folder / "samples.tsv.gz",
            **(expression if "expression" in set(markers["modality"]) else {}),
        )
        self.markers, self.predictions, self.covariates = markers, predictions, covariates

    def read(self, phenotype: str) -> tuple[list[str], Trial]:
        """Names of the alterations, and a screen; a value that is missing takes the mean."""
        mine = self.predictions[self.predictions["phenotype"] == phenotype]
        mine = mine[mine["observed"].notna()]
        rows = self.cohort.samples.index.get_indexer(mine["sample"].astype(str))
        tested = self.markers[self.markers["phenotype"] == phenotype]
        values, names = {}, {}
        for modality, table in self.cohort.modalities.items():
            table = table[:, table.var_names.isin(tested["marker"][tested["modality"] == modality])]
            x = np.asarray(table.X, float)[rows]
            x = np.where(np.isnan(x), np.nanmean(x, axis=0), x).astype(np.float32)
            varies = x.std(axis=0) > 0
            values[modality], names[modality] = x[:, varies], list(table.var_names[varies])
        count = len(names["alterations"])
        nowhere = np.zeros(count, np.int64)
        samples = self.cohort.samples.iloc[rows][list(self.covariates)]
        return names["alterations"], Trial(
            variants=Variants(values["alterations"], nowhere.astype(str), nowhere, nowhere),
            expression=values.get("expression"),
            samples=samples.assign(trait=mine["observed"].to_numpy(float)),
            covariates=self.covariates,
            kind="quantitative",
            fold=mine["fold"].to_numpy(int),
            near=scipy.sparse.csr_matrix((count, count)),
            causes=(),
            signal=np.zeros(len(rows)),
        )

    def ranked(self, peer: str, phenotype: str) -> dict[str, Any]:
        """The alterations by a peer, best first, and what that took; or why it was left out."""
        names, trial = self.read(phenotype)
        began = time.process_time()
        try:
            answer = PEERS[peer](trial)
        except Absent as missing:
            return {"skipped": str(missing)}
        order = np.argsort(-answer.score[: len(names)], kind="stable")
        seconds = round(time.process_time() - began, 2)
        return {"alterations": [names[i] for i in order], "cpu_seconds": seconds}
