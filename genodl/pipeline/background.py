"""The polygenic background: many small effects of the variants, by ridge regression."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from genodl.cohort.presence import VARIANTS
from genodl.pipeline.learn import Linear
from genodl.pipeline.study import Study
from genodl.screen.ridge import ridge, stack

MOST_SAMPLES = 8_000  # beyond, the relationship of all samples is too large a matrix


class Background(NamedTuple):
    """What the variants together say of the samples of one target.

    Attributes
    ----------
    by_contig : float32, (places, contigs), the part of each contig in the prediction of a place by
        the fit of the fold that held it out
    inner : float32, (places, folds), of the training rows by fits that left them out
    weights : float32, (places, folds), of the samples in the fit of each fold, see `RidgeFit`
    """

    by_contig: np.ndarray
    inner: np.ndarray
    weights: np.ndarray


def backgrounds(study: Study) -> list[Background] | None:
    """The background of every target; None without variants, or with too many samples."""
    if VARIANTS not in study.cohort.modalities or len(study.basis) > MOST_SAMPLES:
        return None
    kernel = _kernel(study)
    residual = np.stack([t.residual for t in study.targets], axis=2)
    weights, inner = np.zeros_like(residual), np.zeros_like(residual)
    for known, targets in _patterns(study):
        mine = np.ix_(known, np.arange(residual.shape[1]), targets)
        fold, groups = study.folded.fold[known], study.folded.inner[:, known]
        found = ridge(kernel[np.ix_(known, known)], residual[mine], fold=fold, inner=groups)
        weights[mine], inner[mine] = found.weights, found.inner
    parts = _by_contig(study, weights)
    return [
        Background(parts[:, :, t], inner[:, :, t], weights[:, :, t])
        for t in range(len(study.targets))
    ]


def stacked(study: Study, number: int, linear: Linear, background: Background) -> Linear:
    """A sparse path and the background of one target, weighed in each training fold."""
    target, fold = study.targets[number], study.folded.fold
    path, behind = np.ones(len(linear.coefficients)), np.zeros(len(linear.coefficients))
    for k in range(len(path)):
        train = target.known & (fold != k)
        y = target.residual[train, k] - target.residual[train, k].mean()
        path[k], behind[k] = stack(y, linear.inner[train, k], background.inner[train, k])
    if not behind.any():
        return linear
    by_contig = (background.by_contig * behind[fold, None]).astype(np.float32)
    return linear._replace(
        prediction=(linear.prediction * path + by_contig.sum(1)[:, None]).astype(np.float32),
        inner=(linear.inner * path + background.inner * behind).astype(np.float32),
        background=by_contig,
        share=path,
        behind=(background.weights * behind).astype(np.float32),
    )


def contigs(study: Study, modality: str) -> np.ndarray:
    """The contig of each marker as a number, int32; 0 outside the variants."""
    markers = study.cohort.modalities[modality]
    if modality != VARIANTS:
        return np.zeros(markers.n_vars, np.int32)
    return pd.factorize(markers.var["contig"].astype(str), sort=True)[0].astype(np.int32)


def put_back(study: Study, linear: Linear, features: np.ndarray, contig: np.ndarray) -> np.ndarray:
    """What the residual is given back for the variants of a contig, (places, contigs).

    On its own contig a variant is tested given the sparse path in full, in place of its share, and
    the background not at all, which would take its own effect out.

    Parameters
    ----------
    features : float32, (places, features), held-out terms of the sparse path
    contig : int, (features,), of their markers
    """
    assert linear.background is not None
    assert linear.share is not None
    lacking = (linear.share - 1)[study.folded.fold, None].astype(np.float32)
    sparse = features @ (contig[:, None] == np.arange(linear.background.shape[1]))
    return linear.background + lacking * sparse.astype(np.float32)


def _patterns(study: Study) -> list[tuple[np.ndarray, np.ndarray]]:
    """Places where a phenotype is known, and the targets that share them."""
    found: dict[bytes, list[int]] = {}
    for number, target in enumerate(study.targets):
        found.setdefault(target.known.tobytes(), []).append(number)
    return [(np.flatnonzero(study.targets[t[0]].known), np.array(t)) for t in found.values()]


def _kernel(study: Study) -> np.ndarray:
    """Mean over the variants of the products of two places' additive channels."""
    total = jnp.zeros((len(study.basis),) * 2, jnp.float32)
    for _, _, channels in study.blocks(VARIANTS):
        total = _added(total, channels.values[0])
    return np.asarray(total) / study.cohort.modalities[VARIANTS].n_vars


def _by_contig(study: Study, weights: np.ndarray) -> np.ndarray:
    """The kernel times the weights, contig by contig, (places, contigs, targets)."""
    code = contigs(study, VARIANTS)
    places, folds, targets = weights.shape
    own = study.folded.fold[:, None, None]
    flat = jnp.asarray(weights.reshape(places, -1) / len(code))
    found = np.zeros((places, int(code.max()) + 1, targets), np.float32)
    for start, width, channels in study.blocks(VARIANTS):
        here = code[start : start + width]
        padded = np.full(channels.values.shape[2], -1, np.int32)
        padded[:width] = here
        for contig in np.unique(here):
            part = _predicted(channels.values[0], jnp.asarray(padded == contig), flat)
            part = np.asarray(part).reshape(places, folds, targets)
            found[:, contig] += np.take_along_axis(part, own, axis=1)[:, 0]
    return found


@jax.jit
def _added(total: jax.Array, columns: jax.Array) -> jax.Array:
    return total + columns @ columns.T


@jax.jit
def _predicted(columns: jax.Array, chosen: jax.Array, weights: jax.Array) -> jax.Array:
    """What some columns contribute to the predictions of fits with these weights."""
    mine = columns * chosen
    return mine @ (mine.T @ weights)
