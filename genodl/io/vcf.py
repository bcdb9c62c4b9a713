"""VCF as text: the bytes of many lines decoded at once.

pysam decompresses, one compiled loop walks the calls, and Python sees each record once for its
fixed columns. pysam's own loop is 40 times slower, empties every genotype when FORMAT/GT is
undeclared, and turns an allele beyond ALT into a missing one; here both are refused.
"""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genodl.errors import InputError
from genodl.io import bgzf, calls
from genodl.io.index import Stretch, in_stretch, read_index, stretches
from genodl.io.source import (
    Block,
    Field,
    Region,
    Source,
    check_samples,
    overlapping,
    unknown_contig,
)

logger = logging.getLogger(__name__)
LONGEST_HEADER_LINE = 1 << 26
LONGEST_RECORD = 1 << 28
UNKNOWN = -1
AHEAD = 2
FIXED = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO"]
_ID = re.compile(r"##(contig|FORMAT)=<(?:.*?,)?ID=([^,>]+)")
_END = re.compile(r"(?:^|;)END=(\d+)(?:;|$)")


@dataclass(frozen=True)
class Header:
    """What the decoder needs of a VCF header; `size` is its length in bytes, `lines` in lines."""

    samples: tuple[str, ...]
    contigs: tuple[str, ...]
    formats: frozenset[str]
    size: int
    lines: int


@dataclass(frozen=True, eq=False)
class Records:
    """The fixed columns of some lines, and where in the text their calls begin and end."""

    contig: list[str]
    pos: np.ndarray
    end: np.ndarray
    id: list[str]
    ref: list[str]
    alts: list[list[str]]
    qual: np.ndarray
    filter: list[str]
    format: list[str]
    calls_begin: np.ndarray
    calls_end: np.ndarray
    line: np.ndarray

    def take(self, keep: np.ndarray) -> Records:
        """The records where keep is true."""
        if keep.all():
            return self
        rows = np.flatnonzero(keep)
        chosen: dict[str, Any] = {
            name: values[rows] if isinstance(values, np.ndarray) else [values[i] for i in rows]
            for name, values in vars(self).items()
        }
        return Records(**chosen)


def open_vcf(path: Path) -> Source:
    """A VCF, plain or bgzipped, as a source."""
    header = read_header(path)

    def blocks(
        columns: np.ndarray | None, regions: tuple[Region, ...] | None, field: Field
    ) -> Iterator[Block]:
        return _blocks(path, header, columns, regions, field)

    return Source(path, header.samples, header.contigs, blocks)


def read_header(path: Path) -> Header:
    """The declared contigs, FORMAT keys and samples of a VCF."""
    text, size = bytearray(), 0
    lines: list[bytes] = []
    for piece in bgzf.pieces(path):
        text += piece
        while (stop := text.find(b"\n", size)) >= 0:
            lines.append(bytes(text[size:stop]))
            size = stop + 1
            if len(lines) == 1 and not lines[0].startswith(b"##fileformat=VCF"):
                raise _not_a_vcf(path)
            if not lines[-1].startswith(b"##"):
                return _parse_header(path, lines, size)
        if len(text) - size > LONGEST_HEADER_LINE or not text.startswith(b"##fileformat=VCF"):
            break
    raise (
        _not_a_vcf(path)
        if not lines
        else InputError(
            "the header has no #CHROM line", where=str(path), mend="fetch or write the file again"
        )
    )


def _not_a_vcf(path: Path) -> InputError:
    """The error for a file of another kind."""
    return InputError(
        "not a VCF: the first line is not ##fileformat=VCF",
        where=str(path),
        mend="give a .vcf, .vcf.gz, .bcf, .bed, .pgen, .zarr or .h5ad file",
    )


def _parse_header(path: Path, raw: list[bytes], size: int) -> Header:
    """The header from its lines, of which #CHROM should be the last."""
    try:
        lines = [line.decode().rstrip("\r") for line in raw]
    except UnicodeDecodeError:
        raise _not_a_vcf(path) from None
    columns = lines[-1].split("\t")
    if columns[:8] != FIXED or columns[8:9] not in ([], ["FORMAT"]):
        raise InputError(
            f"line {len(lines)} should name the columns ({' '.join(FIXED)} FORMAT), tab-separated",
            where=str(path),
            mend="write the file again with bcftools view",
        )
    return header_of(path, lines[:-1], columns[9:], size)


