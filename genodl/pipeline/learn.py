"""What the folds learn of each phenotype: screens, sparse paths and networks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from genodl.config import DiscoverConfig
from genodl.pipeline.branches import Branches
from genodl.pipeline.candidates import Candidates, Stepped, columns_of, offsets_of, steps_of
from genodl.pipeline.study import Study
from genodl.screen.sparse import sparse_path
from genodl.train.ensemble import Ensemble

Track = Callable[[Iterable, str, int], Iterable]


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
    behind : float32, (places, folds), what the background of each fold weighs the samples by: the
        mean over the variants of their products with another gives its prediction
    """

    selected: np.ndarray
    coefficients: np.ndarray
    prediction: np.ndarray
    inner: np.ndarray
    background: np.ndarray | None = None
    share: np.ndarray | None = None
    views: np.ndarray | None = None
    behind: np.ndarray | None = None


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
    factors : modality and column of each, two or three; the modality of a covariate is
        "covariates"
    z : of the product in the training fold
    """

    fold: int
    factors: tuple[tuple[str, int], ...]
    z: float


class Term(NamedTuple):
    """A product in the prediction of one fold.

    Attributes
    ----------
    fold : the fold that was held out
    columns : of the panel, two or three
    coefficient, centre : the prediction is the coefficient times the product less its centre
    """

    fold: int
    columns: tuple[int, ...]
    coefficient: float
    centre: float


class Part(NamedTuple):
    """What a stage beyond the sparse path adds for one target.

    Attributes
    ----------
    prediction : float32, (places,), of what is left, by the fold that held the place out
    inner : float32, (places, folds), of the training rows by fits that left them out
    attribution : of each modality; one is absent where nothing is attributed to it
    proposals : products that were proposed, of the products' part
    views : float32, (places, folds, groups), see `Linear`
    terms : the products that have a say, of the products' part
    """

    prediction: np.ndarray
    inner: np.ndarray
    attribution: dict[str, Attributed]
    proposals: tuple[Proposal, ...] = ()
    views: np.ndarray | None = None
    terms: tuple[Term, ...] = ()


class Deep(NamedTuple):
    """All that is learnt beyond the sparse path of one target.

    Attributes
    ----------
    products, network : the parts; the network's is gated
    gate : float64, (folds,), stacking weight of the network, 0 where it adds nothing
    ensemble : the trained networks, None where none were asked for
    inputs : int, (tasks, inputs), candidates that each network sees, -1 = none; None where the
        networks have branches of genes
    branches : those networks; their gate weighs them against the other parts, not beside them
    """

    products: Part
    network: Part
    gate: np.ndarray
    ensemble: Ensemble | None
    inputs: np.ndarray | None = None
    branches: Branches | None = None


def sparse(
    study: Study, candidates: Sequence[Candidates], number: int, config: DiscoverConfig
) -> Linear:
    """The sparse path of one target in each fold, over one modality or several jointly."""
    target, folds = study.targets[number], len(study.folded.rows)
    offsets = offsets_of(candidates)
    most = max(config.candidates // len(candidates), 1)

    def columns(k: int, view: int) -> np.ndarray:
        pairs = zip(candidates, offsets, strict=False)
        return np.concatenate([c.wanted(most, k, view, number) + offset for c, offset in pairs])

    lists = [
        [columns(k, view) for view in range(1 + len(np.unique(inner[inner >= 0])))]
        for k, inner in enumerate(study.folded.inner)
    ]
    every = np.unique(np.concatenate([each for views in lists for each in views]))
    stepped = [
        steps_of(study, c, every[(every >= low) & (every < high)] - low)
        for c, low, high in zip(candidates, offsets, offsets[1:], strict=False)
    ]

    def fit(k: int) -> tuple[np.ndarray, ...]:
        train = np.flatnonzero(target.known & (study.folded.fold != k))
        group = study.folded.inner[k][train]
        mine = lists[k][: 2 + group.max()]
        features, seen = mine[0], np.unique(np.concatenate(mine))
        values = _columns_of(candidates, offsets, seen, stepped)
        first, *others = (np.searchsorted(seen, each) for each in mine)
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


def _columns_of(
    candidates: Sequence[Candidates],
    offsets: np.ndarray,
    features: np.ndarray,
    stepped: Sequence[Stepped],
) -> np.ndarray:
    """Channels, (places, features), of some features, numbered through all modalities."""
    parts = zip(candidates, offsets, offsets[1:], stepped, strict=False)
    return np.concatenate(
        [
            columns_of(c, features[(features >= low) & (features < high)] - low, steps)
            for c, low, high, steps in parts
        ],
        axis=1,
    )
