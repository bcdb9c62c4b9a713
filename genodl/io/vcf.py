"""VCF as text: the bytes of many lines decoded at once.

One compiled loop walks the calls, and Python sees each record once for its fixed columns. pysam's
own loop is many times slower, empties every genotype when FORMAT/GT is undeclared, and turns an
allele beyond ALT into a missing one; here both are refused.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from genodl.errors import InputError
from genodl.io import bgzf, plain
from genodl.io.ahead import in_order
from genodl.io.faults import COLUMNS, bad_call
from genodl.io.header import Header, check_keys, read_header
from genodl.io.index import Stretch, in_stretch, whole_or_stretches
from genodl.io.records import (
    UNKNOWN,
    Records,
    at,
    check_size,
    expand,
    info_of,
    line_ends,
    line_spans,
    records_of,
    wrong_columns,
)
from genodl.io.source import Block, Request, Source, counted, overlapping, unknown_contig

logger = logging.getLogger(__name__)
LONGEST_RECORD = 1 << 27
Parts = list[bytes | memoryview]


def open_vcf(path: Path) -> Source:
    """A VCF, plain or bgzipped, as a source."""
    header = read_header(path)

    return Source(path, header.samples, header.contigs, partial(_blocks, path, header))


def _blocks(path: Path, header: Header, request: Request) -> Iterator[Block]:
    """The alleles of the file, or of the regions through an index if there is one."""
    check_keys(path, header, request)
    keys = {c: c for c in header.contigs}
    scan = partial(_scan, path, header, request)
    stretch = partial(_stretch, path, header, request)
    yield from whole_or_stretches(path, request.regions, keys, scan=scan, stretch=stretch)


def _scan(path: Path, header: Header, request: Request) -> Iterator[Block]:
    """The alleles of the whole file."""
    regions = request.regions
    seen: set[str] = set()

    def decode(parts: Parts, newline: np.ndarray, line: int) -> Block:
        text = b"".join(parts)
        begin, end = line_spans(text, newline)
        records = records_of(path, header, text, begin, end, line + np.arange(len(begin)))
        seen.update(records.contig)
        if regions is not None:
            records = records.take(overlapping(regions, records.contig, records.pos, records.end))
        return _decode(path, header, text, records, request)

    yield from in_order(decode, _batches(path, skip(bgzf.pieces(path), header.size), header.lines))
    for region in regions or ():
        if region.contig not in seen.union(header.contigs):
            raise unknown_contig(path, region.contig, sorted(seen.union(header.contigs)))
    undeclared = sorted(seen.difference(header.contigs))
    if undeclared:
        logger.warning(
            "%s: %d contigs are not declared in the header, such as %r",
            path, len(undeclared), undeclared[0],
        )  # fmt: skip


def _stretch(path: Path, header: Header, request: Request, stretch: Stretch) -> Iterator[Block]:
    """The alleles of one region, read from where the index says to where it ends."""
    finished = False

    def decode(parts: Parts, newline: np.ndarray, _: int) -> Block:
        nonlocal finished
        text = b"".join(parts)
        begin, end = line_spans(text, newline)
        records = records_of(path, header, text, begin, end, np.full(len(begin), UNKNOWN))
        keep, over = in_stretch(path, stretch, records.contig, records.pos, records.end)
        finished |= over
        return _decode(path, header, text, records.take(keep), request)

    def batches() -> Iterator[tuple[Parts, np.ndarray, int]]:
        for batch in _batches(path, bgzf.pieces(path, offset=stretch.offset), 0):
            if finished:
                return
            yield batch

    return in_order(decode, batches())


def skip(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    """The pieces without their first `size` bytes."""
    for piece in pieces:
        if size < len(piece):
            yield piece[size:]
        size = max(0, size - len(piece))


def _batches(
    path: Path, pieces: Iterator[bytes], lines: int
) -> Iterator[tuple[Parts, np.ndarray, int]]:
    """(parts of a text of whole lines, where these end, number of the first); `lines` precede."""
    kept: Parts = []
    for piece in pieces:
        newline = line_ends(piece)
        before = sum(map(len, kept))
        if len(newline):
            cut = int(newline[-1]) + 1
            # a view, for slicing would copy all the bytes once more
            yield [*kept, memoryview(piece)[:cut]], newline + before, lines + 1
            lines += len(newline)
            kept, before, piece = [], 0, piece[cut:]
        kept.append(piece)
        if before + len(piece) > LONGEST_RECORD:
            raise InputError(
                f"a line is longer than {LONGEST_RECORD >> 20} MB",
                where=str(path),
                mend="drop the FORMAT fields that are not needed: bcftools annotate --remove",
            )
    if any(map(len, kept)):
        yield [*kept, b"\n"], np.array([sum(map(len, kept))]), lines + 1


def _decode(
    path: Path,
    header: Header,
    text: bytes,
    records: Records,
    request: Request,
) -> Block:
    """The dosages of the records' alleles."""
    alleles = np.array([len(a) for a in records.alts], np.int64)
    keys = {f: f.split(":") for f in set(records.format)}
    first = np.concatenate([[0], np.cumsum(alleles)])
    shape = (int(first[-1]), len(header.samples))
    check_size(path, alleles, shape[1], request.field)
    ploidy = np.full(len(alleles), 2, np.int8)
    if request.field == "GT":
        at = {f: _index_of_gt(path, header, records, f, keys[f]) for f in keys}
        dosage = np.empty(shape, np.int8)
        fault = _genotypes(text, records, alleles, first[:-1], at, ploidy, dosage)
    else:
        chosen = {f: _index_of_dosage(keys[f]) for f in keys}
        dosage = np.empty(shape, np.float32)
        which = np.array([chosen[f] for f in records.format], np.int64).reshape(-1, 2)
        fault = _dosages(text, records, alleles, first[:-1], which, dosage)
    if fault[0]:
        raise _bad_call(path, header, text, records, fault)
    info = info_of(records.info, request.info)
    return counted(expand(records, alleles, ploidy, info), dosage, request.columns)


