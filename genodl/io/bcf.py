"""BCF: the binary records decoded in place.

pysam decompresses, compiled loops find the fields of each record, and every length in the file is
checked against the record before it is followed. Format: VCF specification, section 6.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from genodl.errors import InputError
from genodl.io import bgzf, layout
from genodl.io.ahead import in_order
from genodl.io.bcf_records import at_record, decoded, records_of
from genodl.io.header import Dictionary, broken, check_keys, read_dictionary
from genodl.io.index import Stretch, in_stretch, whole_or_stretches
from genodl.io.records import UNKNOWN
from genodl.io.source import Block, Request, Source, overlapping, unknown_contig
from genodl.io.vcf import LONGEST_RECORD, skip


def open_bcf(path: Path) -> Source:
    """A BCF as a source."""
    names = read_dictionary(path)

    return Source(path, names.header.samples, names.header.contigs, partial(_blocks, path, names))


def _blocks(path: Path, names: Dictionary, request: Request) -> Iterator[Block]:
    """The alleles of the file, or of the regions through an index if there is one."""
    check_keys(path, names.header, request)
    for region in request.regions or ():
        if region.contig not in names.header.contigs:
            raise unknown_contig(path, region.contig, names.header.contigs)
    keys = {name: str(number) for number, name in names.contigs.items()}
    scan = partial(_scan, path, names, request)
    stretch = partial(_stretch, path, names, request)
    yield from whole_or_stretches(path, request.regions, keys, scan=scan, stretch=stretch)


def _scan(path: Path, names: Dictionary, request: Request) -> Iterator[Block]:
    """The alleles of the whole file."""

    def decode(text: bytes, start: np.ndarray, number: int) -> Block:
        numbers = number + 1 + np.arange(len(start))
        table, alleles = _layout(path, names, text, start, numbers)
        keep = None
        if request.regions is not None:
            keep = np.flatnonzero(overlapping(request.regions, *_places(names, table)))
        records = records_of(path, names, text, table, alleles, numbers, keep)
        return decoded(path, names, text, records, request)

    pieces = skip(bgzf.pieces(path), names.header.size)
    return in_order(decode, _batches(path, pieces))


def _stretch(path: Path, names: Dictionary, request: Request, stretch: Stretch) -> Iterator[Block]:
    """The alleles of one region, read from where the index says to where it ends."""
    finished = False

    def decode(text: bytes, start: np.ndarray, _: int) -> Block:
        nonlocal finished
        numbers = np.full(len(start), UNKNOWN)
        table, alleles = _layout(path, names, text, start, numbers)
        keep, over = in_stretch(path, stretch, *_places(names, table))
        finished |= over
        records = records_of(path, names, text, table, alleles, numbers, np.flatnonzero(keep))
        return decoded(path, names, text, records, request)

    def pieces() -> Iterator[bytes]:
        for piece in bgzf.pieces(path, offset=stretch.offset):
            yield piece
            if finished:
                return

    return in_order(decode, _batches(path, pieces(), whole=False))


def _batches(
    path: Path, pieces: Iterator[bytes], *, whole: bool = True
) -> Iterator[tuple[bytes, np.ndarray, int]]:
    """The bytes cut after whole records, where each record begins, and how many came before."""
    number, needed = 0, 0
    waiting: list[bytes] = []
    for piece in pieces:
        waiting.append(piece)
        if sum(map(len, waiting)) < needed:
            continue
        text = b"".join(waiting)
        start, stop, needed = layout.records(text)
        if needed > LONGEST_RECORD:
            raise broken(at_record(path, number + len(start) + 1))
        if len(start):
            yield text, start, number
            number += len(start)
        waiting = [text[stop:]]
    if whole and any(waiting):
        raise broken(at_record(path, number + 1))


def _layout(
    path: Path, names: Dictionary, text: bytes, start: np.ndarray, numbers: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where the fields of each record stand, and the spans of all alleles."""
    found = layout.plain_layout(text, start)
    if found is None:
        # loaded where it is needed: the compiler costs more than reading many a file
        from genodl.io import packed

        table, alleles, fault = packed.layout(np.frombuffer(text, np.uint8), start)
        if fault >= 0:
            raise broken(at_record(path, numbers[fault]))
        found = table, alleles
    _check_numbers(path, names, found[0], numbers)
    return found


def _places(names: Dictionary, table: np.ndarray) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Contig, first and last position of each record, 1-based and closed."""
    pos = table["pos"] + 1
    contig = [names.contigs[c] for c in table["contig"].tolist()]
    return contig, pos, pos + np.maximum(table["length"], 1) - 1


def _check_numbers(path: Path, names: Dictionary, table: np.ndarray, number: np.ndarray) -> None:
    """Refuse a record whose contig or sample count the header does not know."""
    samples = len(names.header.samples)
    wrong = np.flatnonzero(table["samples"] != samples)
    if len(wrong):
        raise InputError(
            f"{table['samples'][wrong[0]]} samples, the header names {samples}",
            where=at_record(path, number[wrong[0]]),
            mend="fetch or write the file again",
        )
    known = np.isin(table["contig"], list(names.contigs))
    if not known.all() or (table["pos"] < -1).any():
        bad = int(np.flatnonzero(~known | (table["pos"] < -1))[0])
        raise broken(at_record(path, number[bad]))