def header_of(path: Path, lines: list[str], samples: list[str], size: int) -> Header:
    """The header from its meta lines and its samples."""
    declared = [m.groups() for m in map(_ID.match, lines) if m]
    return Header(
        check_samples(path, samples),
        tuple(dict.fromkeys(name for kind, name in declared if kind == "contig")),
        frozenset(name for kind, name in declared if kind == "FORMAT"),
        size,
        len(lines) + 1,
    )


def check_field(path: Path, formats: frozenset[str], field: Field) -> None:
    """Refuse a field of dosages that the header does not declare."""
    if field == "DS" and not formats & {"DS", "GP"}:
        raise InputError(
            "neither FORMAT/DS nor FORMAT/GP is declared", where=str(path), mend="read field GT"
        )


def _blocks(
    path: Path,
    header: Header,
    columns: np.ndarray | None,
    regions: tuple[Region, ...] | None,
    field: Field,
) -> Iterator[Block]:
    """The alleles of the file, or of the regions through an index if there is one."""
    check_field(path, header.formats, field)
    index = read_index(path) if regions is not None else None
    if index is None:
        yield from _scan(path, header, columns, regions, field)
        return
    for stretch in stretches(path, index, regions or (), {c: c for c in header.contigs}):
        yield from _stretch(path, header, columns, stretch, field)


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

    def decode(text: bytes, line: int) -> Block:
        records = _records(path, header, text, line)
        seen.update(records.contig)
        if regions is not None:
            records = records.take(overlapping(regions, records.contig, records.pos, records.end))
        return _decode(path, header, text, records, columns, field)

    def batches() -> Iterator[tuple[bytes, int]]:
        nonlocal lines
        for text in _whole_lines(skip(bgzf.pieces(path), header.size), path):
            yield text, lines
            lines += text.count(b"\n")

    yield from ahead(decode, batches())
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
        records = _records(path, header, text, None)
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
    kept: list[bytes] = []
    for piece in pieces:
        cut = piece.rfind(b"\n") + 1
        if cut:
            yield b"".join([*kept, piece[:cut]])
            kept = []
        kept.append(piece[cut:])
        if sum(map(len, kept)) > LONGEST_RECORD:
            raise InputError(
                f"a line is longer than {LONGEST_RECORD >> 20} MB",
                where=str(path),
                mend="drop the FORMAT fields that are not needed: bcftools annotate --remove",
            )
    if any(kept):
        yield b"".join(kept) + b"\n"


def _records(path: Path, header: Header, text: bytes, line: int | None) -> Records:
    """The fixed columns of every line of the text, `line` of which came before (None: unknown)."""
    bytes_ = np.frombuffer(text, np.uint8)
    begin, end = calls.lines(bytes_, text.count(b"\n"))
    numbers = np.full(len(begin), UNKNOWN) if line is None else line + 1 + np.arange(len(begin))
    filled = end > begin
    begin, end, numbers = begin[filled], end[filled], numbers[filled]
    tabs = calls.ninth_tabs(bytes_, begin, end)
    if (tabs < 0).any():
        bad = int(np.flatnonzero(tabs < 0)[0])
        found = text[begin[bad] : end[bad]].count(b"\t") + 1
        raise _wrong_columns(_at(path, numbers[bad]), header, found)
    try:
        heads = [
            text[b:t].decode().split("\t")
            for b, t in zip(begin.tolist(), tabs.tolist(), strict=True)
        ]
    except UnicodeDecodeError:
        raise InputError(
            f"lines {numbers[0]} to {numbers[-1]} hold bytes that are no text",
            where=str(path),
            mend="fetch or write the file again",
        ) from None
    fixed = [list(column) for column in zip(*heads, strict=True)] or [[] for _ in range(9)]
    contig, pos, id_, ref, alt, qual, filter_, info, format_ = fixed
    pos1 = _numbers(path, numbers, pos, "POS")
    return Records(
        contig=contig,
        pos=pos1,
        end=_ends(pos1, ref, info),
        id=id_,
        ref=_letters(path, numbers, ref),
        alts=[[] if a == "." else a.split(",") for a in alt],
        qual=_quals(path, numbers, qual),
        filter=filter_,
        format=format_,
        calls_begin=tabs + 1,
        calls_end=end,
        line=numbers,
    )


