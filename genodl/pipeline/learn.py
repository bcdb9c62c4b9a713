"""What the folds learn of each phenotype: screens, sparse paths and networks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from genodl.config import DiscoverConfig
from genodl.pipeline.study import Study
from genodl.screen.marginal import Screen, keep_best, scan
from genodl.screen.sparse import sparse_path
from genodl.train.ensemble import Ensemble

Track = Callable[[Iterable, str, int], Iterable]


class Candidates(NamedTuple):
    """The markers that any training fold passed on, of one modality.

    Attributes
    ----------
    modality : name
    markers : int, (candidates,), column in the modality, ascending
    values : float32, (2, places, candidates), channels
    features : int, (most, folds, 1 + inner, targets), candidate feature of each training fold and
        target, best first, numbered channel * candidates + candidate, -1 where there are fewer;
        the first view is the whole training fold, each other leaves out one inner group
    strength : float32, the same shape, |z| of the screen
    marginal : float32, (markers, targets), z of the additive channel over all samples
    slope : float32, (markers,), standard deviation of each marker in its own unit
    """

    modality: str
    markers: np.ndarray
    values: np.ndarray
    features: np.ndarray
    strength: np.ndarray
    marginal: np.ndarray
    scale: np.ndarray


class Linear(NamedTuple):
    """Sparse linear predictions of one target.

    Attributes
    ----------
    selected : int, (selected,), features that any fold selected
    coefficients : float64, (folds, selected)
    prediction : float32, (places, folds), of the residual, by the model of each fold
    inner : float32, (places, folds), of the training rows by fits that left them out
    background : float32, (places, contigs), the part of the prediction of a held-out place that
        is due to all variants of a contig together, None where it has none
    share : float64, (folds,), weight of the sparse path beside the background
    views : float32, (places, folds, groups), of the training rows by the sparse path that left out
        an inner group; None where nothing was fitted
    """

    selected: np.ndarray
    coefficients: np.ndarray
    prediction: np.ndarray
    inner: np.ndarray
    background: np.ndarray | None = None
    share: np.ndarray | None = None
    views: np.ndarray | None = None


class Attributed(NamedTuple):
    """What predictions of held-out samples are attributed to some markers of a modality.

    Attributes
    ----------
    values : float32, (places, markers), in the unit of the phenotype
    proxies : float32, (places, markers), the additive channel of those markers
    columns : int, (markers,), in the modality
    votes : bool, (folds, members, markers), which networks of a fold select a marker; None where
        all members of a fold have one model, which selects what it gives values to
    halves : float64, (2, markers), covariance with the held-out residual of what two disjoint
        halves of the networks attribute; None where there are no two halves
    """

    values: np.ndarray
    proxies: np.ndarray
    columns: np.ndarray
    votes: np.ndarray | None = None
    halves: np.ndarray | None = None


class Proposal(NamedTuple):
    """A product that a training fold is sure of.

    Attributes
    ----------
    fold : the fold that was held out
    first, second : modality and column of the factors; the modality of a covariate is "covariates"
    z : of the product in the training fold
    """

    fold: int
    first: tuple[str, int]
    second: tuple[str, int]
    z: float


class Part(NamedTuple):
    """What a stage beyond the sparse path adds for one target.

    Attributes
    ----------
    prediction : float32, (places,), of what is left, by the fold that held the place out
    inner : float32, (places, folds), of the training rows by fits that left them out
    attribution : of each modality; one is absent where nothing is attributed to it
    pairs : products that were proposed, of the products' part
    views : float32, (places, folds, groups), see `Linear`
    """

    prediction: np.ndarray
    inner: np.ndarray
    attribution: dict[str, Attributed]
    pairs: tuple[Proposal, ...] = ()
    views: np.ndarray | None = None


class Deep(NamedTuple):
    """All that is learnt beyond the sparse path of one target.

    Attributes
    ----------
    products, network : the parts; the network's is gated
    gate : float64, (folds,), stacking weight of the network, 0 where it adds nothing
    ensemble : the trained networks, None where none were asked for
    """

    products: Part
    network: Part
    gate: np.ndarray
    ensemble: Ensemble | None


def screen(study: Study, modality: str, config: DiscoverConfig, track: Track) -> Candidates:
    """Scan every marker in every training fold of every target, and keep the best features."""
    residuals = _training_residuals(study)
    shape, targets = _views(study), len(study.targets)
    used = residuals.shape[1]
    whole = np.stack([t.marginal for t in study.targets], axis=1)
    columns = jnp.asarray(np.concatenate([residuals, whole], axis=1))
    markers = study.cohort.modalities[modality].n_vars
    marginal = np.zeros((markers, targets), np.float32)
    scale = np.zeros(markers, np.float32)

    def scores() -> Iterator[tuple[int, np.ndarray]]:
        blocks = study.blocks(modality)
        for start, width, channels in track(blocks, f"screening {modality}", markers):
            z = np.asarray(scan(channels, columns))[:, :width]
            marginal[start : start + width] = z[0, :, used:]
            scale[start : start + width] = np.asarray(channels.scale)[:width]
            yield start, z[:, :, :used]

    best = keep_best(scores(), markers=markers, most=config.candidates)
    chosen, features = _renumber(best, markers)
    return Candidates(
        modality,
        chosen,
        _channels_of(study, modality, chosen),
        features.reshape(-1, *shape, targets),
        np.abs(best.z).reshape(-1, *shape, targets),
        marginal,
        scale,
    )


def sparse(
    study: Study, candidates: Sequence[Candidates], number: int, config: DiscoverConfig
) -> Linear:
    """The sparse path of one target in each fold, over one modality or several jointly."""
    target, folds = study.targets[number], len(study.folded.rows)
    offsets = np.cumsum([0, *(2 * c.values.shape[2] for c in candidates)])
    most = max(config.candidates // len(candidates), 1)

    def columns(k: int, view: int) -> np.ndarray:
        lists = [c.features[:most, k, view, number] for c in candidates]
        pairs = zip(lists, offsets, strict=False)
        return np.concatenate([f[f >= 0] + offset for f, offset in pairs])

    def fit(k: int) -> tuple[np.ndarray, ...]:
        train = np.flatnonzero(target.known & (study.folded.fold != k))
        group = study.folded.inner[k][train]
        lists = [columns(k, view) for view in range(2 + group.max())]
        features, seen = lists[0], np.unique(np.concatenate(lists))
        values = _columns_of(candidates, offsets, seen)
        first, *others = (np.searchsorted(seen, each) for each in lists)
        found = sparse_path(
            values[train],
            target.residual[train, k].astype(float),
            features=first,
            inner=group,
            inner_features=others,
        )
        inner = np.zeros(len(values), np.float32)
        inner[train] = found.inner
        views = np.zeros((len(values), len(found.views)), np.float32)
        views[train] = found.views.T
        used = found.coefficients != 0
        x = values[:, first[used]]
        prediction = (x - x[train].mean(0)) @ found.coefficients[used].astype(np.float32)
        return features, found.coefficients, prediction, inner, views

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        fits = list(pool.map(fit, range(folds)))
    selected = np.unique(np.concatenate([f[b != 0] for f, b, *_ in fits]))
    coefficients = np.zeros((folds, len(selected)))
    for k, (features, b, *_) in enumerate(fits):
        coefficients[k, np.searchsorted(selected, features[b != 0])] = b[b != 0]
    prediction, inner, views = (
        np.stack(parts, axis=1) for parts in zip(*(fit[2:] for fit in fits), strict=True)
    )
    return Linear(selected, coefficients, prediction.astype(np.float32), inner, views=views)


def _views(study: Study) -> tuple[int, int]:
    """Training folds, and the views of each: all of it, and less each inner group."""
    inner = study.folded.inner
    return len(inner), 2 + int(inner.max())


def _training_residuals(study: Study) -> np.ndarray:
    """(places, folds * views * targets), 0 where a row is left out; targets run fastest."""
    inner, (folds, views) = study.folded.inner, _views(study)
    stacked = np.stack([t.residual for t in study.targets], axis=2)
    columns = np.zeros((len(inner[0]), folds, views, len(study.targets)), np.float32)
    for k in range(folds):
        for view in range(views):
            seen = (inner[k] >= 0) & (inner[k] != view - 1)
            columns[:, k, view] = stacked[:, k] * seen[:, None]
    return columns.reshape(len(columns), -1)


def _renumber(best: Screen, markers: int) -> tuple[np.ndarray, np.ndarray]:
    """The markers any residual kept, and its features in their numbering."""
    chosen = np.unique(best.feature[best.feature >= 0] % markers)
    place = np.searchsorted(chosen, best.feature % markers)
    features = np.where(best.feature >= 0, place + best.feature // markers * len(chosen), -1)
    return chosen, features


def _channels_of(study: Study, modality: str, chosen: np.ndarray) -> np.ndarray:
    """Channels, (2, places, chosen), of some markers."""
    values = np.zeros((2, len(study.basis), len(chosen)), np.float32)
    for start, width, channels in study.blocks(modality):
        low, high = np.searchsorted(chosen, [start, start + width])
        values[:, :, low:high] = np.asarray(channels.values)[:, :, chosen[low:high] - start]
    return values


def _columns_of(
    candidates: Sequence[Candidates], offsets: np.ndarray, features: np.ndarray
) -> np.ndarray:
    """Channels, (places, features), of some features, numbered through all modalities."""
    parts = []
    for c, low, high in zip(candidates, offsets, offsets[1:], strict=False):
        mine = features[(features >= low) & (features < high)] - low
        channel, column = np.divmod(mine, c.values.shape[2])
        parts.append(c.values[channel[None], np.arange(c.values.shape[1])[:, None], column[None]])
    return np.concatenate(parts, axis=1)
