"""The markers of a scorer found among those of a cohort, by what they are and not where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from genodl.cohort.presence import VARIANTS, as_float

COMPLEMENT = str.maketrans("ACGTacgt", "TGCAtgca")
SAME, SWAPPED, STRAND, BOTH, ABSENT = "same", "swapped", "strand", "strand, swapped", "absent"
DIPLOID = 2


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
    """The values of the markers, float32, (samples, markers), nan = missing or absent.

    Where alleles are swapped, copies of the other are counted: the variant's ploidy less the value.
    """
    samples = next(iter(modalities.values())).n_obs
    values = np.full((samples, len(markers)), np.nan, np.float32)
    for name, modality in modalities.items():
        rows = np.flatnonzero((markers["modality"] == name).to_numpy() & (found.column >= 0))
        columns = found.column[rows]
        read = as_float(modality, columns, variants=name == VARIANTS)
        swapped = np.isin(found.status[rows], (SWAPPED, BOTH))
        values[:, rows] = np.where(swapped, _copies(modality, columns) - read, read)
    return values


def _copies(modality: AnnData, columns: np.ndarray) -> np.ndarray:
    """Copies of each variant that a sample has, float32: the most alleles a called one has."""
    ploidy = modality.var.get("ploidy")
    known = np.full(len(columns), DIPLOID) if ploidy is None else ploidy.to_numpy()[columns]
    return known.astype(np.float32)


def plain_contig(contig: str) -> str:
    """A contig without its prefix: chr1 and 1 are one, chrM and MT."""
    bare = contig[3:] if contig[:3].lower() == "chr" else contig
    return "MT" if bare.upper() == "M" else bare.upper()


def _alleles(var: pd.DataFrame) -> list[tuple[str, int, str, str]]:
    """Contig, position, REF and ALT of each row."""
    spelt = var["contig"].astype(str)
    contig = spelt.map({c: plain_contig(c) for c in spelt.unique()})
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