def _at(path: Path, line: int) -> str:
    """The file and the line, where that is known: an index skips lines uncounted."""
    return str(path) if line == UNKNOWN else f"{path}, line {line}"


def _numbers(path: Path, line: np.ndarray, texts: list[str], name: str) -> np.ndarray:
    """int64 of texts, the first that is no whole number refused with its line."""
    try:
        found = np.array(texts, dtype=object).astype(np.int64) if texts else np.empty(0, np.int64)
    except (ValueError, OverflowError):
        found = None
    if found is None or not all(map(str.isdecimal, texts)):
        bad = next(i for i, t in enumerate(texts) if not (t.isdecimal() and len(t) < 19))
        raise InputError(
            f"{name} is {texts[bad][:40]!r}, not a whole number",
            where=_at(path, line[bad]),
            mend="write the file again with bcftools view",
        )
    return found


def _quals(path: Path, line: np.ndarray, texts: list[str]) -> np.ndarray:
    """float32, nan where `.`."""
    try:
        return np.array([np.nan if t == "." else float(t) for t in texts], np.float32)
    except ValueError:
        bad = next(i for i, t in enumerate(texts) if not re.fullmatch(r"\.|[-+.\deE]+|nan|inf", t))
        raise InputError(
            f"QUAL is {texts[bad][:40]!r}, not a number",
            where=_at(path, line[bad]),
            mend="write the file again with bcftools view",
        ) from None


def _letters(path: Path, line: np.ndarray, ref: list[str]) -> list[str]:
    """The reference alleles, refused when one is neither letters nor `.`."""
    for i, r in enumerate(ref):
        if not (r.isalpha() or r == "."):
            raise InputError(
                f"REF is {r[:40]!r}, not letters",
                where=_at(path, line[i]),
                mend="check the file against its reference: bcftools norm --check-ref",
            )
    return ref


def _ends(pos1: np.ndarray, ref: list[str], info: list[str]) -> np.ndarray:
    """Last position of each record, 1-based: by REF, or by INFO/END where it lies beyond."""
    by_ref = pos1 + np.array([len(r) for r in ref], np.int64) - 1
    by_info = [int(m[1]) if "END=" in t and (m := _END.search(t)) else 0 for t in info]
    return np.maximum(by_ref, np.array(by_info, np.int64)) if any(by_info) else by_ref


def _wrong_columns(where: str, header: Header, found: int) -> InputError:
    """The error for a record with too few or too many columns."""
    return InputError(
        f"{found} columns, the header names {9 + len(header.samples)}",
        where=where,
        mend="fetch or write the file again",
    )


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
    where = f"{_at(path, records.line[i])} ({records.contig[i]}:{records.pos[i]})"
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
    where = f"{_at(path, records.line[i])} ({records.contig[i]}:{records.pos[i]})"
    cells = text[records.calls_begin[i] : records.calls_end[i]].split(b"\t")
    if code == calls.COLUMNS or len(cells) != len(header.samples):
        return _wrong_columns(where, header, 9 + len(cells))
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


def expand(records: Any, alleles: np.ndarray) -> dict[str, Any]:
    """The fixed columns with one entry an ALT allele."""
    alt = [a for each in records.alts for a in each]
    fixed = {
        "contig": records.contig,
        "pos": records.pos,
        "ref": records.ref,
        "alt": alt,
        "id": records.id,
        "qual": records.qual,
        "filter": records.filter,
    }
    if (alleles == 1).all():
        return fixed
    row = np.repeat(np.arange(len(alleles)), alleles)
    return {
        name: values
        if name == "alt"
        else (values[row] if isinstance(values, np.ndarray) else [values[i] for i in row])
        for name, values in fixed.items()
    }
