"""What the folds have learnt, brought together as a function of new samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from genodl.cohort.design import columns_of
from genodl.cohort.presence import VARIANTS
from genodl.cohort.structure import loadings
from genodl.config import DiscoverConfig
from genodl.pipeline.candidates import Candidates, offsets_of, steps_of
from genodl.pipeline.candidates import columns_of as columns_of_features
from genodl.pipeline.encoded import Keys, features_of, identity
from genodl.pipeline.interact import COVARIATES, Panel
from genodl.pipeline.learn import Deep, Linear
from genodl.pipeline.partners import partners
from genodl.pipeline.predict import slopes_of
from genodl.pipeline.study import Study
from genodl.pipeline.wiring import Wiring, wiring
from genodl.rank.annotate import Membership
from genodl.score.scorer import Networks, Output, Products, Scorer
from genodl.screen.residual import Target
from genodl.train.ensemble import mean_prediction


class _Learnt(NamedTuple):
    """What some folds have learnt of one target, weighed for their mean.

    Attributes
    ----------
    keys, weight : int, float64, (terms,), feature, see `Keys`, and its weight
    behind : float64, (places,), weights of the samples in the background; None where there is none
    constant : float
    products : keys of the factors, or -2 less the number of a covariate, and the weight, of each
    networks : keys of the inputs, int, (tasks, inputs), -1 = none and less a direction, see
        `Wiring`, and the weight of each task; None where none has a say
    """

    keys: np.ndarray
    weight: np.ndarray
    behind: np.ndarray | None
    constant: float
    products: list[tuple[list[int], float]]
    networks: tuple[np.ndarray, np.ndarray] | None

    @property
    def used(self) -> np.ndarray:
        """Every key, with repeats."""
        factors = [key for each, _ in self.products for key in each]
        inputs = np.zeros(0, int) if self.networks is None else self.networks[0].ravel()
        every = np.concatenate([self.keys, np.array(factors, int), inputs])
        return every[every >= 0]


def scorer(
    study: Study,
    candidates: Sequence[Candidates],
    scanned: Panel,
    joint: Sequence[Linear],
    deeps: Sequence[Deep],
    covariates: Sequence[str],
    config: DiscoverConfig,
    *,
    members: Membership | None = None,
    folds: Sequence[int] | None = None,
) -> Scorer:
    """What the folds, or some of them, predict in the mean of the phenotypes that are no null.

    Networks with branches of genes need the `members` of these.
    """
    used = list(range(len(study.folded.rows)) if folds is None else folds)
    sizes = {c.modality: study.cohort.modalities[c.modality].n_vars for c in candidates}
    start = dict(zip(sizes, np.cumsum([0, *sizes.values()]).tolist(), strict=False))
    keys = Keys(start, sum(sizes.values()))
    real = [i for i, target in enumerate(study.targets) if not target.null]
    grown = [d.branches.genes for d in (deeps[i] for i in real) if d.branches and d.gate.any()]
    wired = wiring(study, members, keys, set(np.concatenate(grown))) if grown and members else None
    learnt = [
        _learnt(study, candidates, scanned, joint[i], deeps[i], i, keys, used, wired) for i in real
    ]
    wanted = [each.used for each in learnt] + (wired.member if wired else [])
    if any(each.behind is not None for each in learnt):
        wanted.append(keys.of(VARIANTS, np.arange(sizes[VARIANTS]), 0))
    every = np.unique(np.concatenate(wanted)).astype(int)
    thinned = keys.start.get(VARIANTS, 0) + study.thinned
    marker = np.unique(np.concatenate([every % keys.markers, thinned])).astype(int)
    made = features_of(study, keys, every, marker, [each.behind for each in learnt])
    outputs = [
        _output(study.targets[i], deeps[i], each, every, weight, used)
        for i, each, weight in zip(real, learnt, made.behind, strict=True)
    ]
    projected = np.zeros((len(marker), config.pcs), np.float32)
    projected[np.searchsorted(marker, thinned)] = _loadings(study, config)
    names = study.covariate_names[: len(study.covariate_names) - config.pcs]
    columns = columns_of(study.cohort.samples, list(covariates), list(names))
    related = np.linalg.pinv(study.covariates) @ partners(study, config)[1]
    return Scorer(
        identity(study, keys, marker).assign(mean=made.mean),
        tuple(columns),
        projected,
        made.features,
        related.astype(np.float32),
        tuple(outputs),
        wired.placed(every) if wired else None,
    )


def _learnt(
    study: Study,
    candidates: Sequence[Candidates],
    scanned: Panel,
    linear: Linear,
    deep: Deep,
    number: int,
    keys: Keys,
    used: Sequence[int],
    wired: Wiring | None,
) -> _Learnt:
    """The terms of one target."""
    target, fold = study.targets[number], study.folded.fold
    say = np.zeros(len(study.folded.rows))
    say[used] = slopes_of(target, linear, deep, fold)[used] / len(used)
    # branches of genes stand in the place of the other parts
    share = say * (1 - deep.gate) if deep.branches else say
    straight = share if linear.share is None else share * linear.share
    weights = linear.coefficients * straight[:, None]
    values, key = _selected(study, candidates, linear.selected, keys)
    means = np.stack([values[target.known & (fold != k)].mean(0) for k in range(len(share))])
    constant = -float((weights * means).sum())
    products = []
    for term in deep.products.terms:
        factors = [
            -2 - column if name == COVARIATES else int(keys.of(name, column, 0))
            for name, column in map(scanned.key, term.columns)
        ]
        weight = term.coefficient * share[term.fold]
        products.append((factors, weight))
        constant -= weight * term.centre
    products = [(factors, weight) for factors, weight in products if weight]
    behind = None if linear.behind is None else linear.behind @ share
    if behind is not None and not behind.any():
        behind = None
    networks = _inputs(candidates, deep, keys, say, wired)
    return _Learnt(key, weights.sum(0), behind, constant, products, networks)


def _selected(
    study: Study, candidates: Sequence[Candidates], selected: np.ndarray, keys: Keys
) -> tuple[np.ndarray, np.ndarray]:
    """Values, (places, features), and keys of the features that a path selected."""
    offsets = offsets_of(candidates)
    values, found = [], []
    for c, low, high in zip(candidates, offsets, offsets[1:], strict=False):
        mine = selected[(selected >= low) & (selected < high)] - low
        values.append(columns_of_features(c, mine, steps_of(study, c, mine)))
        channel, column = np.divmod(mine, c.values.shape[2])
        found.append(keys.of(c.modality, c.markers[column], channel))
    return np.concatenate(values, axis=1), np.concatenate(found)


def _inputs(
    candidates: Sequence[Candidates],
    deep: Deep,
    keys: Keys,
    share: np.ndarray,
    wired: Wiring | None,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Keys of the inputs and weight of each network, see `_Learnt`."""
    if not (deep.gate * share).any():
        return None
    if deep.branches is not None and wired is not None:
        width = deep.branches.ensemble.network.inputs // deep.branches.chosen.shape[1]
        inputs = np.stack([wired.inputs(genes, width) for genes in deep.branches.chosen])
        return inputs, deep.gate * share
    assert deep.inputs is not None
    own = np.concatenate([keys.of(c.modality, c.markers, 0) for c in candidates])
    tasks = len(deep.inputs)
    groups = tasks // len(share)
    weight = (deep.gate * share)[np.arange(tasks) // groups] / groups
    return np.where(deep.inputs >= 0, own[deep.inputs], -1), weight


def _output(
    target: Target,
    deep: Deep,
    learnt: _Learnt,
    every: np.ndarray,
    behind: np.ndarray,
    used: Sequence[int],
) -> Output:
    """What is predicted of one target."""
    weight = behind.copy()
    np.add.at(weight, np.searchsorted(every, learnt.keys), learnt.weight)
    return Output(
        target.name,
        target.label,
        target.kind,
        _base(target)[list(used)],
        target.component,
        weight.astype(np.float32),
        learnt.constant,
        _products(learnt, every),
        _networks(deep, learnt, every),
    )


def _base(target: Target) -> np.ndarray:
    """The covariates-only models of a target."""
    assert target.base is not None
    return target.base


def _products(learnt: _Learnt, every: np.ndarray) -> Products | None:
    """Products by the places of their factors."""
    if not learnt.products:
        return None
    order = max(len(factors) for factors, _ in learnt.products)
    factors = np.full((len(learnt.products), order), -1)
    for row, (own, _) in enumerate(learnt.products):
        for place, key in enumerate(own):
            partner = len(every) - 2 - key
            factors[row, place] = np.searchsorted(every, key) if key >= 0 else partner
    return Products(factors, np.array([weight for _, weight in learnt.products], np.float32))


def _networks(deep: Deep, learnt: _Learnt, every: np.ndarray) -> Networks | None:
    """The networks that have a say."""
    if learnt.networks is None or deep.ensemble is None:
        return None
    keys, weight = learnt.networks
    heard = np.flatnonzero(weight)
    columns = np.where(keys >= 0, np.searchsorted(every, keys), -1)
    # directions follow the features
    columns = np.where(keys < -1, len(every) - 2 - keys, columns)[heard]
    network = deep.ensemble.network
    params = jax.tree.map(lambda leaf: np.asarray(leaf)[heard], deep.ensemble.params)
    if deep.branches is not None:
        centre = deep.branches.centre[heard].astype(np.float32)
    else:
        nothing = np.zeros((len(heard), 1, columns.shape[1]), np.float32)
        centre = np.asarray(jax.vmap(mean_prediction(network, True))(params, nothing))[:, 0]
    return Networks(network, params, columns, weight[heard].astype(np.float32), centre)


def _loadings(study: Study, config: DiscoverConfig) -> np.ndarray:
    """Of the components of the variants, (thinned, components)."""
    if not config.pcs:
        return np.zeros((0, 0), np.float32)
    samples = len(study.cohort.samples)
    components = study.folded.gather(study.covariates[:, -config.pcs :], samples)
    return loadings(study.cohort.modalities[VARIANTS].X[:, study.thinned], components)
