"""Networks on what the sparse path and the products leave, and what they are attributed to."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from genodl.attribute import integrated_gradients
from genodl.config import DiscoverConfig
from genodl.pipeline.candidates import Candidates
from genodl.pipeline.learn import Attributed, Deep, Linear, Part
from genodl.pipeline.states import NOWHERE, States
from genodl.pipeline.study import Study
from genodl.rank.stability import selects
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
    states: States = NOWHERE,
) -> Deep:
    """An ensemble of networks on what the earlier stages leave, gated by out-of-bag predictions."""
    target, folds = study.targets[number], len(study.folded.rows)
    places, groups = len(target.values), study.folded.inner.max() + 1
    empty = Part(np.zeros(places, np.float32), np.zeros((places, folds), np.float32), {})
    nothing = Deep(products, empty, np.zeros(folds), None)
    inputs = _inputs(candidates, number, config.network_inputs)
    model = "mlp" if config.model == "auto" else config.model
    if config.members == 0 or config.model in ("linear", "pathway") or not inputs.size:
        return nothing
    # a task a training fold and inner group: its inputs and its stopping never saw that group
    fold = np.repeat(np.arange(folds), groups)
    group = np.tile(np.arange(groups), folds)
    inputs, settings = _laid_out(study, candidates, inputs, model)
    x = _filled(candidates, inputs)
    train = (target.known & (study.folded.fold != fold[:, None])).astype(np.float32)
    left = (target.residual - linear.inner - products.inner).T
    validated = (study.folded.inner[fold] == group[:, None]) & (train > 0)
    ensemble = fit_ensemble(
        model,
        settings,
        x,
        _left(study, linear, products, number)[:, fold, group].T * train,
        train,
        members=-(-config.members // groups),
        seed=config.seed,
        config=config.training,
        validated=validated,
        resume=states.networks(number),
    )
    gates = np.zeros(folds)
    for k in range(folds):
        known = train[fold == k][0]
        predicted = np.where(validated, ensemble.out_of_bag, 0)[fold == k].sum(0)
        gates[k] = gate(predicted, left[k] - np.average(left[k], weights=known), known)
    if not gates.any():
        return nothing._replace(ensemble=ensemble)
    held = x.reshape(folds * groups, folds, -1, x.shape[2])[np.arange(folds * groups), fold]
    rest = _rest(study, linear, products, number)[fold]
    explained = _explain(ensemble, held, rest, gates[fold] > 0)
    share = (gates[fold] / groups)[:, None].astype(np.float32)
    explained = explained._replace(attribution=explained.attribution * share[:, :, None])
    spread = _by_modality(candidates, inputs, explained, gates > 0)
    predicted = (explained.prediction * share).reshape(folds, groups, -1).sum(1).reshape(-1)
    return Deep(products, Part(predicted, empty.inner, spread), gates, ensemble, inputs)


def _laid_out(
    study: Study, candidates: Sequence[Candidates], inputs: np.ndarray, model: str
) -> tuple[np.ndarray, dict[str, Any]]:
    """The columns as the model lays them out, int (tasks, inputs), -1 = empty, and its settings.

    Tasks see other markers each and share one layout: windows slide along contigs, and branches
    hold modalities, of which each has as many inputs as the task that has most of it.
    """
    setting = {"fusion": "modalities", "cnn": "contigs", "lstm": "contigs", "gru": "contigs"}
    if model not in setting:
        return inputs, {}
    labels: list[tuple[str, str]] = []
    for c in candidates:
        var = study.cohort.modalities[c.modality].var
        by_contig = setting[model] == "contigs" and "contig" in var
        contigs = var["contig"].iloc[c.markers] if by_contig else [""] * len(c.markers)
        labels += [(c.modality, str(contig)) for contig in contigs]
    group = pd.factorize(pd.Index(labels))[0][inputs]
    kinds = np.unique(group)
    parts = [[row[of == kind] for row, of in zip(inputs, group, strict=True)] for kind in kinds]
    widths = [max(map(len, part)) for part in parts]
    laid = [
        np.stack([np.pad(row, (0, width - len(row)), constant_values=-1) for row in part])
        for part, width in zip(parts, widths, strict=True)
    ]
    return np.concatenate(laid, axis=1), {setting[model]: tuple(widths)}


def _filled(candidates: Sequence[Candidates], inputs: np.ndarray) -> np.ndarray:
    """The columns of each task, float32, (tasks, places, inputs), 0 where empty."""
    values = [c.values[0] for c in candidates]
    stacked = values[0] if len(values) == 1 else np.concatenate(values, axis=1)
    x = np.zeros((len(inputs), len(stacked), inputs.shape[1]), np.float32)
    for task, row in zip(x, inputs, strict=True):
        task[:, row >= 0] = stacked[:, row[row >= 0]]
    return x


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


def _rest(study: Study, linear: Linear, products: Part, number: int) -> np.ndarray:
    """What path and products leave of the held-out samples, float32, (folds, width)."""
    target, fold = study.targets[number], study.folded.fold
    places = np.arange(len(fold))
    said = linear.prediction[places, fold] + products.prediction
    rest = (target.residual[places, fold] - said) * target.known
    return rest.reshape(study.folded.rows.shape).astype(np.float32)


class _Explained(NamedTuple):
    """What the networks of each task, a fold and inner group, say of the held-out rows.

    Attributes
    ----------
    prediction : float32, (tasks, width)
    attribution : float32, (tasks, width, inputs), the mean over the members
    size : float32, (tasks, members, inputs), mean absolute attribution by one member
    covariance : float32, (tasks, members, inputs), its attribution times what is left, summed
    """

    prediction: np.ndarray
    attribution: np.ndarray
    size: np.ndarray
    covariance: np.ndarray


def _explain(
    ensemble: Ensemble, held: np.ndarray, rest: np.ndarray, open_: np.ndarray
) -> _Explained:
    """Attribution of the rows that the tasks with a say hold out; that of the others is 0.

    Parameters
    ----------
    held : float32, (tasks, width, inputs)
    rest : float32, (tasks, width)
    open_ : bool, (tasks,), one at least
    """
    tasks = np.flatnonzero(open_)
    params = [jax.tree.map(lambda leaf, k=k: leaf[k], ensemble.params) for k in tasks]
    given = zip(params, held[tasks], rest[tasks], strict=True)
    each = [_of_task(*one, apply=ensemble.apply) for one in given]
    found = []
    for part in map(np.stack, zip(*each, strict=True)):
        whole = np.zeros((len(open_), *part.shape[1:]), part.dtype)
        whole[tasks] = part
        found.append(whole)
    return _Explained(*found)


@partial(jax.jit, static_argnames="apply")
def _of_task(params: Any, x: jax.Array, left: jax.Array, *, apply: Any) -> tuple[jax.Array, ...]:
    """The parts of `_Explained` of one task, by each member and in the mean."""
    baseline = jnp.zeros_like(x)
    share = params["share"][:, None]

    def by(member: Any) -> jax.Array:
        alone = {**params, "members": member, "share": jnp.ones(1)}
        return integrated_gradients(lambda z: apply(alone, z), x, baseline, steps=STEPS)

    each = jax.vmap(by)(jax.tree.map(lambda leaf: leaf[:, None], params["members"]))
    each = jnp.where(share[:, :, None] > 0, each, 0)
    size, covariance = jnp.abs(each).mean(1), jnp.einsum("mwi,w->mi", each, left)
    mean = (each * share[:, :, None]).sum(0)
    return apply(params, x) - apply(params, baseline[:1]), mean, size, covariance


def _by_modality(
    candidates: Sequence[Candidates], inputs: np.ndarray, explained: _Explained, open_: np.ndarray
) -> dict[str, Attributed]:
    """Attributions summed over the tasks of a fold, votes and halves of its networks, by modality.

    Parameters
    ----------
    inputs : int, (tasks, inputs), candidate columns, -1 = none
    open_ : bool, (folds,), whether the networks of a fold have a say
    """
    tasks, width, _ = explained.attribution.shape
    folds, members = len(open_), explained.size.shape[1]
    fold = np.arange(tasks) * folds // tasks
    votes = selects(explained.size) & open_[fold, None, None]
    covariance = explained.covariance * open_[fold, None, None]
    # the networks of a fold in turn, so that both halves see every fold and inner group they can
    half = (np.arange(tasks)[:, None] % (tasks // folds) * members + np.arange(members)) % 2
    spread: dict[str, Attributed] = {}
    offset = 0
    for c in candidates:
        count = c.values.shape[2]
        here = np.unique(inputs[(inputs >= offset) & (inputs < offset + count)])
        dense = np.zeros((folds, width, len(here)), np.float32)
        chosen = np.zeros((tasks, members, len(here)), bool)
        halves = np.zeros((2, len(here)))
        for task in range(tasks):
            mine = np.isin(inputs[task], here)
            columns = np.searchsorted(here, inputs[task, mine])
            dense[fold[task]][:, columns] += explained.attribution[task][:, mine]
            chosen[task][:, columns] = votes[task][:, mine]
            for h in (0, 1):
                halves[h, columns] += covariance[task][half[task] == h][:, mine].sum(0)
        if len(here):
            spread[c.modality] = Attributed(
                dense.reshape(folds * width, len(here)),
                c.values[0][:, here - offset],
                c.markers[here - offset],
                chosen.reshape(folds, -1, len(here)),
                halves if len(np.unique(half)) == 2 else None,
            )
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
