"""Headers of VCF and BCF: what the decoders need of them.

BCF carries the same text, and numbers the contigs, filters and keys that its records refer to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from genodl.errors import InputError, nearest
from genodl.io import bgzf
from genodl.io.source import Request, check_samples

LONGEST = 1 << 26
FIXED = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO"]
_DECLARED = re.compile(r"##(contig|FILTER|INFO|FORMAT)=<(?:.*?,)?ID=([^,>]+)")
_INDEX = re.compile(r"[,<]IDX=(\d+)")


@dataclass(frozen=True)
class Header:
    """What the decoder needs of a VCF header; `size` is its length in bytes, `lines` in lines."""

    samples: tuple[str, ...]
    contigs: tuple[str, ...]
    formats: frozenset[str]
    infos: frozenset[str]
    size: int
    lines: int


@dataclass(frozen=True)
class Dictionary:
    """A BCF header: as for a VCF, and the names that records refer to by number."""

    header: Header
    contigs: dict[int, str]
    keys: dict[int, str]

    def key(self, name: str) -> int:
        """The number of a FORMAT key, -1 when the header has none."""
        if name not in self.header.formats:
            return -1
        return next(number for number, key in self.keys.items() if key == name)


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
        if not text.startswith(b"##fileformat=VCF"):
            raise _not_a_vcf(path)
        if len(text) > LONGEST:
            raise InputError(
                f"the header is longer than {LONGEST >> 20} MB",
                where=str(path),
                mend="fetch or write the file again",
            )
    if not lines:
        raise _not_a_vcf(path)
    raise InputError(
        "the header has no #CHROM line", where=str(path), mend="fetch or write the file again"
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
    declared = [m.groups() for m in map(_DECLARED.match, lines) if m]
    return Header(
        check_samples(path, samples),
        tuple(dict.fromkeys(name for kind, name in declared if kind == "contig")),
        frozenset(name for kind, name in declared if kind == "FORMAT"),
        frozenset(name for kind, name in declared if kind == "INFO"),
        size,
        len(lines) + 1,
    )


def check_keys(path: Path, header: Header, request: Request) -> None:
    """Refuse a field or an INFO key that no record can hold, when the header says so."""
    formats = header.formats
    if request.field == "GT" and "GT" not in formats and "LGT" in formats:
        raise InputError(
            "holds local alleles (LGT, LAA) and no GT",
            where=str(path),
            mend="write the file again with GT",
        )
    if request.field == "GT" and "GT" not in formats and formats & {"DS", "GP"}:
        raise InputError(
            "holds imputed dosages and no genotypes", where=str(path), mend="read field DS"
        )
    if request.field == "DS" and not formats & {"DS", "GP"}:
        raise InputError(
            "neither FORMAT/DS nor FORMAT/GP is declared", where=str(path), mend="read field GT"
        )
    for key in request.info:
        if key not in header.infos:
            raise InputError(
                f"INFO/{key} is not declared",
                where=str(path),
                mend=f"nearest names: {nearest(key, sorted(header.infos))}",
            )


def broken(where: str) -> InputError:
    """The error for bytes that are no BCF."""
    return InputError("the BCF is damaged", where=where, mend="fetch or write the file again")


def read_dictionary(path: Path) -> Dictionary:
    """The header text and the numbering of its contigs, filters and keys."""
    text = bytearray()
    size = 9
    for piece in bgzf.pieces(path):
        text += piece
        if text[:5] not in (b"BCF\2\1", b"BCF\2\2"):
            raise InputError(
                "not a BCF of version 2",
                where=str(path),
                mend="write the file again with bcftools view -Ob",
            )
        size = 9 + int.from_bytes(text[5:9], "little")
        if len(text) >= size or size > LONGEST:
            break
    if len(text) < size:
        raise broken(f"{path}, header")
    try:
        lines = bytes(text[9:size]).rstrip(b"\0").decode().rstrip("\n").split("\n")
    except UnicodeDecodeError:
        raise broken(f"{path}, header") from None
    columns = lines[-1].rstrip("\r").split("\t")
    if columns[0] != "#CHROM":
        raise broken(f"{path}, header")
    header = header_of(path, lines[:-1], columns[9:], size)
    contigs, keys = _numbered(lines[:-1])
    if len(set(contigs.values())) < len(contigs) or len(set(keys.values())) < len(keys):
        raise broken(f"{path}, header: one number for two names")
    return Dictionary(header, {i: c for c, i in contigs.items()}, {i: k for k, i in keys.items()})


def _numbered(lines: list[str]) -> tuple[dict[str, int], dict[str, int]]:
    """The numbers of the contigs and of the keys: IDX where written, else by order."""
    contigs: dict[str, int] = {}
    keys: dict[str, int] = {"PASS": 0}
    for line in lines:
        if not (found := _DECLARED.match(line)):
            continue
        kind, name = found.groups()
        table = contigs if kind == "contig" else keys
        index = _INDEX.search(line)
        if name not in table:
            table[name] = int(index[1]) if index else len(table)
    return contigs, keys
