"""The markers of a scorer found among those of a cohort, by what they are and not where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from genodl.cohort.presence import VARIANTS

COMPLEMENT = str.maketrans("ACGTacgt", "TGCAtgca")
SAME, SWAPPED, STRAND, BOTH, ABSENT = "same", "swapped", "strand", "strand, swapped", "absent"
LARGEST = 2  # copies of a diploid


class Matched(NamedTuple):
    """Where the markers of a scorer are.

    Attributes
    ----------
    column : int, (markers,), in the modality, -1 = absent
    status : object, (markers,), same, swapped (REF and ALT change places, so that copies of the
        other allele are counted), strand (both alleles are those of the other strand), both of
        these, or absent
    """

    column: np.ndarray
    status: np.ndarray


def match(markers: pd.DataFrame, modalities: Mapping[str, AnnData]) -> Matched:
    """Each marker by contig, position and alleles, or outside the variants by its name.

    Contigs are alike with and without `chr`. A variant whose alleles are each other's complement
    (A/T, C/G) reads alike on both strands and is taken as it stands. The other strand is looked at
    only where no record has the alleles of the marker.
    """
    column = np.full(len(markers), -1)
    status = np.full(len(markers), ABSENT, object)
    for name in dict.fromkeys(markers["modality"]):
        rows = np.flatnonzero(markers["modality"] == name)
        if name not in modalities:
            continue
        if name != VARIANTS:
            place = modalities[name].var_names.astype(str).get_indexer(markers["marker"].iloc[rows])
            column[rows] = place
            status[rows[place >= 0]] = SAME
            continue
        known = {key: i for i, key in reversed(list(enumerate(_alleles(modalities[name].var))))}
        for row, key in zip(rows, _alleles(markers.iloc[rows]), strict=True):
            for said, other in _forms(key):
                if other in known:
                    column[row], status[row] = known[other], said
                    break
    return Matched(column, status)


def matched_values(
    markers: pd.DataFrame, modalities: Mapping[str, AnnData], found: Matched
) -> np.ndarray:
    """The values of the markers, float32, (samples, markers), nan = missing or absent."""
    samples = next(iter(modalities.values())).n_obs
    values = np.full((samples, len(markers)), np.nan, np.float32)
    for name, modality in modalities.items():
        rows = np.flatnonzero((markers["modality"] == name).to_numpy() & (found.column >= 0))
        read = modality.X[:, found.column[rows]]
        read = np.asarray(read.todense() if hasattr(read, "todense") else read)
        if name == VARIANTS and read.dtype.kind in "iu":
            read = np.where(read < 0, np.float32(np.nan), read)
        swapped = np.isin(found.status[rows], (SWAPPED, BOTH))
        values[:, rows] = np.where(swapped, LARGEST - read.astype(np.float32), read)
    return values


def _alleles(var: pd.DataFrame) -> list[tuple[str, int, str, str]]:
    """Contig, position, REF and ALT of each row."""
    contig = var["contig"].astype(str).str.removeprefix("chr")
    contig = contig.where(~contig.isin(("M", "MT")), "MT")
    alleles = (var[c].astype(str).str.upper() for c in ("ref", "alt"))
    return list(zip(contig, var["pos"].astype(int), *alleles, strict=True))


def _forms(
    key: tuple[str, int, str, str],
) -> Iterator[tuple[str, tuple[str, int, str, str]]]:
    """How else a variant may be written, the likeliest first."""
    contig, pos, ref, alt = key
    yield SAME, key
    yield SWAPPED, (contig, pos, alt, ref)
    if len(ref) == len(alt) == 1:
        ref, alt = ref.translate(COMPLEMENT), alt.translate(COMPLEMENT)
        yield STRAND, (contig, pos, ref, alt)
        yield BOTH, (contig, pos, alt, ref)