def _genotypes(
    text: bytes,
    records: Records,
    alleles: np.ndarray,
    first: np.ndarray,
    at: dict[str, int],
    ploidy: np.ndarray,
    out: np.ndarray,
) -> tuple[int, int, int]:
    """Fill ALT counts, (alleles, samples); (code, record, sample) of the first fault."""
    length = records.calls_end - records.calls_begin
    alone = np.array([f == "GT" for f in records.format], bool)
    rest = np.ones(len(alleles), bool)
    likely = np.flatnonzero(alone & (alleles == 1) & (length == 4 * out.shape[1] - 1))
    if len(likely):
        rest[likely] = ~plain.text_calls(text, records.calls_begin[likely], first[likely], out)
    rows = np.flatnonzero(rest)
    if not len(rows):
        return 0, 0, 0
    # loaded where it is needed: the compiler costs more than reading many a file
    from genodl.io import calls

    has_gt = np.array([at[f] for f in records.format], np.int64)
    span = (records.calls_begin[rows], records.calls_end[rows])
    most = np.empty(len(rows), np.int8)
    code, i, sample = calls.genotypes(
        np.frombuffer(text, np.uint8), *span, alleles[rows], first[rows], has_gt[rows], most, out
    )
    ploidy[rows] = most
    return code, int(rows[i]), sample


def _dosages(
    text: bytes,
    records: Records,
    alleles: np.ndarray,
    first: np.ndarray,
    which: np.ndarray,
    out: np.ndarray,
) -> tuple[int, int, int]:
    """Fill expected ALT counts, (alleles, samples); (code, record, sample) of the first fault."""
    from genodl.io import calls

    span = (records.calls_begin, records.calls_end, alleles, first)
    return calls.dosages(np.frombuffer(text, np.uint8), *span, which, out)


def _index_of_gt(
    path: Path, header: Header, records: Records, format_: str, keys: list[str]
) -> int:
    """0 where FORMAT begins with GT, -1 where it has none."""
    if "GT" not in keys:
        return -1
    i = records.format.index(format_)
    where = f"{at(path, records.line[i])} ({records.contig[i]}:{records.pos[i]})"
    if keys[0] != "GT":
        raise InputError(
            f"FORMAT is {format_!r}, where GT must come first",
            where=where,
            mend="write the file again with bcftools view",
        )
    if "GT" not in header.formats:
        raise InputError(
            "GT is used but the header does not declare FORMAT/GT",
            where=where,
            mend='add ##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype"> to the header',
        )
    return 0


def _index_of_dosage(keys: list[str]) -> tuple[int, int]:
    """Where in FORMAT the dosage stands, and as which: 0 DS, 1 GP; (-1, 0) where it has neither."""
    for kind, name in enumerate(("DS", "GP")):
        if name in keys:
            return keys.index(name), kind
    return -1, 0


def _bad_call(
    path: Path, header: Header, text: bytes, records: Records, fault: tuple[int, int, int]
) -> InputError:
    """The error for the call at which decoding stopped."""
    code, i, sample = fault
    where = f"{at(path, records.line[i])} ({records.contig[i]}:{records.pos[i]})"
    cells = text[records.calls_begin[i] : records.calls_end[i]].split(b"\t")
    if code == COLUMNS or len(cells) != len(header.samples):
        return wrong_columns(where, header, 9 + len(cells))
    cell = cells[sample].decode(errors="replace")[:40]
    return bad_call(f"{where}, sample {header.samples[sample]}", code, cell, len(records.alts[i]))
