"""Relatives and groups of a study, and what they do to the variance of its scores."""

from __future__ import annotations

import numpy as np
import pandas as pd

from genodl.cohort.presence import VARIANTS
from genodl.cohort.relatives import MOST, relatives
from genodl.pipeline.study import TILE, Study
from genodl.rank.resemblance import Kin, membership, resemblance, shares, variance_ratio
from genodl.rank.test import Fits


def kin(study: Study, group: str | None) -> Kin:
    """Samples that resemble each other: by the variants, and by the column that groups them."""
    genotypes, contig = _genotypes(study)
    label = _groups(study, group) if group else np.full(len(study.basis), -1)
    return Kin(relatives(genotypes, contig, study.folded.present), membership(label))


def along(values: np.ndarray, among: Kin) -> np.ndarray | None:
    """How far the directions of a block run along kin, float64, (2, 3, markers); None without kin.

    An attribution by products or networks, and a product with a covariate, are taken to run as far
    as the additive channel: relatives are no more alike in a function of a genotype than in the
    genotype.

    Parameters
    ----------
    values : float32, (2, places, markers), channels

    Returns
    -------
    by source (relatives, groups), direction (see `rank.test.Tested.z`) and marker
    """
    if among.empty:
        return None
    first, second = values
    overlap = (first * second).sum(0) / np.maximum((first**2).sum(0), 1e-12)
    additive = resemblance(first, among)
    return np.stack([additive, resemblance(second - first * overlap, among), additive], axis=1)


def share_of(fits: Fits, among: Kin) -> np.ndarray:
    """How far what the markers of each contig are tested on follows kin, float64, (2, contigs).

    The background, which has learnt from relatives in other folds, takes much of what they share
    out of the residual; the part of a contig is put back for its own markers.
    """
    residual, background = np.asarray(fits.residual), np.asarray(fits.background)
    known = np.asarray(fits.known) > 0
    if among.empty:
        return np.zeros((2, background.shape[1]))
    if not background.any():
        return np.repeat(shares(residual, known, among)[:, None], background.shape[1], axis=1)
    each = [shares(residual + column, known, among) for column in background.T]
    return np.stack(each, axis=1)


def widen(
    z: np.ndarray, likeness: np.ndarray | None, share: np.ndarray, contig: np.ndarray
) -> np.ndarray:
    """Scores over the standard error that kin give them, of the shape of `z`, (rows, markers).

    Parameters
    ----------
    likeness, share : see `along` and `share_of`
    contig : int, (markers,), column of `share`
    """
    if likeness is None:
        return z
    likeness = likeness[:, np.minimum(np.arange(len(z)), likeness.shape[1] - 1)]
    return (z / np.sqrt(variance_ratio(share[:, contig], likeness))).astype(z.dtype)


def _genotypes(study: Study) -> tuple[np.ndarray, np.ndarray]:
    """Additive channels, (places, variants), and contigs of variants spread over the genome."""
    if VARIANTS not in study.cohort.modalities:
        return np.zeros((len(study.basis), 0), np.float32), np.zeros(0, object)
    markers = study.cohort.modalities[VARIANTS]
    chosen = np.arange(0, markers.n_vars, -(-markers.n_vars // MOST))
    values = np.zeros((len(study.basis), len(chosen)), np.float32)
    for start in range(0, len(chosen), TILE):
        mine = chosen[start : start + TILE]
        channels = study.channels(VARIANTS, mine, size=TILE)
        values[:, start : start + TILE] = np.asarray(channels.values[0])[:, : len(mine)]
    return values, markers.var["contig"].to_numpy()[chosen]


def _groups(study: Study, group: str) -> np.ndarray:
    """The group of each place, int (places,), -1 in padding and where it has none."""
    code = pd.factorize(study.cohort.samples[group])[0]
    return np.where(study.folded.present > 0, study.folded.lay(code), -1)
