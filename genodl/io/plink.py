"""PLINK files: 1 (.bed .bim .fam) in numpy, 2 (.pgen .pvar .psam) through pgenlib.

PLINK 1 knows two alleles and no reference: A1 of the .bim, which PLINK makes the minor or the
counted one, stands as ALT, A2 as REF; the dosage counts A1. Positions are kept as in the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genodl.errors import InputError
from genodl.io import bgzf
from genodl.io.source import (
    Block,
    Field,
    Region,
    Source,
    check_samples,
    overlapping,
    unknown_contig,
)
from genodl.values import MISSING

BLOCK_BYTES = 1 << 22
VARIANT_MAJOR = b"\x6c\x1b\x01"
# two bits a call, lowest first: 00 A1/A1, 01 missing, 10 A1/A2, 11 A2/A2
DOSAGE_OF_BITS = np.array([2, MISSING, 1, 0], np.int8)
FOUR_CALLS = DOSAGE_OF_BITS[(np.arange(256)[:, None] >> np.array([0, 2, 4, 6])) & 3]


def open_bed(path: Path) -> Source:
    """A PLINK 1 fileset as a source; any of its three files names it."""
    bed, bim, fam = (path.with_suffix(s) for s in (".bed", ".bim", ".fam"))
    samples = check_samples(fam, _fam_samples(fam))
    variants = _bim_variants(bim)
    _check_bed(bed, len(samples), len(variants["pos"]))

    def blocks(
        columns: np.ndarray | None, regions: tuple[Region, ...] | None, field: Field
    ) -> Iterator[Block]:
        _check_field(bed, field)
        rows = _rows(bed, variants, regions)
        return _bed_blocks(bed, len(samples), variants, rows, columns)

    return Source(bed, samples, tuple(dict.fromkeys(variants["contig"])), blocks)


def _check_field(path: Path, field: Field) -> None:
    """Refuse imputed dosages, which these files do not hold."""
    if field != "GT":
        raise InputError("no imputed dosages", where=str(path), mend="read field GT")


def _table(path: Path, names: list[str], *, skip: int = 0) -> pd.DataFrame:
    """A headerless table of text separated by white space."""
    settings: dict[str, Any] = {"header": None, "index_col": False, "quoting": 3}
    try:
        table = pd.read_csv(
            path, sep=r"\s+", skiprows=skip, names=names, usecols=range(len(names)),
            dtype=str, keep_default_na=False, **settings,
        )  # fmt: skip
    except OSError as fault:
        raise bgzf.cannot_open(path, fault) from None
    except (ValueError, pd.errors.ParserError) as fault:
        raise InputError(
            f"not a table of {len(names)} columns ({str(fault).splitlines()[0]})",
            where=str(path),
            mend="write the file again with plink",
        ) from None
    short = np.flatnonzero((table.isna() | (table == "")).any(axis=1))
    if len(short):
        raise InputError(
            f"row {short[0] + 1} has fewer than {len(names)} columns",
            where=str(path),
            mend="write the file again with plink",
        )
    return table


def _fam_samples(path: Path) -> list[str]:
    """Within-family ids, or FID_IID where those repeat."""
    table = _table(path, ["family", "id", "father", "mother", "sex", "phenotype"])
    if table["id"].is_unique:
        return table["id"].tolist()
    return (table["family"] + "_" + table["id"]).tolist()


def _bim_variants(path: Path) -> dict[str, Any]:
    """The columns of `source.COLUMNS`, one entry a variant."""
    table = _table(path, ["contig", "id", "cm", "pos", "a1", "a2"])
    return {
        "contig": table["contig"].to_numpy(object),
        "pos": _whole(path, table["pos"]),
        "ref": table["a2"].to_numpy(object),
        "alt": table["a1"].to_numpy(object),
        "id": table["id"].to_numpy(object),
        "qual": np.full(len(table), np.nan, np.float32),
        "filter": np.full(len(table), ".", object),
    }


def _whole(path: Path, texts: pd.Series) -> np.ndarray:
    """int64 of texts, the first that is no whole number refused with its row."""
    pos = pd.to_numeric(texts, errors="coerce")
    bad = np.flatnonzero(~(pos == pos.round()))
    if len(bad):
        raise InputError(
            f"position of variant {bad[0] + 1} is {texts.iloc[bad[0]]!r}, not a whole number",
            where=str(path),
            mend="write the file again with plink",
        )
    return pos.to_numpy(np.int64)


def _check_bed(path: Path, samples: int, variants: int) -> None:
    """Refuse a .bed whose magic or size is not what the .fam and .bim say."""
    try:
        with open(path, "rb") as file:
            magic, size = file.read(3), file.seek(0, 2)
    except OSError as fault:
        raise bgzf.cannot_open(path, fault) from None
    if magic != VARIANT_MAJOR:
        raise InputError(
            f"starts with {magic.hex() or 'nothing'}, a variant-major PLINK 1 .bed with 6c1b01",
            where=str(path),
            mend="write the file again with plink --make-bed",
        )
    expected = 3 + variants * -(-samples // 4)
    if size != expected:
        raise InputError(
            f"{size} bytes, where {samples} samples x {variants} variants need {expected}",
            where=str(path),
            mend="give the .bim and .fam that belong to it",
        )


def _rows(path: Path, variants: dict[str, Any], regions: tuple[Region, ...] | None) -> np.ndarray:
    """Which variants the regions hold, in file order."""
    if regions is None:
        return np.arange(len(variants["pos"]))
    known = dict.fromkeys(variants["contig"])
    for r in regions:
        if r.contig not in known:
            raise unknown_contig(path, r.contig, list(known))
    length = np.array([len(r) for r in variants["ref"]], np.int64)
    end = variants["pos"] + length - 1
    return np.flatnonzero(overlapping(regions, variants["contig"], variants["pos"], end))


def _chunks(rows: np.ndarray, samples: int) -> Iterator[np.ndarray]:
    """The rows in groups whose dosages take some megabytes."""
    size = max(1, 4 * BLOCK_BYTES // samples)
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _bed_blocks(
    path: Path,
    samples: int,
    variants: dict[str, Any],
    rows: np.ndarray,
    columns: np.ndarray | None,
) -> Iterator[Block]:
    """The variants in the rows given, block by block."""
    width = -(-samples // 4)
    with open(path, "rb") as file:
        for chunk in _chunks(rows, samples):
            first, count = int(chunk[0]), int(chunk[-1] - chunk[0] + 1)
            file.seek(3 + first * width)
            packed = np.frombuffer(file.read(count * width), np.uint8).reshape(count, width)
            dosage = FOUR_CALLS[packed[chunk - first]].reshape(len(chunk), -1)[:, :samples]
            yield Block(
                {name: values[chunk] for name, values in variants.items()},
                dosage if columns is None else dosage[:, columns],
            )


def open_pgen(path: Path) -> Source:
    """A PLINK 2 fileset as a source; any of its three files names it.

    Hard calls do not say the ploidy: PLINK stores a haploid ALT as two, and so it is counted.
    """
    pgen, pvar, psam = (path.with_suffix(s) for s in (".pgen", ".pvar", ".psam"))
    samples = check_samples(psam, _psam_samples(psam))
    variants = _pvar_variants(pvar)
    alleles = np.array([a.count(",") + 1 for a in variants["alt"]], np.int64)
    _open_reader(pgen, len(samples), alleles).close()

    def blocks(
        columns: np.ndarray | None, regions: tuple[Region, ...] | None, field: Field
    ) -> Iterator[Block]:
        rows = _rows(pgen, variants, regions)
        return _pgen_blocks(pgen, len(samples), variants, alleles, rows, columns, field)

    return Source(pgen, samples, tuple(dict.fromkeys(variants["contig"])), blocks)


def _psam_samples(path: Path) -> list[str]:
    """The IID column of a .psam, or of a .fam under that name."""
    names = _header(path, ("#FID", "#IID"))
    if not names:
        return _fam_samples(path)
    return _body(path, names)["IID" if names[0] == "#FID" else "#IID"].tolist()


def _pvar_variants(path: Path) -> dict[str, Any]:
    """The columns of `source.COLUMNS`, one entry a record, ALT alleles joined by commas."""
    names = _header(path, ("#CHROM",))
    if not names:
        return _bim_variants(path)
    absent = {"POS", "ID", "REF", "ALT"} - set(names)
    if absent:
        raise InputError(
            f"no column {sorted(absent)[0]}", where=str(path), mend="write it again with plink2"
        )
    table = _body(path, names)
    empty = np.full(len(table), ".", object)
    qual = pd.to_numeric(table["QUAL"], errors="coerce") if "QUAL" in names else np.nan
    return {
        "contig": table["#CHROM"].to_numpy(object),
        "pos": _whole(path, table["POS"]),
        "ref": table["REF"].to_numpy(object),
        "alt": table["ALT"].to_numpy(object),
        "id": table["ID"].to_numpy(object),
        "qual": np.broadcast_to(np.asarray(qual, np.float32), len(table)),
        "filter": table["FILTER"].to_numpy(object) if "FILTER" in names else empty,
    }


def _header(path: Path, starts: tuple[str, ...]) -> list[str]:
    """The column names of a table whose header line begins so, [] when it has none."""
    try:
        with open(path) as file:
            line = next((text for text in file if not text.startswith("##")), "")
    except OSError as fault:
        raise bgzf.cannot_open(path, fault) from None
    except UnicodeDecodeError:
        raise InputError("not text", where=str(path), mend="write it with plink2") from None
    names = line.split()
    return names if names and names[0] in starts else []


def _body(path: Path, names: list[str]) -> pd.DataFrame:
    """The rows under a header line."""
    with open(path) as file:
        skip = next(i for i, text in enumerate(file) if not text.startswith("##")) + 1
    return _table(path, names, skip=skip)


def _open_reader(path: Path, samples: int, alleles: np.ndarray) -> Any:
    """pgenlib's reader, its faults as one line."""
    try:
        from pgenlib import PgenReader
    except ImportError:
        raise InputError(
            "pgenlib is not installed", where=str(path), mend="pip install 'genodl[plink]'"
        ) from None
    offsets = np.concatenate([[0], np.cumsum(alleles + 1)]).astype(np.uintp)
    if not path.exists():
        raise InputError("no such file", where=str(path), mend="check the path")
    try:
        return PgenReader(
            str(path).encode(), raw_sample_ct=samples, variant_ct=len(alleles),
            allele_idx_offsets=offsets if (alleles > 1).any() else None,
        )  # fmt: skip
    except RuntimeError as fault:
        raise InputError(
            f"pgenlib refuses it ({str(fault).splitlines()[0]})",
            where=str(path),
            mend="give the .pvar and .psam that belong to it, or write it again with plink2",
        ) from None


