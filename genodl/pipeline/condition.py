"""What is left of a marker once the stronger loci of its contig are taken out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from scipy import sparse as sp

from genodl.pipeline.study import Study
from genodl.rank.combine import deviate
from genodl.screen.channels import Channels

LEAD = np.log(1e-4)  # a weaker marker casts no shadow worth taking out
DOUBTFUL = np.log(0.05)  # a marker above is no discovery either way
SHADOW = 0.1  # what a lead adds to the chi-square of a marker in its shadow
RENEWED = ("log_p", "score", "effect", "effect_class")
Retest = Callable[[Channels, np.ndarray, np.ndarray], pd.DataFrame]


def given_stronger(
    study: Study, modality: str, table: pd.DataFrame, near: sp.csr_matrix, retest: Retest
) -> pd.DataFrame:
    """The table of one phenotype, its markers tested given the stronger loci they are in LD with.

    From the best marker down each free one becomes the lead of a locus, as in `rank.loci.clump`;
    the markers outside the locus that correlate with the lead, at whatever distance on the contig,
    are tested again with both channels of all leads of that contig taken out. A lead of r2 0.05
    with a marker and of z 15 would else give it a z of 3.

    Parameters
    ----------
    table : with log_p, score and effect of every marker of the modality
    near : r2 of the markers that may share a locus, see `assess.neighbours`
    retest : from channels of some markers, their columns, and the channels (2, places, leads)
        that are given, to the same columns of a table

    Source
    ------
    Yang and others 2012 (conditional analysis, stepwise from the strongest).
    """
    if not near.nnz:
        return table
    contig = study.cohort.modalities[modality].var["contig"].to_numpy()
    columns = {name: table[name].to_numpy(copy=True) for name in RENEWED if name in table}
    log_p, free = columns["log_p"], np.ones(len(table), bool)
    leads: dict[str, list[int]] = {}
    pools: dict[str, _Pool] = {}
    while True:
        lead = int(np.where(free, log_p, 0).argmin())
        if not (free[lead] and log_p[lead] < LEAD):
            return table.assign(**columns)
        here = contig[lead]
        leads.setdefault(here, []).append(lead)
        if here not in pools:  # a marker that is no discovery stays none, and needs no test again
            pools[here] = _pool(study, modality, np.flatnonzero(_open(log_p, free, contig == here)))
        pool = pools[here]
        free[lead] = False
        free[near.indices[near.indptr[lead] : near.indptr[lead + 1]]] = False
        given = pool.of(leads[here])
        added = _likeness(pool, given[0, :, -1]) * deviate(log_p[[lead]]) ** 2
        shaded = pool.columns[added > SHADOW]
        shaded = shaded[_open(log_p[shaded], free[shaded])]
        if len(shaded):
            again = retest(pool.padded(shaded), shaded, given)
            for name, column in columns.items():
                column[shaded] = again[name].to_numpy()


class _Pool(NamedTuple):
    """The markers of a contig that may be discoveries, its leads among them.

    Attributes
    ----------
    columns : int, (markers,), in the modality, ascending
    values : float32, (2, places, markers), active, scale : as `Channels` has them
    power : float32, (markers,), sum of squares of the additive channel
    """

    columns: np.ndarray
    values: np.ndarray
    active: np.ndarray
    scale: np.ndarray
    power: np.ndarray

    def of(self, columns: Sequence[int]) -> np.ndarray:
        """Channels of some of them, (2, places, columns)."""
        return self.values[:, :, np.searchsorted(self.columns, columns)]

    def padded(self, columns: np.ndarray) -> Channels:
        """Channels of some of them, padded by channels of 0."""
        at = np.searchsorted(self.columns, columns)
        more = _padded(len(at)) - len(at)

        def picked(values: np.ndarray) -> jax.Array:
            widths = [(0, 0)] * (values.ndim - 1) + [(0, more)]
            return jnp.asarray(np.pad(values[..., at], widths))

        return Channels(picked(self.values), picked(self.active), picked(self.scale))


def _open(log_p: np.ndarray, free: np.ndarray, here: np.ndarray | bool = True) -> np.ndarray:
    """Markers that belong to no locus yet and may be discoveries, bool, (markers,)."""
    return free & (log_p < DOUBTFUL) & here


def _pool(study: Study, modality: str, columns: np.ndarray) -> _Pool:
    """The pool of some columns."""
    found = study.channels(modality, columns, size=_padded(len(columns)))
    values, active, scale = (np.asarray(part)[..., : len(columns)] for part in found)
    return _Pool(columns, values, active, scale, (values[0] ** 2).sum(0))


def orthonormal(columns: np.ndarray) -> np.ndarray:
    """A basis of some columns, float32, (places, columns), 0 where one repeats the others."""
    left, size, _ = np.linalg.svd(columns.astype(float), full_matrices=False)
    return (left * (size > 1e-4 * size.max(initial=1e-30))).astype(np.float32)


def _padded(count: int) -> int:
    """A power of two, or a multiple of 512, so that few programs are compiled."""
    return max(128, min(1 << (count - 1).bit_length(), -(-count // 512) * 512))


def _likeness(pool: _Pool, lead: np.ndarray) -> np.ndarray:
    """r2 of each column of a pool with the lead, (markers,)."""
    return (lead @ pool.values[0]) ** 2 / np.maximum(pool.power * (lead**2).sum(), 1e-12)
