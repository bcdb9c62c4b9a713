"""The columns and calls of BCF records, once it is known where each field stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genodl.errors import InputError
from genodl.io import layout, plain
from genodl.io.faults import BROKEN, NOT_FIRST, bad_call
from genodl.io.header import Dictionary, broken
from genodl.io.records import UNKNOWN, check_size, expand
from genodl.io.source import Block, Request, counted


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


def at_record(path: Path, number: int) -> str:
    """The file and the record, where its number is known: an index skips records uncounted."""
    return str(path) if number == UNKNOWN else f"{path}, record {number}"


def records_of(
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
    said: dict[bytes, str] = {}
    filters = []
    for p, n in zip(table["filter"].tolist(), number[rows].tolist(), strict=True):
        # one filter in one byte is what most records have, and the same in most
        key = text[p : p + 2] if text[p] == layout.ONE_INT8 else b""
        if not key or key not in said:
            said[key] = _filter(path, names, text, p, n)
        filters.append(said[key])
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
        raise broken(f"{at_record(path, number)}, FILTER") from None


def info_texts(
    path: Path, names: Dictionary, text: bytes, records: Records, keys: Sequence[str]
) -> dict[str, list[str]]:
    """key -> its text in each record as VCF has it, `.` where absent, empty where it is a flag."""
    found = {key: ["."] * len(records.pos) for key in keys}
    if not keys:
        return found
    from genodl.io import packed

    raw = np.frombuffer(text, np.uint8)
    for i, row in enumerate(records.layout):
        start, kind, length = packed.typed(raw, row["filter"], row["format"])
        p = start + length * packed.SIZES.get(kind, 0)
        while 0 < p < row["format"]:
            name, kind, length = packed.typed(raw, p, row["format"])
            if name < 0 or length != 1 or kind not in packed.INTEGERS:
                raise broken(at_record(path, records.number[i]))
            code = int(np.frombuffer(text, packed.INTEGERS[kind], 1, name)[0])
            start, value, length = packed.typed(raw, name + packed.SIZES[kind], row["format"])
            if start < 0:
                raise broken(at_record(path, records.number[i]))
            if names.keys.get(code) in found:
                found[names.keys[code]][i] = _value(text, start, value, length)
            p = start + length * packed.SIZES.get(value, 0)
    return found


def _value(text: bytes, start: int, kind: int, length: int) -> str:
    """A typed value as VCF writes it."""
    from genodl.io import packed

    if kind == packed.CHARACTER:
        return text[start : start + length].rstrip(b"\0").decode(errors="replace")
    if not length or not kind:
        return ""
    values = packed.numbers(text, start, kind, length, 1)[0]
    return ",".join("." if np.isnan(v) else f"{v:.6g}" for v in values.tolist())


def decoded(
    path: Path,
    names: Dictionary,
    text: bytes,
    records: Records,
    request: Request,
) -> Block:
    """The dosages of the records' alleles."""
    alleles = np.array([len(a) for a in records.alts], np.int64)
    first = np.concatenate([[0], np.cumsum(alleles)])
    shape = (int(first[-1]), len(names.header.samples))
    check_size(path, alleles, shape[1], request.field)
    ploidy = np.full(len(alleles), 2, np.int8)
    if request.field == "GT":
        dosage = np.empty(shape, np.int8)
        fault = _genotypes(text, records, alleles, first[:-1], names.key("GT"), ploidy, dosage)
        if fault[0]:
            raise _bad_genotype(path, names, records, fault)
    else:
        dosage = np.full(shape, np.nan, np.float32)
        for i in range(len(alleles)):
            _expected(path, names, text, records, i, dosage[first[i] : first[i + 1]])
    info = info_texts(path, names, text, records, request.info)
    return counted(expand(records, alleles, ploidy, info), dosage, request.columns)


def _genotypes(
    text: bytes,
    records: Records,
    alleles: np.ndarray,
    first: np.ndarray,
    key: int,
    ploidy: np.ndarray,
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

    table = records.layout[rows]
    span = (table["format"], table["end"], table["formats"])
    most = np.empty(len(rows), np.int8)
    code, i, sample = packed.genotypes(
        np.frombuffer(text, np.uint8), *span, alleles[rows], first[rows], most, key, out
    )
    ploidy[rows] = most
    return code, int(rows[i]), sample


def _bad_genotype(
    path: Path, names: Dictionary, records: Records, fault: tuple[int, int, int]
) -> InputError:
    """The error for the call at which decoding stopped."""
    code, i, sample = fault
    where = f"{at_record(path, records.number[i])} ({records.contig[i]}:{records.pos[i]})"
    if code == BROKEN:
        return broken(at_record(path, records.number[i]))
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
            raise broken(at_record(path, records.number[i]))
        if start >= 0 and len(out):
            break
    else:
        return
    values = packed.numbers(text, start, kind, length, out.shape[1])
    if not packed.expected(values, name == "GP", out):
        raise InputError(
            f"{length} {name} values a sample do not fit {len(out)} ALT alleles",
            where=f"{at_record(path, records.number[i])} ({records.contig[i]}:{records.pos[i]})",
            mend="fetch or write the file again",
        )
