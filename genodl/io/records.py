"""The fixed columns of VCF lines, checked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genodl.errors import InputError
from genodl.io.header import Header
from genodl.io.source import Field, taken

UNKNOWN = -1
MOST_BYTES = 1 << 27
RETURN = 13
_HEAD = re.compile(rb"(?:[^\t]*\t){9}")
_END = re.compile(r"(?:^|;)END=(\d+)(?:;|$)")


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
    info: list[str]
    format: list[str]
    calls_begin: np.ndarray
    calls_end: np.ndarray
    line: np.ndarray

    def take(self, keep: np.ndarray) -> Records:
        """The records where keep is true."""
        if keep.all():
            return self
        return Records(**taken(vars(self), np.flatnonzero(keep)))


def line_ends(text: bytes) -> np.ndarray:
    """int64, (lines,), where each line ends."""
    found, end = [], text.find(b"\n")
    while end >= 0:
        found.append(end)
        end = text.find(b"\n", end + 1)
    return np.array(found, np.int64)


def line_spans(text: bytes, newline: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each line begins and ends, without its line end."""
    begin = np.concatenate([[0], newline[:-1] + 1])
    bytes_ = np.frombuffer(text, np.uint8)
    return begin, newline - ((newline > begin) & (bytes_[newline - 1] == RETURN))


def records_of(
    path: Path,
    header: Header,
    text: bytes,
    begin: np.ndarray,
    end: np.ndarray,
    numbers: np.ndarray,
) -> Records:
    """The fixed columns of the lines between begin and end; numbers are theirs in the file."""
    filled = end > begin
    begin, end, numbers = begin[filled], end[filled], numbers[filled]
    spans = list(zip(begin.tolist(), end.tolist(), strict=True))
    ninth = [m.end() if (m := _HEAD.match(text, b, e)) else 0 for b, e in spans]
    if 0 in ninth:
        bad = ninth.index(0)
        found = text[begin[bad] : end[bad]].count(b"\t") + 1
        raise wrong_columns(at(path, numbers[bad]), header, found)
    try:
        heads = [
            text[b : t - 1].decode().split("\t") for (b, _), t in zip(spans, ninth, strict=True)
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
        alts=_alts(path, numbers, alt),
        qual=_quals(path, numbers, qual),
        filter=filter_,
        info=info,
        format=format_,
        calls_begin=np.array(ninth, np.int64),
        calls_end=end,
        line=numbers,
    )


def at(path: Path, line: int) -> str:
    """The file and the line, where that is known: an index skips lines uncounted."""
    return str(path) if line == UNKNOWN else f"{path}, line {line}"


def _numbers(path: Path, line: np.ndarray, texts: list[str], name: str) -> np.ndarray:
    """int64 of texts, the first that is no whole number refused with its line."""
    try:
        found = np.array(texts, dtype=object).astype(np.int64) if texts else np.empty(0, np.int64)
    except (ValueError, OverflowError):
        found = None
    if found is None or not all(t.isdecimal() and t.isascii() for t in texts):
        bad = next(i for i, t in enumerate(texts) if not _is_number(t))
        raise InputError(
            f"{name} is {texts[bad][:40]!r}, not a whole number",
            where=at(path, line[bad]),
            mend="write the file again with bcftools view",
        )
    return found


def _is_number(text: str) -> bool:
    """Whether a text is the digits of a number of 64 bits."""
    return text.isdecimal() and text.isascii() and len(text) < 19


def _quals(path: Path, line: np.ndarray, texts: list[str]) -> np.ndarray:
    """float32, nan where `.`."""
    try:
        return np.array([np.nan if t == "." else float(t) for t in texts], np.float32)
    except ValueError:
        bad = next(i for i, t in enumerate(texts) if not re.fullmatch(r"\.|[-+.\deE]+|nan|inf", t))
        raise InputError(
            f"QUAL is {texts[bad][:40]!r}, not a number",
            where=at(path, line[bad]),
            mend="write the file again with bcftools view",
        ) from None


def _letters(path: Path, line: np.ndarray, ref: list[str]) -> list[str]:
    """The reference alleles, refused when one is neither letters nor `.`."""
    for i, r in enumerate(ref):
        if not (r.isalpha() or r == "."):
            raise InputError(
                f"REF is {r[:40]!r}, not letters",
                where=at(path, line[i]),
                mend="check the file against its reference: bcftools norm --check-ref",
            )
    return ref


def _alts(path: Path, line: np.ndarray, texts: list[str]) -> list[list[str]]:
    """The ALT alleles, none where `.`, refused when one is empty."""
    found = [[] if a == "." else a.split(",") for a in texts]
    for i, alts in enumerate(found):
        if "" in alts:
            raise InputError(
                f"ALT is {texts[i][:40]!r}, with an empty allele",
                where=at(path, line[i]),
                mend="write the file again with bcftools view",
            )
    return found


def _ends(pos1: np.ndarray, ref: list[str], info: list[str]) -> np.ndarray:
    """Last position of each record, 1-based: by REF, or by INFO/END where it lies beyond."""
    by_ref = pos1 + np.array([len(r) for r in ref], np.int64) - 1
    by_info = [int(m[1]) if "END=" in t and (m := _END.search(t)) else 0 for t in info]
    return np.maximum(by_ref, np.array(by_info, np.int64)) if any(by_info) else by_ref


def wrong_columns(where: str, header: Header, found: int) -> InputError:
    """The error for a record with too few or too many columns."""
    return InputError(
        f"{found} columns, the header names {9 + len(header.samples)}",
        where=where,
        mend="fetch or write the file again",
    )


def check_size(path: Path, alleles: np.ndarray, samples: int, field: Field) -> None:
    """Refuse bytes that would swell to more calls than memory should hold several times."""
    size = 1 if field == "GT" else 4
    if alleles.sum() * samples * size > MOST_BYTES:
        raise InputError(
            f"{alleles.sum()} ALT alleles in {len(alleles)} neighbouring records",
            where=str(path),
            mend=f"read fewer samples, or drop records of {alleles.max()} ALT alleles",
        )


def info_of(texts: list[str], keys: Sequence[str]) -> dict[str, list[str]]:
    """key -> its text in each INFO column, `.` where it has none, empty where it is a flag."""
    held = [dict(e.partition("=")[::2] for e in text.split(";")) for text in texts] if keys else []
    return {key: [each.get(key, ".") for each in held] for key in keys}


def expand(
    records: Any, alleles: np.ndarray, ploidy: np.ndarray, info: dict[str, list[str]]
) -> dict[str, Any]:
    """The fixed columns and INFO with one entry an ALT allele."""
    alt = [a for each in records.alts for a in each]
    fixed = {
        "contig": records.contig,
        "pos": records.pos,
        "ref": records.ref,
        "alt": alt,
        "id": records.id,
        "qual": records.qual,
        "filter": records.filter,
        "ploidy": ploidy,
        **info,
    }
    if (alleles == 1).all():
        return fixed
    return {
        **taken(fixed | {"alt": alleles}, np.repeat(np.arange(len(alleles)), alleles)),
        "alt": alt,
    }
