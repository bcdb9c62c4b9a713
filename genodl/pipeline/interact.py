"""Products of two markers that a training fold finds beyond doubt."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from genodl.cohort.structure import prune
from genodl.config import DiscoverConfig
from genodl.pipeline.learn import Attributed, Linear, Part
from genodl.pipeline.study import Study
from genodl.screen.pairs import scan_pairs
from genodl.screen.sparse import sparse_path

PRUNE_R2 = 0.5
LARGEST_PANEL = 20_000  # markers kept for the scans of all folds


class Panel(NamedTuple):
    """Markers whose products are scanned.

    Attributes
    ----------
    modality : object, (markers,), name
    column : int, (markers,), column in the modality
    values : float32, (places, markers), additive channel
    """

    modality: np.ndarray
    column: np.ndarray
    values: np.ndarray


def panel(study: Study, config: DiscoverConfig) -> Panel:
    """Variants thinned for LD and every other marker, up to `LARGEST_PANEL`, phenotypes unseen."""
    names, columns, values = [], [], []
    for name, modality in study.cohort.modalities.items():
        kept = np.arange(modality.n_vars)
        if name == "variants":
            kept = prune(
                np.asarray(modality.X),
                modality.var["contig"].to_numpy(),
                modality.var["pos"].to_numpy(),
                r2=PRUNE_R2,
                window=config.locus_window,
            )
        most = LARGEST_PANEL // len(study.cohort.modalities)
        # evenly along the genome where there are too many
        kept = kept[:: -(-len(kept) // most)]
        for start, width, channels in study.blocks(name):
            here = kept[(kept >= start) & (kept < start + width)]
            values.append(np.asarray(channels.values[0])[:, here - start])
        names.append(np.full(len(kept), name, object))
        columns.append(kept)
    return Panel(np.concatenate(names), np.concatenate(columns), np.concatenate(values, axis=1))


def interact(
    study: Study,
    scanned: Panel,
    linear: Linear,
    number: int,
    config: DiscoverConfig,
) -> Part:
    """What products of two markers add to the sparse path, in each fold on its own.

    Each training fold scans the products of its `pair_markers` strongest markers of the panel and
    keeps those beyond the family-wise bound; a second sparse path, with the same gate, weighs
    them. What a product predicts is attributed to its two markers in equal shares.
    """
    target, fold = study.targets[number], study.folded.fold
    places, folds = len(target.values), len(study.folded.rows)
    prediction = np.zeros(places, np.float32)
    inner = np.zeros((places, folds), np.float32)
    shares: dict[int, np.ndarray] = {}
    if not config.pair_markers:
        return Part(prediction, inner, {})
    for k in range(folds):
        train = target.known & (fold != k)
        response = np.where(train, target.residual[:, k] - linear.inner[:, k], 0)
        response[train] -= response[train].mean()
        strongest = _strongest(scanned, response, config.pair_markers)
        values = scanned.values[:, strongest]
        pairs = scan_pairs(values, response.astype(np.float32))
        if not len(pairs.z):
            continue
        x = values[:, pairs.first] * values[:, pairs.second]
        x = x - x[train].mean(0)
        # the bound has already done what a screen inside the inner groups would do
        every = np.arange(len(pairs.z))
        group = study.folded.inner[k][train]
        found = sparse_path(
            x[train],
            response[train].astype(float),
            features=every,
            inner=group,
            inner_features=[every] * (group.max() + 1),
        )
        inner[train, k] = found.inner
        terms = x * found.coefficients.astype(np.float32) * (fold == k)[:, None]
        prediction += terms.sum(1)
        for pair in np.flatnonzero(found.coefficients):
            for column in (pairs.first[pair], pairs.second[pair]):
                share = shares.setdefault(int(strongest[column]), np.zeros(places, np.float32))
                share += terms[:, pair] / 2
    return Part(prediction, inner, _by_modality(scanned, shares))


def _strongest(scanned: Panel, response: np.ndarray, most: int) -> np.ndarray:
    """The markers of the panel with the largest marginal association in a training fold."""
    if len(scanned.column) <= most:
        return np.arange(len(scanned.column))
    score = np.abs(response.astype(np.float32) @ scanned.values)
    return np.sort(np.argsort(-score, kind="stable")[:most])


def _by_modality(scanned: Panel, shares: dict[int, np.ndarray]) -> dict[str, Attributed]:
    """Attributions sorted to the markers of each modality."""
    spread = {}
    for name in dict.fromkeys(scanned.modality):
        mine = sorted(place for place in shares if scanned.modality[place] == name)
        if mine:
            values = np.stack([shares[place] for place in mine], axis=1)
            spread[name] = Attributed(values, scanned.values[:, mine])
    return spread
