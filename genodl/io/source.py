"""The one narrow interface of a variant file: its samples, its contigs, its blocks.

A format module opens a file as a `Source`; `variants` knows nothing else about formats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from genodl.errors import InputError, nearest

Field = Literal["GT", "DS"]
WRITTEN = ("contig", "pos", "ref", "alt", "id", "qual", "filter", "ploidy")
COLUMNS = (*WRITTEN, "allele_count", "call_rate")
END_OF_CONTIG = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Region:
    """A closed, 1-based stretch of one contig."""

    contig: str
    start: int = 0
    end: int = END_OF_CONTIG


@dataclass(frozen=True, eq=False)
class Request:
    """What is asked of a source.

    Attributes
    ----------
    field : "GT" or "DS"
    columns : index array into the samples of the source, None for all
    regions : None for all, or sorted disjoint ones as `regions_of` gives
    info : INFO keys wanted as text
    """

    field: Field = "GT"
    columns: np.ndarray | None = None
    regions: tuple[Region, ...] | None = None
    info: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Block:
    """Some ALT alleles of a file, in file order, for the samples asked for.

    Attributes
    ----------
    variants : one list or array a name in `COLUMNS`, and a list an INFO key asked for, each of
        one entry an allele
    dosage : int8 (MISSING = -1) or float32 (nan), (alleles, samples)
    """

    variants: dict[str, Any]
    dosage: np.ndarray


@dataclass(frozen=True, eq=False)
class Source:
    """An open variant file.

    Attributes
    ----------
    path : the file
    samples : ids in file order, unique
    contigs : those the file declares, () when it declares none
    blocks : the blocks that hold what is asked, in file order
    """

    path: Path
    samples: tuple[str, ...]
    contigs: tuple[str, ...]
    blocks: Callable[[Request], Iterator[Block]]


def counted(variants: dict[str, Any], dosage: np.ndarray, columns: np.ndarray | None) -> Block:
    """The block of the samples in `columns`, its alleles and calls counted among them.

    `variants` has what `WRITTEN` names; `allele_count` is an int64, a float64 of imputed dosages,
    and `call_rate` the share of samples with a call.
    """
    chosen = dosage if columns is None else dosage[:, columns]
    samples = max(1, chosen.shape[1])
    if chosen.dtype == np.int8:
        missing = np.zeros(len(chosen), np.int64)
        if chosen.size and chosen.min() < 0:
            missing = (chosen < 0).sum(axis=1)
        # a missing call is -1 in the sum
        count = chosen.sum(axis=1, dtype=np.int64) + missing
    else:
        missing = np.isnan(chosen).sum(axis=1)
        count = np.nansum(chosen, axis=1, dtype=np.float64)
    rate = (1 - missing / samples).astype(np.float32)
    return Block({**variants, "allele_count": count, "call_rate": rate}, chosen)


def taken(variants: dict[str, Any], rows: np.ndarray) -> dict[str, Any]:
    """The variants of the rows given."""
    return {
        name: values[rows] if isinstance(values, np.ndarray) else [values[i] for i in rows]
        for name, values in variants.items()
    }


def no_info(path: Path, keys: Sequence[str]) -> None:
    """Refuse INFO asked of a format that holds none."""
    if keys:
        raise InputError(
            f"holds no INFO, {keys[0]} was asked for",
            where=str(path),
            mend="read the VCF or BCF, or leave INFO out",
        )


def regions_of(region: str | Sequence[str] | None, contigs: Sequence[str]) -> tuple[Region, ...]:
    """The regions asked for, disjoint and ascending within a contig, contigs in the order asked."""
    asked = [region] if isinstance(region, str) else list(region or ())
    if not asked:
        raise InputError("no region asked for", where="region", mend="name one, or leave it out")
    parsed = [parse_region(text, contigs) for text in asked]
    order = list(dict.fromkeys(r.contig for r in parsed))
    return tuple(m for c in order for m in _merge([r for r in parsed if r.contig == c]))


def parse_region(text: str, contigs: Sequence[str] = ()) -> Region:
    """`C` or `C:B-E`, 1-based and closed; a contig's own name may hold colons."""
    if text in contigs or ":" not in text:
        return Region(text)
    contig, _, span = text.rpartition(":")
    first, dash, last = span.replace(",", "").partition("-")
    if not (dash and first.isdecimal() and (last.isdecimal() or not last)):
        raise InputError(
            f"{text!r} is no region", where="region", mend="write CONTIG or CONTIG:BEGIN-END"
        )
    found = Region(contig, int(first), int(last) if last else END_OF_CONTIG)
    if found.end < found.start:
        raise InputError(
            f"{text!r} ends before it begins", where="region", mend="write CONTIG:BEGIN-END"
        )
    return found


def _merge(regions: list[Region]) -> list[Region]:
    """Overlapping or touching regions of one contig as one, ascending."""
    merged: list[Region] = []
    for r in sorted(regions, key=lambda r: (r.start, r.end)):
        if merged and r.start <= merged[-1].end + 1:
            merged[-1] = Region(r.contig, merged[-1].start, max(merged[-1].end, r.end))
        else:
            merged.append(r)
    return merged


def overlapping(
    regions: Sequence[Region], contigs: Sequence[str] | np.ndarray, pos: np.ndarray, end: np.ndarray
) -> np.ndarray:
    """bool, (records,): whether the closed 1-based stretch pos..end touches a region."""
    names = np.asarray(contigs, dtype=object)
    keep = np.zeros(len(pos), dtype=bool)
    for r in regions:
        keep |= (names == r.contig) & (pos <= r.end) & (end >= r.start)
    return keep


def unknown_contig(path: Path, contig: str, known: Sequence[str]) -> InputError:
    """The error for a region on a contig the file does not have."""
    return InputError(
        f"no contig named {contig!r}",
        where=f"{path}, region",
        mend=f"nearest names: {nearest(contig, known)}",
    )


def check_samples(path: Path, samples: Sequence[str]) -> tuple[str, ...]:
    """The sample ids of a file, refused when there are none or one repeats."""
    if not samples:
        raise InputError(
            "no samples", where=str(path), mend="give a file with genotypes, not a sites-only one"
        )
    if len(set(samples)) != len(samples):
        seen: set[str] = set()
        twice = next(s for s in samples if s in seen or seen.add(s))  # type: ignore[func-returns-value]
        raise InputError(
            f"sample {twice!r} appears twice",
            where=str(path),
            mend="rename one (bcftools reheader --samples)",
        )
    return tuple(samples)
