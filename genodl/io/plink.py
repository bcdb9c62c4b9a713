"""PLINK 1 files (.bed .bim .fam) in numpy.

They know two alleles and no reference: A1 of the .bim, which PLINK makes the minor or the
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
    Request,
    Source,
    check_samples,
    counted,
    no_info,
    overlapping,
    taken,
    unknown_contig,
)
from genodl.values import MISSING

BLOCK_BYTES = 1 << 22
DIPLOID = 2
VARIANT_MAJOR = b"\x6c\x1b\x01"
# two bits a call, lowest first: 00 A1/A1, 01 missing, 10 A1/A2, 11 A2/A2
DOSAGE_OF_BITS = np.array([2, MISSING, 1, 0], np.int8)
FOUR_CALLS = DOSAGE_OF_BITS[(np.arange(256)[:, None] >> np.array([0, 2, 4, 6])) & 3]


def open_bed(path: Path) -> Source:
    """A PLINK 1 fileset as a source; any of its three files names it."""
    bed, bim, fam = (path.with_suffix(s) for s in (".bed", ".bim", ".fam"))
    samples = check_samples(fam, read_fam(fam))
    variants = read_bim(bim)
    _check_bed(bed, len(samples), len(variants["pos"]))

    def blocks(request: Request) -> Iterator[Block]:
        _check_field(bed, request.field)
        no_info(bed, request.info)
        rows = rows_of(bed, variants, request.regions)
        return _bed_blocks(bed, len(samples), variants, rows, request.columns)

    return Source(bed, samples, tuple(dict.fromkeys(variants["contig"])), blocks)


def _check_field(path: Path, field: Field) -> None:
    """Refuse imputed dosages, which these files do not hold."""
    if field != "GT":
        raise InputError("no imputed dosages", where=str(path), mend="read field GT")


def read_table(path: Path, names: list[str], *, skip: int = 0) -> pd.DataFrame:
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


def read_fam(path: Path) -> list[str]:
    """Within-family ids, or FID_IID where those repeat."""
    table = read_table(path, ["family", "id", "father", "mother", "sex", "phenotype"])
    if table["id"].is_unique:
        return table["id"].tolist()
    return (table["family"] + "_" + table["id"]).tolist()


def read_bim(path: Path) -> dict[str, Any]:
    """The columns of `source.WRITTEN`, one entry a variant."""
    table = read_table(path, ["contig", "id", "cm", "pos", "a1", "a2"])
    return {
        "contig": table["contig"].to_numpy(object),
        "pos": whole_numbers(path, table["pos"]),
        "ref": table["a2"].to_numpy(object),
        "alt": table["a1"].to_numpy(object),
        "id": table["id"].to_numpy(object),
        "qual": np.full(len(table), np.nan, np.float32),
        "filter": np.full(len(table), ".", object),
        "ploidy": np.full(len(table), DIPLOID, np.int8),
    }


def whole_numbers(path: Path, texts: pd.Series) -> np.ndarray:
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


def rows_of(path: Path, variants: dict[str, Any], regions: tuple[Region, ...] | None) -> np.ndarray:
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


def chunks(rows: np.ndarray, samples: int) -> Iterator[np.ndarray]:
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
        for chunk in chunks(rows, samples):
            first, count = int(chunk[0]), int(chunk[-1] - chunk[0] + 1)
            file.seek(3 + first * width)
            packed = np.frombuffer(file.read(count * width), np.uint8).reshape(count, width)
            dosage = FOUR_CALLS[packed[chunk - first]].reshape(len(chunk), -1)[:, :samples]
            yield counted(taken(variants, chunk), dosage, columns)
