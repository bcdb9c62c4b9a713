"""BCF: the binary records decoded in place.

pysam decompresses, compiled loops find the fields of each record, and every length in the file is
checked against the record before it is followed. Format: VCF specification, section 6.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from genodl.errors import InputError
from genodl.io import bgzf, layout, plain
from genodl.io.ahead import in_order
from genodl.io.faults import BROKEN, NOT_FIRST, bad_call
from genodl.io.header import Dictionary, broken, check_field, read_dictionary
from genodl.io.index import Stretch, in_stretch, whole_or_stretches
from genodl.io.records import UNKNOWN, check_size, expand
from genodl.io.source import Block, Field, Region, Source, overlapping, unknown_contig
from genodl.io.vcf import LONGEST_RECORD, skip


@dataclass(frozen=True, eq=False)
class Records:
    """The fixed columns of some records, and where each record stands in the bytes."""

    contig: list[str]
    pos: np.ndarray
    id: list[str]
    ref: list[str]
    alts: list[list[str]]
    qual: np.ndarray
    filter: list[str]
    layout: np.ndarray
    number: np.ndarray


def open_bcf(path: Path) -> Source:
    """A BCF as a source."""
    names = read_dictionary(path)

    def blocks(
        columns: np.ndarray | None, regions: tuple[Region, ...] | None, field: Field
    ) -> Iterator[Block]:
        return _blocks(path, names, columns, regions, field)

    return Source(path, names.header.samples, names.header.contigs, blocks)


def _blocks(
    path: Path,
    names: Dictionary,
    columns: np.ndarray | None,
    regions: tuple[Region, ...] | None,
    field: Field,
) -> Iterator[Block]:
    """The alleles of the file, or of the regions through an index if there is one."""
    check_field(path, names.header.formats, field)
    for region in regions or ():
        if region.contig not in names.header.contigs:
            raise unknown_contig(path, region.contig, names.header.contigs)
    keys = {name: str(number) for number, name in names.contigs.items()}
    scan = partial(_scan, path, names, columns, regions, field)
    stretch = partial(_stretch, path, names, columns, field=field)
    yield from whole_or_stretches(path, regions, keys, scan=scan, stretch=stretch)


def _scan(
    path: Path,
    names: Dictionary,
    columns: np.ndarray | None,
    regions: tuple[Region, ...] | None,
    field: Field,
) -> Iterator[Block]:
    """The alleles of the whole file, decoded while pysam decompresses what follows."""

    def decode(text: bytes, start: np.ndarray, number: int) -> Block:
        numbers = number + 1 + np.arange(len(start))
        table, alleles = _layout(path, names, text, start, numbers)
        keep = None
        if regions is not None:
            keep = np.flatnonzero(overlapping(regions, *_places(names, table)))
        records = _records(path, names, text, table, alleles, numbers, keep)
        return _decode(path, names, text, records, columns, field)

    pieces = skip(bgzf.pieces(path), names.header.size)
    return in_order(decode, _batches(path, pieces))


def _stretch(
    path: Path, names: Dictionary, columns: np.ndarray | None, stretch: Stretch, field: Field
) -> Iterator[Block]:
    """The alleles of one region, read from where the index says to where it ends."""
    finished = False

    def decode(text: bytes, start: np.ndarray, _: int) -> Block:
        nonlocal finished
        numbers = np.full(len(start), UNKNOWN)
        table, alleles = _layout(path, names, text, start, numbers)
        keep, over = in_stretch(path, stretch, *_places(names, table))
        finished |= over
        records = _records(path, names, text, table, alleles, numbers, np.flatnonzero(keep))
        return _decode(path, names, text, records, columns, field)

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
            raise broken(_at(path, number + len(start) + 1))
        if len(start):
            yield text, start, number
            number += len(start)
        waiting = [text[stop:]]
    if whole and any(waiting):
        raise broken(_at(path, number + 1))


def _at(path: Path, number: int) -> str:
    """The file and the record, where its number is known: an index skips records uncounted."""
    return str(path) if number == UNKNOWN else f"{path}, record {number}"


def _layout(
    path: Path, names: Dictionary, text: bytes, start: np.ndarray, numbers: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where the fields of each record stand, and the spans of all alleles."""
    found = layout.plain_layout(text, start) if len(start) else None
    if found is None:
        # loaded where it is needed: the compiler costs more than reading many a file
        from genodl.io import packed

        table, alleles, fault = packed.layout(np.frombuffer(text, np.uint8), start)
        if fault >= 0:
            raise broken(_at(path, numbers[fault]))
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
            f"{layout['samples'][wrong[0]]} samples, the header names {samples}",
            where=_at(path, number[wrong[0]]),
            mend="fetch or write the file again",
        )
    known = np.isin(table["contig"], list(names.contigs))
    if not known.all() or (table["pos"] < -1).any():
        bad = int(np.flatnonzero(~known | (table["pos"] < -1))[0])
        raise broken(_at(path, number[bad]))