def _pgen_blocks(
    path: Path,
    samples: int,
    variants: dict[str, Any],
    alleles: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray | None,
    field: Field,
) -> Iterator[Block]:
    """The alleles of the records in the rows given, block by block."""
    reader = _open_reader(path, samples, alleles)
    dtype, read = (np.int8, reader.read) if field == "GT" else (np.float32, reader.read_dosages)
    kept = rows[variants["alt"][rows] != "."]
    for chunk in _chunks(kept, samples):
        record = np.repeat(chunk, alleles[chunk])
        dosage = np.empty((len(record), samples), dtype)
        allele = np.concatenate([np.arange(1, n + 1) for n in alleles[chunk]])
        try:
            for i, (row, number) in enumerate(zip(record, allele, strict=True)):
                read(int(row), dosage[i], allele_idx=int(number))
        except RuntimeError as fault:
            raise InputError(
                f"damaged ({str(fault).splitlines()[0]})", where=str(path), mend="write it again"
            ) from None
        # pgenlib marks a missing call with -9
        dosage[dosage == -9] = MISSING if field == "GT" else np.nan
        block = {name: values[record] for name, values in variants.items()}
        block["alt"] = [a for row in chunk for a in variants["alt"][row].split(",")]
        yield Block(block, dosage if columns is None else dosage[:, columns])
    reader.close()
