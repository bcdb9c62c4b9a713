"""VCF as text: the bytes of many lines decoded at once.

pysam decompresses, one compiled loop walks the calls, and Python sees each record once for its
fixed columns. pysam's own loop is 40 times slower, empties every genotype when FORMAT/GT is
undeclared, and turns an allele beyond ALT into a missing one; here both are refused.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from genodl.errors import InputError
from genodl.io import bgzf, calls
from genodl.io.header import Header, check_field, read_header
from genodl.io.index import Stretch, in_stretch, whole_or_stretches
from genodl.io.records import (
    UNKNOWN,
    Records,
    at,
    check_size,
    expand,
    line_spans,
    records_of,
    wrong_columns,
)
from genodl.io.source import (
    Block,
    Field,
    Region,
    Source,
    overlapping,
    unknown_contig,
)

logger = logging.getLogger(__name__)
LONGEST_RECORD = 1 << 28
AHEAD = 2


def open_vcf(path: Path) -> Source:
    """A VCF, plain or bgzipped, as a source."""
    header = read_header(path)

    def blocks(
        columns: np.ndarray | None, regions: tuple[Region, ...] | None, field: Field
    ) -> Iterator[Block]:
        return _blocks(path, header, columns, regions, field)

    return Source(path, header.samples, header.contigs, blocks)


def _blocks(
    path: Path,
    header: Header,
    columns: np.ndarray | None,
    regions: tuple[Region, ...] | None,
    field: Field,
) -> Iterator[Block]:
    """The alleles of the file, or of the regions through an index if there is one."""
    check_field(path, header.formats, field)
    keys = {c: c for c in header.contigs}
    scan = partial(_scan, path, header, columns, regions, field)
    stretch = partial(_stretch, path, header, columns, field=field)
    yield from whole_or_stretches(path, regions, keys, scan=scan, stretch=stretch)


def _scan(
    path: Path,
    header: Header,
    columns: np.ndarray | None,
    regions: tuple[Region, ...] | None,
    field: Field,
) -> Iterator[Block]:
    """The alleles of the whole file, decoded while pysam decompresses what follows."""
    seen: set[str] = set()
    lines = header.lines

    def decode(text: bytes) -> Block:
        nonlocal lines
        begin, end = line_spans(text)
        records = records_of(path, header, text, begin, end, lines + 1 + np.arange(len(begin)))
        lines += len(begin)
        seen.update(records.contig)
        if regions is not None:
            records = records.take(overlapping(regions, records.contig, records.pos, records.end))
        return _decode(path, header, text, records, columns, field)

    texts = _whole_lines(skip(bgzf.pieces(path), header.size), path)
    yield from ahead(decode, ((text,) for text in texts))
    for region in regions or ():
        if region.contig not in seen.union(header.contigs):
            raise unknown_contig(path, region.contig, sorted(seen.union(header.contigs)))
    undeclared = sorted(seen.difference(header.contigs))
    if undeclared:
        logger.warning(
            "%s: %d contigs are not declared in the header, such as %r",
            path, len(undeclared), undeclared[0],
        )  # fmt: skip


def _stretch(
    path: Path, header: Header, columns: np.ndarray | None, stretch: Stretch, field: Field
) -> Iterator[Block]:
    """The alleles of one region, read from where the index says to where it ends."""
    finished = False

    def decode(text: bytes) -> Block:
        nonlocal finished
        begin, end = line_spans(text)
        records = records_of(path, header, text, begin, end, np.full(len(begin), UNKNOWN))
        keep, over = in_stretch(path, stretch, records.contig, records.pos, records.end)
        finished |= over
        return _decode(path, header, text, records.take(keep), columns, field)

    def batches() -> Iterator[tuple[bytes]]:
        for text in _whole_lines(bgzf.pieces(path, offset=stretch.offset), path):
            if finished:
                return
            yield (text,)

    return ahead(decode, batches())


def ahead(decode: Callable[..., Block], batches: Iterator[tuple]) -> Iterator[Block]:
    """decode(*batch) of each batch in order, a few batches ahead in one other thread."""
    with ThreadPoolExecutor(1) as pool:
        waiting: deque[Future[Block]] = deque()
        for batch in batches:
            waiting.append(pool.submit(decode, *batch))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def skip(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    """The pieces without their first `size` bytes."""
    for piece in pieces:
        if size < len(piece):
            yield piece[size:]
        size = max(0, size - len(piece))


def _whole_lines(pieces: Iterator[bytes], path: Path) -> Iterator[bytes]:
    """The same bytes, cut after line ends only; the last line is given one if it has none."""
    kept: list[bytes | memoryview] = []
    for piece in pieces:
        cut = piece.rfind(b"\n") + 1
        if cut:
            # a view, for slicing would copy all the bytes once more
            yield b"".join([*kept, memoryview(piece)[:cut]])
            kept = []
        kept.append(piece[cut:])
        if sum(map(len, kept)) > LONGEST_RECORD:
            raise InputError(
                f"a line is longer than {LONGEST_RECORD >> 20} MB",
                where=str(path),
                mend="drop the FORMAT fields that are not needed: bcftools annotate --remove",
            )
    if any(map(len, kept)):
        yield b"".join([*kept, b"\n"])


def _decode(
    path: Path,
    header: Header,
    text: bytes,
    records: Records,
    columns: np.ndarray | None,
    field: Field,
) -> Block:
    """The dosages of the records' alleles."""
    alleles = np.array([len(a) for a in records.alts], np.int64)
    keys = {f: f.split(":") for f in set(records.format)}
    first = np.concatenate([[0], np.cumsum(alleles)])
    shape = (int(first[-1]), len(header.samples))
    check_size(path, alleles, shape[1])
    span = (records.calls_begin, records.calls_end, alleles, first[:-1])
    bytes_ = np.frombuffer(text, np.uint8)
    if field == "GT":
        at = {f: _index_of_gt(path, header, records, f, keys[f]) for f in keys}
        dosage = np.empty(shape, np.int8)
        fault = calls.genotypes(
            bytes_, *span, np.array([at[f] for f in records.format], np.int64), dosage
        )
    else:
        chosen = {f: _index_of_dosage(keys[f]) for f in keys}
        dosage = np.empty(shape, np.float32)
        which = np.array([chosen[f] for f in records.format], np.int64).reshape(-1, 2)
        fault = calls.dosages(bytes_, *span, which, dosage)
    if fault[0]:
        raise _bad_call(path, header, text, records, fault)
    return Block(expand(records, alleles), dosage if columns is None else dosage[:, columns])


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
    if code == calls.COLUMNS or len(cells) != len(header.samples):
        return wrong_columns(where, header, 9 + len(cells))
    cell = cells[sample].decode(errors="replace")[:40]
    return bad_call(f"{where}, sample {header.samples[sample]}", code, cell, len(records.alts[i]))


def bad_call(where: str, code: int, cell: str, alleles: int) -> InputError:
    """The error for one call, by its code."""
    if code == calls.BEYOND:
        what = f"genotype {cell!r} names an allele beyond the {alleles} in ALT"
    elif code == calls.NOT_A_NUMBER:
        what = f"{cell!r} does not hold the dosages that {alleles} ALT alleles need"
    else:
        what = f"{cell!r} is no genotype"
    return InputError(what, where=where, mend="fetch or write the file again")
