"""Predictions of new samples, and what of the model they lack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from anndata import AnnData

from genodl.cohort.design import design_of
from genodl.cohort.match import ABSENT, Matched, match, matched_values
from genodl.errors import InputError, nearest
from genodl.score.scorer import Output, Scorer, expected, score
from genodl.values import Cohort, Loss

BATCH = 256  # samples at once


class Predicted(NamedTuple):
    """Predictions of a cohort.

    Attributes
    ----------
    table : a row a sample and phenotype, or class, columns phenotype sample covariates prediction,
        and class where there are several
    matches : a row a marker, columns modality marker status found, see `genodl.cohort.match`
    losses : what was filled in, and why
    """

    table: pd.DataFrame
    matches: pd.DataFrame
    losses: tuple[Loss, ...]


def predict(scorer: Scorer, cohort: Cohort, *, phenotypes: Sequence[str] = ()) -> Predicted:
    """What a scorer predicts of the samples of a cohort.

    Parameters
    ----------
    cohort : with the modalities that the scorer's markers are of, in their unit, and the
        covariates it was made with
    phenotypes : all of the scorer's by default

    Returns
    -------
    Predicted; a quantitative phenotype in its own unit, of classes the probability, which the
        markers shift linearly, of survival the log hazard. `covariates` is what the covariates
        alone foretell

    Raises
    ------
    InputError : an unknown phenotype, a covariate that the table lacks, or no marker is found
    """
    chosen = chosen_outputs(scorer, phenotypes)
    matched = match(scorer.markers, cohort.modalities)
    _require_some(scorer.markers, cohort.modalities, matched)
    values = matched_values(scorer.markers, cohort.modalities, matched)
    design, losses = design_of(cohort.samples, list(scorer.columns))
    covariates = _covariates(scorer, design, values)
    found = _in_batches(scorer, chosen, values, covariates)
    tables = []
    for place, number in enumerate(chosen):
        output = scorer.outputs[number]
        table = {
            "phenotype": output.phenotype,
            "sample": cohort.samples.index.astype(str),
            "covariates": np.asarray(expected(output, jnp.asarray(covariates))),
            "prediction": found[:, place],
        }
        tables.append(pd.DataFrame(table | ({"class": output.label} if output.label else {})))
    matches = scorer.markers[["modality", "marker"]].assign(status=matched.status)
    pairs = zip(matches["modality"], matched.column, strict=True)
    matches["found"] = [_name(cohort.modalities, *pair) for pair in pairs]
    return Predicted(
        pd.concat(tables, ignore_index=True),
        matches,
        (*cohort.losses, *losses, *_missing(scorer, chosen, matched)),
    )


def chosen_outputs(scorer: Scorer, phenotypes: Sequence[str]) -> list[int]:
    """Outputs of the phenotypes asked for."""
    for name in phenotypes:
        if name not in scorer.phenotypes:
            raise InputError(
                f"the model has no phenotype {name!r}",
                where="phenotype",
                mend=f"the nearest are {nearest(name, scorer.phenotypes)}",
            )
    wanted = set(phenotypes or scorer.phenotypes)
    return [i for i, output in enumerate(scorer.outputs) if output.phenotype in wanted]


def _require_some(
    markers: pd.DataFrame, modalities: Mapping[str, AnnData], matched: Matched
) -> None:
    """At least one marker is there, unless the scorer has none."""
    if not len(markers) or (matched.status != ABSENT).any():
        return
    raise InputError(
        f"none of the model's {len(markers)} markers is there, such as {markers['marker'].iloc[0]}",
        where=", ".join(modalities),
        mend="give files of the same genome build and the same names",
    )


def _covariates(scorer: Scorer, design: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Intercept, covariates and components, float32, (samples, columns)."""
    away = values - scorer.markers["mean"].to_numpy(np.float32)
    components = np.where(np.isnan(away), 0, away) @ scorer.loadings
    ones = np.ones((len(design), 1))
    return np.hstack([ones, design, components]).astype(np.float32)


def _in_batches(
    scorer: Scorer, chosen: list[int], values: np.ndarray, covariates: np.ndarray
) -> np.ndarray:
    """Predictions, float32, (samples, outputs), by one compiled program."""
    run = jax.jit(score(scorer, chosen))
    parts = []
    for start in range(0, len(values), BATCH):
        rows = slice(start, start + BATCH)
        short = BATCH - len(values[rows])
        padded = (np.pad(each[rows], ((0, short), (0, 0))) for each in (values, covariates))
        parts.append(np.asarray(run(*padded))[: BATCH - short])
    return np.concatenate(parts or [np.zeros((0, len(chosen)), np.float32)])


def _name(modalities: Mapping[str, AnnData], modality: str, column: int) -> str:
    """The marker of a cohort that was found, "" where there is none."""
    return str(modalities[modality].var_names[column]) if column >= 0 else ""


def _missing(scorer: Scorer, chosen: list[int], matched: Matched) -> list[Loss]:
    """The markers that are not there, and what share of the squared weights is theirs."""
    losses = []
    absent = matched.status == ABSENT
    features = scorer.features
    owner = np.concatenate([features.lines.marker, features.squares.marker, features.cuts.marker])
    for modality in dict.fromkeys(scorer.markers["modality"]):
        lost = absent & (scorer.markers["modality"] == modality).to_numpy()
        if lost.any():
            share = max(_share(scorer.outputs[i], lost[owner]) for i in chosen)
            reason = f"absent, set to the mean; they have {share:.0%} of the squared weights"
            losses.append(Loss("markers", int(lost.sum()), reason, modality))
    return losses


def _share(output: Output, lost: np.ndarray) -> float:
    """Share of the squared weights of an output."""
    square = np.square(output.weight, dtype=float)
    return float(square[lost].sum() / max(square.sum(), 1e-300))
