"""Markers and features by number, and how each feature is made of its marker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from genodl.cohort.presence import VARIANTS, as_float
from genodl.pipeline.study import Study
from genodl.screen.channels import levels
from genodl.screen.features import Cuts, Features, Lines, Squares, cutting, encoding

TILE = 512  # markers at once
IDENTITY = ("contig", "pos", "ref", "alt")


class Keys(NamedTuple):
    """A number for each channel of each marker: channel * all markers + marker.

    Attributes
    ----------
    start : first marker of each modality in the order of all
    markers : of all modalities
    """

    start: dict[str, int]
    markers: int

    def of(self, modality: str, column: np.ndarray | int, channel: np.ndarray | int) -> np.ndarray:
        """The keys of some channels."""
        return np.asarray(channel) * self.markers + self.start[modality] + np.asarray(column)


class Encoded(NamedTuple):
    """Features, and what else is known of them.

    Attributes
    ----------
    features : how each is made of its marker
    behind : float64, (features,), what the background of each target weighs them by
    mean : float32, (markers,), of the value
    """

    features: Features
    behind: list[np.ndarray]
    mean: np.ndarray


def features_of(
    study: Study,
    keys: Keys,
    every: np.ndarray,
    marker: np.ndarray,
    behind: Sequence[np.ndarray | None],
) -> Encoded:
    """The wanted features of some markers.

    Parameters
    ----------
    every : int, keys of the features, ascending
    marker : int, the markers, ascending
    behind : of each target, weights of the samples in its background; None where it has none
    """
    design = study.folded.gather(study.covariates, len(study.cohort.samples))
    inverse = np.linalg.pinv(design)
    lines, squares, cuts = (np.full((rows, len(every)), np.nan, np.float32) for rows in (2, 5, 4))
    adjust = np.zeros((design.shape[1], len(every)), np.float32)
    weights = [np.zeros(len(every)) for _ in behind]
    means: list[np.ndarray] = [np.zeros(0, np.float32)]
    for name, columns in _tiles(study, keys, marker):
        values = as_float(study.cohort.modalities[name], columns, variants=name == VARIANTS)
        channels = study.channels(name, columns, size=TILE)
        line, square, said = encoding(values, channels, inverse)
        means.append(line.mean)
        first, here = _among(every, keys.of(name, columns, 0))
        second, there = _among(every, keys.of(name, columns, 1))
        lines[:, first] = np.stack(line[1:])[:, here]
        squares[:, second] = np.stack(square[1:])[:, there]
        adjust[:, first], adjust[:, second] = said[0][:, here], said[1][:, there]
        additive = np.asarray(channels.values[0])[:, here]
        for weight, own in zip(weights, behind, strict=True):
            if own is not None and name == VARIANTS:
                weight[first] = own @ additive / study.cohort.modalities[name].n_vars
        variants = name == VARIANTS
        for level in range(levels(variants=variants)):
            third, where = _among(every, keys.of(name, columns, 2 + level))
            cut, tells = cutting(values[:, where], level, inverse, variants=variants)
            cuts[:, third], adjust[:, third] = np.stack(cut[1:]), tells
    place = np.searchsorted(marker, every % keys.markers).astype(np.int32)
    channel = every // keys.markers
    line_of, square_of, cut_of = channel == 0, channel == 1, channel > 1
    made = Features(
        Lines(place[line_of], *lines[:, line_of]),
        Squares(place[square_of], *squares[:, square_of]),
        Cuts(place[cut_of], *cuts[:, cut_of]),
        adjust,
    )
    return Encoded(made, weights, np.concatenate(means))


def _tiles(study: Study, keys: Keys, marker: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Modality and columns of the markers, some at a time."""
    for name, start in keys.start.items():
        stop = start + study.cohort.modalities[name].n_vars
        mine = marker[(marker >= start) & (marker < stop)] - start
        for first in range(0, len(mine), TILE):
            yield name, mine[first : first + TILE]


def _among(every: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places of those keys that are wanted, and which of the keys they are."""
    place = np.minimum(np.searchsorted(every, keys), len(every) - 1)
    here = np.flatnonzero(every[place] == keys) if len(every) else np.zeros(0, int)
    return place[here], here


def identity(study: Study, keys: Keys, marker: np.ndarray) -> pd.DataFrame:
    """What names the markers."""
    tables = []
    for name, columns in _tiles(study, keys, marker):
        var = study.cohort.modalities[name].var.iloc[columns]
        table = {"modality": name, "marker": var.index.astype(str)}
        # as objects: positions stay whole beside markers that have none
        table |= {c: var[c].astype(object).to_numpy() if c in var else None for c in IDENTITY}
        tables.append(pd.DataFrame(table, dtype=object))
    empty = pd.DataFrame(columns=["modality", "marker", *IDENTITY])
    return pd.concat(tables, ignore_index=True) if tables else empty
