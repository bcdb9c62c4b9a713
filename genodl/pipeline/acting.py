"""How probable it is that a gene itself acts on a target: the candidates weighed together."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from genodl.pipeline.geneviews import Likeness, View
from genodl.pipeline.leading import Read
from genodl.pipeline.members import Gene
from genodl.rank.posterior import Columns, acting, side_by_side
from genodl.rank.resemblance import variance_ratio
from genodl.rank.sums import drawn
from genodl.rank.test import SANDWICH_CARRIERS

CANDIDATES = 60
CELLS = 100_000_000  # of the candidates' columns; fewer candidates where samples are many
EFFECTS = 10  # that are sought beyond those of the leading genes
# how probable it is that a gene acts through its burden, one marker or one bent sum; an effect
# spread over its directions has the rest
BURDEN, SINGLE, BENT_SUM = 1 / 26, 2 / 26, 6 / 26
MARKERS = 24  # of a gene, those of the largest scores, that are looked at one by one
WIDTH = 12  # directions that a sum is made of


def act(read: Read, view: View, log_p: np.ndarray, *, leading: int, seed: int) -> np.ndarray:
    """log odds that each gene acts, (genes,), nan of those that are no candidates.

    Parameters
    ----------
    read : row, markers and likeness of chosen genes
    log_p : float, (genes,), of each gene, the least that any of its tests gave
    leading : number of leading genes
    """
    best = np.argsort(log_p, kind="stable")[:CANDIDATES]
    found = np.full(len(log_p), np.nan)
    rows: list[int] = []
    columns: list[Columns] = []
    cells = 0
    for row, own in _columns(read, view, best, seed):
        cells += own.values.size
        if rows and cells > CELLS:
            break
        rows.append(row)
        columns.append(own)
    if rows:
        effects = EFFECTS + leading
        residual, genes = view.residual, len(log_p)
        found[rows] = acting(side_by_side(columns), residual, genes=genes, effects=effects)
    return found


def _columns(
    read: Read, view: View, chosen: np.ndarray, seed: int
) -> Iterator[tuple[int, Columns]]:
    """Row and columns of genes, those that have any direction."""
    key = jax.random.key(seed)
    for row, gene, likeness in read(chosen):
        if gene.linear.values.shape[1]:
            yield row, _of(gene, view, likeness, jax.random.fold_in(key, row))


def _of(gene: Gene, view: View, likeness: Likeness | None, key: jax.Array) -> Columns:
    """A gene's directions, burden, markers and bent sums as columns."""
    bent_sums, weight = _bent_sums(gene, view, key)
    markers = gene.channels[0]
    score = view.residual @ markers[view.known]
    strongest = np.sort(np.argsort(-np.abs(score), kind="stable")[:MARKERS])
    parts = [gene.linear.values, gene.bent.values, gene.burden[:, None], markers[:, strongest]]
    sizes = [part.shape[1] for part in parts]
    values = view.seen(np.hstack([*parts, bent_sums]), None)
    size = np.sqrt(np.square(values).mean(0))
    values = (values / np.where(size > 0, size, 1.0)).astype(np.float32)
    linear, bent = np.zeros((2, len(size)))
    linear[: sizes[0]] = gene.linear.share
    bent[sizes[0] : sum(sizes[:2])] = gene.bent.share
    alone = np.full(len(size), -np.inf)
    alone[sum(sizes[:2])] = np.log(BURDEN)
    alone[sum(sizes[:3]) : sum(sizes)] = np.log(SINGLE / markers.shape[1])
    alone[sum(sizes) :] = np.log(BENT_SUM) + weight
    ratio = _ratio(values, view, likeness, strongest, len(weight))
    return Columns(values, np.zeros(1, int), linear, bent, alone, ratio)


def _bent_sums(gene: Gene, view: View, key: jax.Array) -> tuple[np.ndarray, np.ndarray]:
    """Draws of a gene's bent sums, (places, draws), and the log weight of each."""
    width = min(gene.linear.values.shape[1], WIDTH)
    directions = np.zeros((len(gene.burden), WIDTH), np.float32)
    directions[view.known, :width] = gene.linear.values[view.known, :width]
    spread = np.zeros(WIDTH, np.float32)
    spread[:width] = np.sqrt(gene.linear.share[:width])
    residual = np.zeros(len(gene.burden), np.float32)
    residual[view.known] = view.residual / max(view.residual.std(), 1e-300)
    draws = drawn(*map(jnp.asarray, (directions, spread, residual, view.known * 1.0)), key)
    return np.asarray(draws.values), np.asarray(draws.log_prior, np.float64)


def _ratio(
    values: np.ndarray,
    view: View,
    likeness: Likeness | None,
    markers: np.ndarray,
    sums: int,
) -> np.ndarray:
    """Variance of each column's score over that of independent, equal residuals.

    The sandwich has its say where many samples carry a column; kin multiply it, of a bent sum by
    as much as of the direction that they share most.
    """
    count = len(values)
    square = np.square(values)
    carriers = count / np.maximum(np.square(square).mean(0), 1e-30)
    say = carriers / (carriers + SANDWICH_CARRIERS)
    unequal = np.square(view.residual).astype(np.float32) @ square
    unequal = unequal / max(np.square(view.residual).mean() * count, 1e-300)
    ratio = np.where(unequal > 0, say * unequal + 1 - say, 1.0)
    if likeness is None:
        return ratio
    lone = likeness.lone[:, np.concatenate([[0], 1 + markers])]
    known = [variance_ratio(view.share, alike) for alike in (likeness.linear, likeness.bent, lone)]
    kin = np.concatenate([*known, np.full(sums, np.max(known[0]))])
    return ratio * np.maximum(kin, 1.0)
