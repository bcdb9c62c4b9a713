"""Networks that begin with what others have learnt: of another cohort, or of genotypes alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np
import pandas as pd

from genodl.cohort.match import ABSENT, match, matched_values
from genodl.errors import InputError
from genodl.models import Factory
from genodl.models.network import initial_params, settings_of
from genodl.train.checkpoint import extra, restore
from genodl.train.ensemble import Ensemble, fit_ensemble
from genodl.train.progress import TrainConfig
from genodl.values import Cohort

MARKERS = "markers"  # key of what `save` keeps beside an ensemble
COLUMNS = ["modality", "marker", "contig", "pos", "ref", "alt"]
COPIES = 4  # of a cohort, each with other genotypes hidden


class Transferred(NamedTuple):
    """A trained network laid out for another cohort.

    Attributes
    ----------
    model, settings : as `fit_ensemble` takes them
    x : float32, (samples, inputs), the network's own markers in the cohort; what is missing or
        absent is at the mean of the others, an absent marker 0 throughout
    start : parameters by name, (members, ...), for `fit_ensemble`
    config : a training configuration with what is frozen
    matches : a row an input, columns modality marker status, see `genodl.cohort.match`
    fresh : parameters that begin at random since the number of outputs is another
    """

    model: str | Factory
    settings: dict[str, Any]
    x: np.ndarray
    start: dict[str, np.ndarray]
    config: TrainConfig
    matches: pd.DataFrame
    fresh: tuple[str, ...]


def described(cohort: Cohort, modality: str, columns: Sequence[int]) -> dict[str, Any]:
    """What `save` is to keep as `extra` of an ensemble on these markers, so that it transfers."""
    var = cohort.modalities[modality].var.iloc[list(columns)]
    table: dict[str, list[Any]] = {"modality": [modality] * len(var)}
    table |= {"marker": [str(name) for name in var.index]}
    for column in COLUMNS[2:]:
        table[column] = var[column].tolist() if column in var else [None] * len(var)
    return {MARKERS: table}


def transfer(
    checkpoint: str | os.PathLike[str],
    cohort: Cohort,
    *,
    members: int = 8,
    freeze: Sequence[str] = (),
    outputs: int = 1,
    config: TrainConfig | None = None,
) -> Transferred:
    """An ensemble of another cohort as the beginning of one for this cohort.

    Inputs are found by what they are (contig, position and alleles, or name), whatever their order
    here, and alleles that are swapped or on the other strand are counted as the network counts
    them. The network keeps its inputs: markers that it did not see are not used. Its members, of
    all tasks, are taken in turn.

    Parameters
    ----------
    checkpoint : folder that `save` wrote with `extra=described(...)`
    members : networks wanted
    freeze : parameters that stay as they are, by the beginning of their names, such as "dense0"
    outputs : of the new targets; where they are others than the network's, its last layer begins
        at random
    config : how it is to be trained; defaults otherwise

    Raises
    ------
    InputError : no checkpoint, one without markers, no marker is found, or nothing is so named
    """
    ensemble, kept = restore(checkpoint), extra(checkpoint)
    if MARKERS not in kept:
        raise InputError(
            "it does not say which markers its inputs are",
            where=str(checkpoint),
            mend="save it with extra=described(cohort, modality, columns)",
        )
    markers = pd.DataFrame(kept[MARKERS])
    if len(markers) != ensemble.network.inputs:
        raise InputError(
            f"it names {len(markers)} markers, the network has {ensemble.network.inputs} inputs",
            where=str(checkpoint),
            mend="save it with the columns it was trained on, one an input",
        )
    found = match(markers, cohort.modalities)
    if (found.status == ABSENT).all():
        raise InputError(
            f"none of its {len(markers)} markers is there, such as {markers['marker'].iloc[0]}",
            where=str(checkpoint),
            mend="give a cohort of the same genome build and the same names",
        )
    values = matched_values(markers, cohort.modalities, found)
    start, fresh = _members(ensemble, members, outputs)
    _require_named(freeze, list(start), where=str(checkpoint))
    return Transferred(
        ensemble.network.name,
        settings_of(ensemble.network),
        at_mean(values),
        start,
        replace(config or TrainConfig(), frozen=tuple(freeze)),
        markers[COLUMNS[:2]].assign(status=found.status),
        fresh,
    )


def pretrain(
    model: str,
    settings: dict[str, Any],
    x: np.ndarray,
    *,
    members: int = 8,
    seed: int,
    hidden: float = 0.15,
    config: TrainConfig | None = None,
) -> Ensemble:
    """An ensemble that tells hidden genotypes from the others, for cohorts without a phenotype.

    A share of the values is hidden at random, set to the mean of its column, and the networks are
    trained to say what stood there. `save` it and `transfer` it: all but the last layer is reused.

    Parameters
    ----------
    x : float32, (samples, inputs), finite
    hidden : share of the values that is hidden

    Source
    ------
    Vincent and others 2008, denoising autoencoders; scored where values are hidden, as Devlin and
    others 2019.
    """
    if not 0 < hidden < 1:
        raise InputError(
            f"hidden is {hidden}", where="pretrain", mend="give a share between 0 and 1"
        )
    rng = np.random.default_rng(seed)
    spread = np.atleast_1d(x.std(0))
    scaled = (x - x.mean(0)) / np.where(spread > 0, spread, 1)
    seen = np.tile(scaled.astype(np.float32), (COPIES, 1))
    mask = rng.random(seen.shape) < hidden
    target = np.where(mask, seen, np.float32(np.nan))
    some = np.asarray(mask.any(axis=1), np.float32)
    return fit_ensemble(
        model,
        settings,
        np.where(mask, np.float32(0), seen)[None],
        target[None],
        some[None],
        members=members,
        seed=seed,
        config=config,
    )


def at_mean(values: np.ndarray) -> np.ndarray:
    """Values with what is missing at the mean of its column, 0 in a column without any."""
    known = np.isfinite(values)
    mean = np.where(known, values, 0).sum(0) / np.maximum(known.sum(0), 1)
    return np.where(known, values, mean).astype(np.float32)


def _members(
    ensemble: Ensemble, members: int, outputs: int
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Parameters of as many networks, (members, ...), and the names of those left out."""
    alive = np.flatnonzero(~np.asarray(ensemble.dropped).ravel())
    chosen = alive[np.arange(members) % len(alive)]
    flat = {
        name: np.asarray(leaf).reshape(-1, *leaf.shape[2:])[chosen]
        for name, leaf in ensemble.params["members"].items()
    }
    if outputs == ensemble.network.outputs:
        return flat, ()
    other = _shapes(ensemble, outputs)
    fresh = tuple(name for name, leaf in flat.items() if leaf.shape[1:] != other[name])
    return {name: leaf for name, leaf in flat.items() if name not in fresh}, fresh


def _shapes(ensemble: Ensemble, outputs: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the parameters of one network with another number of outputs."""
    net = replace(ensemble.network, outputs=outputs)
    bits = jax.ShapeDtypeStruct((1, 1, 4), np.uint32)
    made = jax.eval_shape(lambda b: initial_params(b, net=net), bits)
    return {name: leaf.shape[2:] for name, leaf in made.items()}


def _require_named(freeze: Sequence[str], names: list[str], *, where: str) -> None:
    """Each name to be frozen is the beginning of a parameter's."""
    for name in freeze:
        if not any(each.startswith(name) for each in names):
            raise InputError(
                f"no parameter begins with {name!r}",
                where=f"{where}, freeze",
                mend=f"use one of {', '.join(names)}",
            )
