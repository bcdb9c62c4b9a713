"""Genes tested as wholes: their markers' forms, and a network with a branch for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy import sparse as sp

from genodl.config import DiscoverConfig
from genodl.pipeline.acting import act
from genodl.pipeline.branches import Branches, grow, screen_gene, training
from genodl.pipeline.geneviews import (
    Likeness,
    Parts,
    View,
    less,
    likeness_of,
    parts_of,
    removal,
    tabled,
    views_of,
)
from genodl.pipeline.kin import kin
from genodl.pipeline.leading import Read, lead
from genodl.pipeline.members import Gene, genes_of
from genodl.pipeline.study import Study
from genodl.rank.annotate import Membership
from genodl.rank.parts import Scores, attributed, combined
from genodl.rank.resemblance import Kin

Track = Callable[[Iterable, str, int], Iterable]
CONDITIONAL_P = 0.1  # genes below are tested again given the other leading genes


class Tests(NamedTuple):
    """The gene tests of one target.

    Attributes
    ----------
    parts : float64, (5, genes), log p: linear form, both forms, burden, single markers, network
    used : bool, (5, genes)
    log_p : float64, (genes,)
    branches : the networks, None where none were trained
    leading : genes that the others are tested given -> their directions, (samples, directions),
        each as long as its effect is large, see `genodl.pipeline.leading`
    log_odds : float64, (genes,), that the gene itself acts, nan of those that are no candidates
    """

    parts: np.ndarray
    used: np.ndarray
    log_p: np.ndarray
    branches: Branches | None
    leading: dict[int, np.ndarray]
    log_odds: np.ndarray


def gene_tests(
    study: Study, members: Membership, config: DiscoverConfig, track: Track
) -> list[Tests]:
    """Every gene tested for every target.

    A gene's markers, and their squares and products, are tested as two quadratic forms, with the
    burden, the single markers, and the attribution of a network whose branches are the genes. The
    genes that are significant by themselves are then conditioned upon, so that a neighbour in LD
    does not repeat them and the others are seen against less noise. Last the best genes are
    weighed together: how probable it is of each that it acts itself.
    """
    among = kin(study, config.group)
    views = views_of(study, among)
    count = len(members.genes)
    collected: list[list[Parts]] = [[] for _ in views]
    seen = training(study)
    screens = []
    everyone = genes_of(study, members, range(count))
    for _, gene in track(everyone, "testing genes", count):
        screens.append(screen_gene(gene, seen))
        likeness = likeness_of(gene, among)
        for view, parts in zip(views, collected, strict=True):
            parts.append(parts_of(gene, view, likeness))
    each_fold = np.stack(screens).reshape(count, len(views), -1)
    found = []
    for number in track(range(len(views)), "learning genes", len(views)):
        log_p, used = tabled(collected[number])
        branches = grow(study, members, each_fold[:, number], number, config)
        read = partial(_read, study, members, among)
        # permuted phenotypes are tested, not ranked
        seed = None if study.targets[number].null else config.seed
        found.append(_conditioned(read, views[number], log_p, used, branches, seed=seed))
    return found


def _read(
    study: Study, members: Membership, among: Kin, chosen: np.ndarray
) -> Iterator[tuple[int, Gene, Likeness | None]]:
    """Row, markers and likeness of chosen genes."""
    for row, gene in genes_of(study, members, chosen):
        yield row, gene, likeness_of(gene, among)


def _conditioned(
    read: Read,
    view: View,
    parts: np.ndarray,
    used: np.ndarray,
    branches: Branches | None,
    *,
    seed: int | None,
) -> Tests:
    """The tests given the leading genes, and the network's; with a seed, how probably each acts."""
    alone = combined(parts, used)
    leading = lead(read, view, alone)
    again = np.flatnonzero(alone < np.log(CONDITIONAL_P)) if leading else np.zeros(0, int)
    projections = {g: removal(leading, without=[g]) for g in (-1, *leading)} if leading else {}
    if len(again):
        redone = [
            parts_of(gene, view, likeness, projections.get(g, projections[-1]))
            for g, gene, likeness in read(again)
        ]
        parts[:, again], _ = tabled(redone)
    if branches is not None:
        given = [projections.get(g, projections.get(-1)) for g in branches.genes]
        tested = attribution_test(branches.attribution, branches.dimensions, given, view)
        parts[4, branches.genes] = tested.log_p
        used[4, branches.genes] = tested.z != 0
    log_p = combined(parts, used)
    least = np.minimum(alone, log_p)
    log_odds = np.full(len(log_p), np.nan)
    if seed is not None:
        log_odds = act(read, view, least, leading=len(leading), seed=seed)
    return Tests(parts, used, log_p, branches, leading, log_odds)


def attribution_test(
    attribution: np.ndarray,
    dimensions: np.ndarray,
    given: Sequence[np.ndarray | None],
    view: View,
) -> Scores:
    """The one-sided test of attributions, (places, columns), each given some directions."""
    columns = [view.seen(attribution[:, [i]], q)[:, 0] for i, q in enumerate(given)]
    residual = [less(view.residual, q) for q in given]
    return attributed(
        np.stack(columns, 1), np.stack(residual, 1), freedom=view.freedom, dimensions=dimensions
    )


def clusters(members: Membership, near: Mapping[str, sp.csr_matrix]) -> sp.csr_matrix:
    """Which genes share a marker, or have markers in LD, (genes, genes)."""
    count = len(members.genes)
    linked = sp.csr_matrix((count, count))
    for name, neighbours in near.items():
        here = members.modality == name
        pairs = (np.ones(here.sum()), (members.column[here], members.gene[here]))
        belongs = sp.csr_matrix(pairs, shape=(neighbours.shape[0], count))
        same = sp.identity(neighbours.shape[0], format="csr") + neighbours
        linked = linked + belongs.T @ same @ belongs
    return linked.tocsr()
