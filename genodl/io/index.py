"""Where in a BGZF file the records of a region begin: the .tbi or .csi beside it.

Only the start is taken from the index; reading goes on from there until a record lies past the
region, so a region costs its own bytes and the index stays a few lines. Formats: the tabix and CSI
specifications, http://samtools.github.io/hts-specs.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pysam

from genodl.errors import InputError
from genodl.io.source import Block, Region, overlapping, unknown_contig

logger = logging.getLogger(__name__)
TBI_SHIFT, TBI_DEPTH = 14, 5
NAMES_AFTER = 28


@dataclass(frozen=True)
class Bins:
    """One contig of an index: bin -> where its records begin; a .tbi's linear index."""

    first: dict[int, int] = field(default_factory=dict)
    windows: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Index:
    """A .tbi or .csi: its contigs by name (by number, as text, in a BCF's)."""

    contigs: dict[str, Bins]
    shift: int = TBI_SHIFT
    depth: int = TBI_DEPTH


@dataclass(frozen=True)
class Stretch:
    """A region, where its records begin, and the regions that gave their records already."""

    region: Region
    offset: int
    earlier: tuple[Region, ...]


def read_index(path: Path) -> Index | None:
    """The index beside a file; None where there is none or it is older than the file."""
    for suffix in (".tbi", ".csi"):
        file = path.with_name(path.name + suffix)
        if not file.exists():
            continue
        if file.stat().st_mtime_ns < path.stat().st_mtime_ns:
            logger.warning("%s is older than its file and is not used: index again", file)
        else:
            try:
                with pysam.BGZFile(str(file), "rb", None) as stream:
                    raw = stream.read()
                return _parse_tbi(raw) if raw[:4] == b"TBI\1" else _parse_csi(raw)
            except (OSError, struct.error, ValueError, IndexError):
                raise InputError(
                    "not a readable index", where=str(file), mend="index again: bcftools index"
                ) from None
    return None


def _parse_tbi(raw: bytes) -> Index:
    """The index of a tabix file."""
    contigs, length = struct.unpack_from("<4xi24xi", raw)
    names = raw[36 : 36 + length].decode().split("\0")[:contigs]
    found, p = {}, 36 + length
    for name in names:
        first, p = _bins(raw, p, loffset=False)
        (windows,) = struct.unpack_from("<i", raw, p)
        found[name] = Bins(first, struct.unpack_from(f"<{windows}Q", raw, p + 4))
        p += 4 + 8 * windows
    return Index(found)


def _parse_csi(raw: bytes) -> Index:
    """The index of a CSI file."""
    magic, shift, depth, extra = struct.unpack_from("<4s3i", raw)
    if magic != b"CSI\1" or not (0 < shift <= 40 and 0 < depth <= 12):
        raise ValueError("not a CSI")
    names = raw[16 + NAMES_AFTER : 16 + extra].decode().split("\0") if extra else []
    (contigs,) = struct.unpack_from("<i", raw, 16 + extra)
    found, p = {}, 20 + extra
    for number in range(contigs):
        first, p = _bins(raw, p, loffset=True)
        found[names[number] if extra else str(number)] = Bins(first)
    return Index(found, shift, depth)


def _bins(raw: bytes, p: int, *, loffset: bool) -> tuple[dict[int, int], int]:
    """bin -> the least offset of its records, and where the next part of the index begins."""
    (count,) = struct.unpack_from("<i", raw, p)
    p += 4
    first = {}
    for _ in range(count):
        if loffset:
            number, low, chunks = struct.unpack_from("<IQi", raw, p)
            p += 16
        else:
            number, chunks = struct.unpack_from("<Ii", raw, p)
            p += 8
            low = 0
        if chunks < 0:
            raise ValueError("a negative count")
        (begin,) = struct.unpack_from("<Q", raw, p) if chunks else (low,)
        first[number] = low if loffset and low else begin
        p += 16 * chunks
    return first, p


def offset_of(index: Index, bins: Bins, region: Region) -> int | None:
    """A virtual offset at or before the first record of the region, None when there is none."""
    # a pseudo-bin beyond the last holds statistics; its first number is where the contig begins
    whole = min(bins.first.values(), default=None)
    if whole is None:
        return None
    start = max(region.start - 1, 0)
    if bins.windows is not None:
        after = bins.windows[start >> index.shift :]
        return next((o for o in after if o), None)
    return max(whole, _before(index, bins, start))


def _before(index: Index, bins: Bins, start: int) -> int:
    """The offset of the nearest smallest bin at or left of a position, 0 when there is none."""
    leaves = ((1 << 3 * index.depth) - 1) // 7
    last = leaves + min(start >> index.shift, (1 << 3 * index.depth) - 1)
    # what overlaps the position and begins further left overlaps that bin too, so starts no earlier
    nearest = max((n for n in bins.first if leaves <= n <= last), default=None)
    return 0 if nearest is None else bins.first[nearest]


def whole_or_stretches(
    path: Path,
    regions: Sequence[Region] | None,
    keys: dict[str, str],
    *,
    scan: Callable[[], Iterator[Block]],
    stretch: Callable[[Stretch], Iterator[Block]],
) -> Iterator[Block]:
    """The blocks of a file, or of regions of it through an index if there is one.

    Parameters
    ----------
    keys : contig -> its name in the index, see `stretches`
    scan : reads the whole file, and of it the regions
    stretch : reads the part of one region
    """
    index = read_index(path) if regions is not None else None
    if index is None:
        yield from scan()
        return
    for part in stretches(path, index, regions or (), keys):
        yield from stretch(part)


def stretches(
    path: Path, index: Index, regions: Sequence[Region], keys: dict[str, str]
) -> list[Stretch]:
    """The regions with their offsets in file order; keys is contig -> its key in the index."""
    found = []
    for i, region in enumerate(regions):
        key = keys.get(region.contig, region.contig)
        if key not in index.contigs:
            if region.contig not in keys:
                raise unknown_contig(path, region.contig, [*keys, *index.contigs])
            continue
        offset = offset_of(index, index.contigs[key], region)
        earlier = tuple(r for r in regions[:i] if r.contig == region.contig)
        if offset is not None:
            found.append(Stretch(region, offset, earlier))
    return sorted(found, key=lambda s: (s.offset, s.region.start))


def in_stretch(
    path: Path, stretch: Stretch, contig: Sequence[str], pos: np.ndarray, end: np.ndarray
) -> tuple[np.ndarray, bool]:
    """(bool, (records,), which belong to the stretch; whether it ends within these records)."""
    names = np.asarray(contig, dtype=object)
    backwards = (names[1:] == names[:-1]) & (np.diff(pos) < 0)
    if backwards.any():
        bad = int(np.flatnonzero(backwards)[0]) + 1
        raise InputError(
            f"not sorted: {names[bad]}:{pos[bad]} comes after {names[bad - 1]}:{pos[bad - 1]}",
            where=str(path),
            mend="sort and index again: bcftools sort, bcftools index",
        )
    keep = overlapping([stretch.region], names, pos, end)
    keep &= ~overlapping(stretch.earlier, names, pos, end)
    over = (names != stretch.region.contig) | (pos > stretch.region.end)
    return keep, bool(over.any())
