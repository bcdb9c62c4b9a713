"""Genes that lead: those that the others are tested given, chosen forwards and backwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from genodl.pipeline.geneviews import Likeness, View, less, parts_of, removal, tabled
from genodl.pipeline.members import Gene
from genodl.rank.forms import Basis
from genodl.rank.parts import combined

Read = Callable[[np.ndarray], Iterator[tuple[int, Gene, Likeness | None]]]
LEADING_P = 0.05  # over the number of genes: those that others are tested given
CANDIDATES = 100
SHARE_OF_SAMPLES = 4  # the leading genes take at most one degree of freedom in so many
STRENGTHS = np.concatenate([[0.0], np.geomspace(2.0, 2000.0, 21)])  # noncentralities tried


class Candidate(NamedTuple):
    """A gene that may lead."""

    gene: Gene
    likeness: Likeness | None


def lead(read: Read, view: View, log_p: np.ndarray) -> dict[int, np.ndarray]:
    """Genes significant given one another, and their directions, (samples, directions).

    Forwards the most significant is taken, given those before it; backwards one that no longer is
    significant is given up, as when two neighbours shared the signal of the gene between them.

    Parameters
    ----------
    read : row, markers and likeness of chosen genes
    log_p : float, (genes,), of each gene by itself
    """
    bound = np.log(LEADING_P / len(log_p))
    rows = np.flatnonzero(log_p < bound)
    rows = np.sort(rows[np.argsort(log_p[rows], kind="stable")[:CANDIDATES]])
    known = {row: Candidate(gene, likeness) for row, gene, likeness in read(rows)}
    taken: dict[int, np.ndarray] = {}
    current = {g: float(log_p[g]) for g in known}
    free = set(known)
    while free:
        best = min(free, key=lambda g: (current[g], g))
        if current[best] >= bound:
            break
        free.remove(best)
        taken[best] = directions(known[best].gene, view, removal(taken))
        taken = _revised(known, view, taken, bound, newest=best)
        given = removal(taken)
        assert given is not None  # at least the newest leads
        if np.square(given).sum() > len(view.residual) / SHARE_OF_SAMPLES:
            break
        current = {g: _given(known[g], view, given) for g in free}
    return taken


def _revised(
    known: dict[int, Candidate],
    view: View,
    taken: dict[int, np.ndarray],
    bound: float,
    *,
    newest: int,
) -> dict[int, np.ndarray]:
    """The leading genes, each weighed again given the others, without those that are none."""
    kept = dict(taken)
    for gene in taken if len(taken) > 1 else ():
        given = removal(kept, without=[gene])
        if gene != newest and _given(known[gene], view, given) >= bound:
            kept.pop(gene)
        else:
            kept[gene] = directions(known[gene].gene, view, given)
    return kept


def _given(candidate: Candidate, view: View, given: np.ndarray | None) -> float:
    """log p of a gene given the directions of others."""
    parts, used = tabled([parts_of(candidate.gene, view, candidate.likeness, given)])
    return float(combined(parts, used)[0])


def directions(gene: Gene, view: View, given: np.ndarray | None) -> np.ndarray:
    """Directions of a gene, each as long as its effect is large, (samples, directions).

    The effects of the linear directions, and of the bent ones, are taken as normal with variances
    in proportion to those of the directions; how large in all is what makes the residual
    likeliest.
    """
    residual = less(view.residual, given)
    residual = residual * np.sqrt(len(residual) / max(float(residual @ residual), 1e-300))
    bases = (gene.linear, gene.bent)
    return np.hstack([_sized(basis, view, given, residual) for basis in bases])


def _sized(basis: Basis, view: View, given: np.ndarray | None, residual: np.ndarray) -> np.ndarray:
    """Directions times the standard deviation of their effects, in units of the residual's."""
    values = less(basis.values[view.known].astype(np.float64), view.covariates)
    values = values * np.sqrt(basis.share / len(residual))
    left = less(values, given)
    size, vectors = np.linalg.eigh(left.T @ left)
    score = np.square(vectors.T @ (left.T @ residual))
    spread = 1 + STRENGTHS[:, None] * np.maximum(size, 0)
    likelihood = (STRENGTHS[:, None] * score / spread - np.log(spread)).sum(1)
    return values * np.sqrt(STRENGTHS[likelihood.argmax()])
