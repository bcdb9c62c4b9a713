"""The markers of genes as channels and directions, a batch of genes at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from genodl.cohort.presence import VARIANTS, as_float
from genodl.pipeline.study import Study
from genodl.rank.annotate import Membership
from genodl.rank.forms import Basis, basis, products

BLOCK = 2048  # markers of genes at a time
MOST_MARKERS = 512  # of a gene; evenly along it where there are more


class Gene(NamedTuple):
    """One gene's markers over the laid-out samples.

    Attributes
    ----------
    channels : float32, (2, places, markers)
    burden : float32, (places,), the sum of the standardised markers, variants by minor allele
    linear : directions of the additive channels
    bent : directions of their squares and products
    """

    channels: np.ndarray
    burden: np.ndarray
    linear: Basis
    bent: Basis


def genes_of(
    study: Study, members: Membership, chosen: Sequence[int] | np.ndarray
) -> Iterator[tuple[int, Gene]]:
    """Row and markers of the chosen genes, in their order; a batch is encoded at once."""
    batch: list[tuple[int, np.ndarray]] = []
    size = 0
    for gene in chosen:
        pairs = pairs_of(members, gene)
        if batch and size + len(pairs) > BLOCK:
            yield from _encoded(study, members, batch)
            batch, size = [], 0
        batch.append((int(gene), pairs))
        size += len(pairs)
    if batch:
        yield from _encoded(study, members, batch)


def pairs_of(members: Membership, gene: int) -> np.ndarray:
    """The pairs of a gene and its markers that are used, see `Membership`."""
    pairs = np.arange(*np.searchsorted(members.gene, [gene, gene + 1]))
    return pairs[np.unique(np.linspace(0, len(pairs) - 1, MOST_MARKERS).astype(int))]


def _encoded(
    study: Study, members: Membership, batch: list[tuple[int, np.ndarray]]
) -> Iterator[tuple[int, Gene]]:
    """The genes of a batch."""
    pairs = np.concatenate([p for _, p in batch])
    values = np.zeros((2, len(study.basis), len(pairs)), np.float32)
    flipped = np.zeros(len(pairs), bool)
    for name in dict.fromkeys(members.modality[pairs]):
        here = np.flatnonzero(members.modality[pairs] == name)
        values[:, :, here], flipped[here] = _channels(study, name, members.column[pairs[here]])
    sign = np.where(flipped, -1, 1).astype(np.float32)
    stop = np.cumsum([len(p) for _, p in batch])
    for (gene, own), end in zip(batch, stop, strict=True):
        columns = slice(end - len(own), end)
        yield gene, _gene(study, values[:, :, columns], sign[columns])


def _channels(study: Study, modality: str, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Channels of some markers, (2, places, markers), and which have a frequent ALT allele."""
    unique, place = np.unique(columns, return_inverse=True)
    # few sizes, so that few programs are compiled
    width = next(w for w in (128, 512, BLOCK) if w >= len(unique))
    values = np.asarray(study.channels(modality, unique, size=width).values)
    frequent = np.zeros(len(unique), bool)
    if modality == VARIANTS:
        dosage = as_float(study.cohort.modalities[modality], unique, variants=True)
        known = np.isfinite(dosage)
        mean = np.where(known, dosage, 0).sum(0) / np.maximum(known.sum(0), 1)
        frequent = mean > 1
    return values[:, :, : len(unique)][:, :, place], frequent[place]


def _gene(study: Study, channels: np.ndarray, sign: np.ndarray) -> Gene:
    """The directions of one gene."""
    present = study.folded.present
    count = int(present.sum())
    linear = basis(channels[0], present=count)
    bent = basis(products(linear, study.basis, present), present=count)
    return Gene(channels, channels[0] @ sign, linear, bent)