def _records(
    path: Path,
    names: Dictionary,
    text: bytes,
    table: np.ndarray,
    alleles: np.ndarray,
    number: np.ndarray,
    keep: np.ndarray | None,
) -> Records:
    """The fixed columns as Python sees them."""
    offset = np.concatenate([[0], np.cumsum(table["alleles"])])
    rows = np.arange(len(table)) if keep is None else keep
    spans = alleles.tolist()
    try:
        words = [
            [text[p:q].decode() for p, q in spans[a:b]]
            for a, b in zip(offset[rows].tolist(), offset[rows + 1].tolist(), strict=True)
        ]
        span = zip(table["id"][rows].tolist(), table["id_end"][rows].tolist(), strict=True)
        ids = [text[p:q].decode() or "." for p, q in span]
    except UnicodeDecodeError:
        raise broken(f"{path}, records {number[0]} to {number[-1]}") from None
    table = table[rows]
    filters = [
        _filter(path, names, text, p, n)
        for p, n in zip(table["filter"].tolist(), number[rows].tolist(), strict=True)
    ]
    return Records(
        contig=[names.contigs[c] for c in table["contig"].tolist()],
        pos=table["pos"].astype(np.int64) + 1,
        id=ids,
        ref=[w[0] if w else "." for w in words],
        alts=[w[1:] for w in words],
        qual=table["qual"].copy(),
        filter=filters,
        layout=table,
        number=number[rows],
    )


def _filter(path: Path, names: Dictionary, text: bytes, p: int, number: int) -> str:
    """The filters of a record, joined by `;`, `.` when none is stated."""
    if text[p] == layout.ONE_INT8:
        codes = [text[p + 1]]
    elif text[p] == 0:
        codes = []
    else:
        from genodl.io import packed

        start, kind, length = packed.typed(np.frombuffer(text, np.uint8), p, len(text))
        codes = np.frombuffer(text, packed.INTEGERS.get(kind, "<i1"), length, start).tolist()
    try:
        return ";".join(names.keys[c] for c in codes) or "."
    except KeyError:
        raise broken(f"{_at(path, number)}, FILTER") from None


def _decode(
    path: Path,
    names: Dictionary,
    text: bytes,
    records: Records,
    columns: np.ndarray | None,
    field: Field,
) -> Block:
    """The dosages of the records' alleles."""
    alleles = np.array([len(a) for a in records.alts], np.int64)
    first = np.concatenate([[0], np.cumsum(alleles)])
    shape = (int(first[-1]), len(names.header.samples))
    check_size(path, alleles, shape[1])
    if field == "GT":
        dosage = np.empty(shape, np.int8)
        fault = _genotypes(text, records, alleles, first[:-1], names.key("GT"), dosage)
        if fault[0]:
            raise _bad_genotype(path, names, records, fault)
    else:
        dosage = np.full(shape, np.nan, np.float32)
        for i in range(len(alleles)):
            _expected(path, names, text, records, i, dosage[first[i] : first[i + 1]])
    return Block(expand(records, alleles), dosage if columns is None else dosage[:, columns])


def _genotypes(
    text: bytes,
    records: Records,
    alleles: np.ndarray,
    first: np.ndarray,
    key: int,
    out: np.ndarray,
) -> tuple[int, int, int]:
    """Fill ALT counts, (alleles, samples); (code, record, sample) of the first fault."""
    rest = np.ones(len(alleles), bool)
    likely = np.flatnonzero(
        (alleles == 1) & layout.two_bytes(text, records.layout, key, out.shape[1])
    )
    if len(likely):
        begin = records.layout["format"][likely] + 3
        rest[likely] = ~plain.bcf_calls(text, begin, first[likely], out)
    rows = np.flatnonzero(rest)
    if not len(rows):
        return 0, 0, 0
    from genodl.io import packed

    span = (records.layout[name][rows] for name in ("format", "end", "formats"))
    code, i, sample = packed.genotypes(
        np.frombuffer(text, np.uint8), *span, alleles[rows], first[rows], key, out
    )
    return code, int(rows[i]), sample


def _bad_genotype(
    path: Path, names: Dictionary, records: Records, fault: tuple[int, int, int]
) -> InputError:
    """The error for the call at which decoding stopped."""
    code, i, sample = fault
    where = f"{_at(path, records.number[i])} ({records.contig[i]}:{records.pos[i]})"
    if code == BROKEN:
        return broken(_at(path, records.number[i]))
    if code == NOT_FIRST:
        return InputError(
            "GT is not the first FORMAT field",
            where=where,
            mend="write the file again with bcftools view",
        )
    sample_id = names.header.samples[sample]
    return bad_call(f"{where}, sample {sample_id}", code, "stored", len(records.alts[i]))


def _expected(
    path: Path, names: Dictionary, text: bytes, records: Records, i: int, out: np.ndarray
) -> None:
    """Fill ALT counts of one record, (alleles, samples), from DS, or from GP where it has none."""
    from genodl.io import packed

    raw = np.frombuffer(text, np.uint8)
    at = records.layout[i]
    for name in ("DS", "GP"):
        start, kind, length, _ = packed.find(
            raw, at["format"], at["end"], at["formats"], out.shape[1], names.key(name)
        )
        if start == packed.DAMAGED:
            raise broken(_at(path, records.number[i]))
        if start >= 0 and len(out):
            break
    else:
        return
    values = packed.numbers(text, start, kind, length, out.shape[1])
    if not packed.expected(values, name == "GP", out):
        raise InputError(
            f"{length} {name} values a sample do not fit {len(out)} ALT alleles",
            where=f"{_at(path, records.number[i])} ({records.contig[i]}:{records.pos[i]})",
            mend="fetch or write the file again",
        )
