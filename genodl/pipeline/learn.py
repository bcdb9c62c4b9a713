"""What the folds learn of each phenotype: screens, sparse paths and networks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genodl.attribute import integrated_gradients
from genodl.config import DiscoverConfig
from genodl.pipeline.study import Study
from genodl.screen.marginal import Screen, keep_best, scan
from genodl.screen.residual import Target
from genodl.screen.sparse import distinct, sparse_path
from genodl.train.ensemble import Ensemble, fit_ensemble

Track = Callable[[Iterable, str, int], Iterable]
STEPS = 16


class Candidates(NamedTuple):
    """The markers that any training fold passed on, of one modality.

    Attributes
    ----------
    modality : name
    markers : int, (candidates,), column in the modality, ascending
    values : float32, (2, places, candidates), channels
    features : int, (most, folds, targets), candidate feature of each fold and target, best first,
        numbered channel * candidates + candidate, -1 where there are fewer
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
    """

    selected: np.ndarray
    coefficients: np.ndarray
    prediction: np.ndarray
    inner: np.ndarray


class Attributed(NamedTuple):
    """What predictions of held-out samples are attributed to some markers of a modality.

    Attributes
    ----------
    values : float32, (places, markers), in the unit of the phenotype
    proxies : float32, (places, markers), the additive channel of those markers
    """

    values: np.ndarray
    proxies: np.ndarray


class Part(NamedTuple):
    """What a stage beyond the sparse path adds for one target.

    Attributes
    ----------
    prediction : float32, (places,), of what is left, by the fold that held the place out
    inner : float32, (places, folds), of the training rows by fits that left them out
    attribution : of each modality; one is absent where nothing is attributed to it
    """

    prediction: np.ndarray
    inner: np.ndarray
    attribution: dict[str, Attributed]


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
    folds, targets = len(study.folded.rows), len(study.targets)
    whole = np.stack([t.marginal for t in study.targets], axis=1)
    columns = jnp.asarray(np.concatenate([residuals, whole], axis=1))
    markers = study.cohort.modalities[modality].n_vars
    marginal = np.zeros((markers, targets), np.float32)
    scale = np.zeros(markers, np.float32)

    def scores() -> Iterator[tuple[int, np.ndarray]]:
        blocks = study.blocks(modality)
        for start, width, channels in track(blocks, f"screening {modality}", markers):
            z = np.asarray(scan(channels, columns))[:, :width]
            marginal[start : start + width] = z[0, :, folds * targets :]
            scale[start : start + width] = np.asarray(channels.scale)[:width]
            yield start, z[:, :, : folds * targets]

    best = keep_best(scores(), markers=markers, most=config.candidates)
    chosen, features = _renumber(best, markers)
    return Candidates(
        modality,
        chosen,
        _channels_of(study, modality, chosen),
        features.reshape(-1, folds, targets),
        np.abs(best.z).reshape(-1, folds, targets),
        marginal,
        scale,
    )


def sparse(
    study: Study, candidates: Sequence[Candidates], number: int, config: DiscoverConfig
) -> Linear:
    """The sparse path of one target in each fold, over one modality or several jointly."""
    target, folds = study.targets[number], len(study.folded.rows)
    values = np.concatenate([_flat(c) for c in candidates], axis=1)
    offsets = np.cumsum([0, *(2 * c.values.shape[2] for c in candidates)])
    most = max(config.candidates // len(candidates), 1)

    def fit(k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        lists = [c.features[:most, k, number] for c in candidates]
        pairs = zip(lists, offsets, strict=False)
        features = np.concatenate([f[f >= 0] + offset for f, offset in pairs])
        train = target.known & (study.folded.fold != k)
        x = values[:, features]
        kept = distinct(x[train] - x[train].mean(0))
        features, x = features[kept], x[:, kept]
        centre = x[train].mean(0)
        response = target.residual[train, k].astype(float)
        found = sparse_path(x[train] - centre, response - response.mean(), seed=config.seed + k)
        inner = np.zeros(len(x), np.float32)
        inner[train] = found.inner
        prediction = (x - centre) @ found.coefficients.astype(np.float32)
        return features, found.coefficients, prediction, inner

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        fits = list(pool.map(fit, range(folds)))
    selected = np.unique(np.concatenate([f[b != 0] for f, b, _, _ in fits]))
    coefficients = np.zeros((folds, len(selected)))
    for k, (features, b, _, _) in enumerate(fits):
        coefficients[k, np.searchsorted(selected, features[b != 0])] = b[b != 0]
    prediction = np.stack([p for _, _, p, _ in fits], axis=1)
    inner = np.stack([i for _, _, _, i in fits], axis=1)
    return Linear(selected, coefficients, prediction.astype(np.float32), inner)


def deepen(
    study: Study,
    candidates: Sequence[Candidates],
    linear: Linear,
    products: Part,
    number: int,
    config: DiscoverConfig,
) -> Deep:
    """An ensemble of networks on what the earlier stages leave, gated by out-of-bag predictions."""
    target, folds = study.targets[number], len(study.folded.rows)
    places = len(target.values)
    empty = Part(np.zeros(places, np.float32), np.zeros((places, folds), np.float32), {})
    nothing = Deep(products, empty, np.zeros(folds), None)
    inputs = _inputs(candidates, number, folds, config.network_inputs)
    if config.members == 0 or config.model == "linear" or not len(inputs):
        return nothing
    stacked = np.concatenate([c.values[0] for c in candidates], axis=1)
    x = np.stack([stacked[:, row] for row in inputs])
    train = target.known & (study.folded.fold != np.arange(folds)[:, None])
    model = "mlp" if config.model == "auto" else config.model
    ensemble = fit_ensemble(
        model,
        {},
        x,
        (target.residual - linear.inner - products.inner).T * train,
        train.astype(np.float32),
        members=config.members,
        seed=config.seed,
    )
    if not ensemble.gate.any():
        return nothing._replace(ensemble=ensemble)
    held = x.reshape(folds, folds, -1, x.shape[2])[np.arange(folds), np.arange(folds)]
    prediction, attribution = _explain(ensemble, held)
    gate = ensemble.gate[:, None].astype(np.float32)
    spread = _by_modality(candidates, inputs, attribution * gate[:, :, None])
    network = Part((prediction * gate).reshape(-1), empty.inner, spread)
    return Deep(products, network, ensemble.gate, ensemble)


def _explain(ensemble: Ensemble, held: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Predictions (folds, width) and attributions (folds, width, inputs) of the held-out rows."""
    apply = ensemble.apply

    @jax.jit
    def of_fold(params: Any, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        baseline = jnp.zeros_like(x)
        found = integrated_gradients(lambda z: apply(params, z), x, baseline, steps=STEPS)
        return apply(params, x) - apply(params, baseline[:1]), found

    pairs = [
        of_fold(jax.tree.map(lambda leaf, k=k: leaf[k], ensemble.params), jnp.asarray(x))
        for k, x in enumerate(held)
    ]
    return np.stack([p for p, _ in pairs]), np.stack([a for _, a in pairs])


def _by_modality(
    candidates: Sequence[Candidates], inputs: np.ndarray, attribution: np.ndarray
) -> dict[str, Attributed]:
    """Attributions, (folds, width, inputs), sorted to the markers of each modality."""
    folds, width, _ = attribution.shape
    spread: dict[str, Attributed] = {}
    offset = 0
    for c in candidates:
        count = c.values.shape[2]
        here = np.unique(inputs[(inputs >= offset) & (inputs < offset + count)])
        dense = np.zeros((folds, width, len(here)), np.float32)
        for k in range(folds):
            mine = np.isin(inputs[k], here)
            dense[k][:, np.searchsorted(here, inputs[k, mine])] = attribution[k][:, mine]
        if len(here):
            values = dense.reshape(folds * width, len(here))
            spread[c.modality] = Attributed(values, c.values[0][:, here - offset])
        offset += count
    return spread


def _inputs(
    candidates: Sequence[Candidates], number: int, folds: int, most: int
) -> np.ndarray | list:
    """Candidate columns that the networks of each fold see, int (folds, inputs)."""
    chosen = []
    for k in range(folds):
        best: dict[int, float] = {}
        offset = 0
        for c in candidates:
            count = c.values.shape[2]
            features, strength = c.features[:, k, number], c.strength[:, k, number]
            for feature, z in zip(features, strength, strict=True):
                if feature >= 0:
                    column = int(feature) % count + offset
                    best[column] = max(best.get(column, 0.0), float(z))
            offset += count
        chosen.append(sorted(best, key=lambda column: (-best[column], column))[:most])
    width = min(len(c) for c in chosen)
    return np.array([sorted(c[:width]) for c in chosen]) if width else []


def _training_residuals(study: Study) -> np.ndarray:
    """(places, folds * targets), fold by fold, 0 in the fold that is held out."""
    trained = study.folded.fold[:, None] != np.arange(len(study.folded.rows))
    stacked = np.stack([t.residual * trained for t in study.targets], axis=2)
    return stacked.reshape(len(trained), -1)


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


def _flat(candidates: Candidates) -> np.ndarray:
    """Channels side by side, (places, 2 * candidates), in the numbering of the features."""
    return np.concatenate(list(candidates.values), axis=1)
