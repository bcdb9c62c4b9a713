"""Networks on what the sparse path and the products leave, and what they are attributed to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from genodl.attribute import integrated_gradients
from genodl.config import DiscoverConfig
from genodl.pipeline.learn import Attributed, Candidates, Deep, Linear, Part
from genodl.pipeline.study import Study
from genodl.train.ensemble import Ensemble, fit_ensemble
from genodl.train.stacking import gate

STEPS = 16  # nodes of the integrated gradients


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
    places, groups = len(target.values), study.folded.inner.max() + 1
    empty = Part(np.zeros(places, np.float32), np.zeros((places, folds), np.float32), {})
    nothing = Deep(products, empty, np.zeros(folds), None)
    inputs = _inputs(candidates, number, config.network_inputs)
    if config.members == 0 or config.model in ("linear", "pathway") or not inputs.size:
        return nothing
    # a task a training fold and inner group: its inputs and its stopping never saw that group
    fold = np.repeat(np.arange(folds), groups)
    group = np.tile(np.arange(groups), folds)
    stacked = np.concatenate([c.values[0] for c in candidates], axis=1)
    x = np.stack([stacked[:, row] for row in inputs])
    train = (target.known & (study.folded.fold != fold[:, None])).astype(np.float32)
    left = (target.residual - linear.inner - products.inner).T
    validated = (study.folded.inner[fold] == group[:, None]) & (train > 0)
    ensemble = fit_ensemble(
        "mlp" if config.model == "auto" else config.model,
        {},
        x,
        _left(study, linear, products, number)[:, fold, group].T * train,
        train,
        members=-(-config.members // groups),
        seed=config.seed,
        validated=validated,
    )
    gates = np.zeros(folds)
    for k in range(folds):
        known = train[fold == k][0]
        predicted = np.where(validated, ensemble.out_of_bag, 0)[fold == k].sum(0)
        gates[k] = gate(predicted, left[k] - np.average(left[k], weights=known), known)
    if not gates.any():
        return nothing._replace(ensemble=ensemble)
    held = x.reshape(folds * groups, folds, -1, x.shape[2])[np.arange(folds * groups), fold]
    prediction, attribution = _explain(ensemble, held)
    share = (gates[fold] / groups)[:, None].astype(np.float32)
    spread = _by_modality(candidates, inputs, attribution * share[:, :, None], folds)
    predicted = (prediction * share).reshape(folds, groups, -1).sum(1).reshape(-1)
    return Deep(products, Part(predicted, empty.inner, spread), gates, ensemble)


def _left(study: Study, linear: Linear, products: Part, number: int) -> np.ndarray:
    """What a network is trained on, (places, folds, groups): less the fits without a group.

    Left-out predictions of the other groups would not do: they have seen the values of this one,
    a network learns to undo what they made of it, and its gain on the group comes out too low.
    """
    shape = (1, 1, int(study.folded.inner.max()) + 1)
    left = np.tile(study.targets[number].residual[:, :, None], shape)
    if linear.views is not None:
        share = 1.0 if linear.share is None else linear.share[:, None]
        left = left - linear.views * share
    return left if products.views is None else left - products.views


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
    candidates: Sequence[Candidates], inputs: np.ndarray, attribution: np.ndarray, folds: int
) -> dict[str, Attributed]:
    """Attributions, (tasks, width, inputs), summed over the tasks of a fold, by modality."""
    tasks, width, _ = attribution.shape
    spread: dict[str, Attributed] = {}
    offset = 0
    for c in candidates:
        count = c.values.shape[2]
        here = np.unique(inputs[(inputs >= offset) & (inputs < offset + count)])
        dense = np.zeros((folds, width, len(here)), np.float32)
        for task in range(tasks):
            mine = np.isin(inputs[task], here)
            columns = np.searchsorted(here, inputs[task, mine])
            dense[task * folds // tasks][:, columns] += attribution[task][:, mine]
        if len(here):
            values = dense.reshape(folds * width, len(here))
            spread[c.modality] = Attributed(values, c.values[0][:, here - offset])
        offset += count
    return spread


def _inputs(candidates: Sequence[Candidates], number: int, most: int) -> np.ndarray:
    """Candidate columns that each task sees, int (tasks, inputs): fold by fold, inner group."""
    offsets = np.cumsum([0, *(c.values.shape[2] for c in candidates)])
    column = np.concatenate(
        [
            np.where(c.features >= 0, c.features % c.values.shape[2] + offset, -1)
            for c, offset in zip(candidates, offsets, strict=False)
        ]
    )[:, :, 1:, number]
    strength = np.concatenate([c.strength for c in candidates])[:, :, 1:, number]
    column = column.reshape(len(column), -1).T
    strength = strength.reshape(len(strength), -1).T
    chosen = []
    for columns, z in zip(column, strength, strict=True):
        order = np.argsort(-z, kind="stable")
        kept = [c for c in dict.fromkeys(columns[order].tolist()) if c >= 0]
        chosen.append(kept[:most])
    width = min(len(c) for c in chosen)
    return np.array([sorted(c[:width]) for c in chosen], int).reshape(len(chosen), width)
