"""PLINK 2 files (.pgen .pvar .psam) through pgenlib, the extra `plink`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genodl.errors import InputError
from genodl.io import bgzf
from genodl.io.plink import DIPLOID, chunks, read_bim, read_fam, read_table, rows_of, whole_numbers
from genodl.io.source import Block, Request, Source, check_samples, counted, no_info, taken
from genodl.values import MISSING


def open_pgen(path: Path) -> Source:
    """A PLINK 2 fileset as a source; any of its three files names it.

    Hard calls do not say the ploidy: PLINK stores a haploid ALT as two, and so it is counted.
    """
    pgen, pvar, psam = (path.with_suffix(s) for s in (".pgen", ".pvar", ".psam"))
    samples = check_samples(psam, _psam_samples(psam))
    variants = _pvar_variants(pvar)
    alleles = np.array([a.count(",") + 1 for a in variants["alt"]], np.int64)
    _open_reader(pgen, len(samples), alleles).close()

    def blocks(request: Request) -> Iterator[Block]:
        no_info(pgen, request.info)
        rows = rows_of(pgen, variants, request.regions)
        return _pgen_blocks(pgen, len(samples), variants, alleles, rows, request)

    return Source(pgen, samples, tuple(dict.fromkeys(variants["contig"])), blocks)


def _psam_samples(path: Path) -> list[str]:
    """The IID column of a .psam, or of a .fam under that name."""
    names = _header(path, ("#FID", "#IID"))
    if not names:
        return read_fam(path)
    return _body(path, names)["IID" if names[0] == "#FID" else "#IID"].tolist()


def _pvar_variants(path: Path) -> dict[str, Any]:
    """The columns of `source.WRITTEN`, one entry a record, ALT alleles joined by commas."""
    names = _header(path, ("#CHROM",))
    if not names:
        return read_bim(path)
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
        "pos": whole_numbers(path, table["POS"]),
        "ref": table["REF"].to_numpy(object),
        "alt": table["ALT"].to_numpy(object),
        "id": table["ID"].to_numpy(object),
        "qual": np.broadcast_to(np.asarray(qual, np.float32), len(table)),
        "filter": table["FILTER"].to_numpy(object) if "FILTER" in names else empty,
        "ploidy": np.full(len(table), DIPLOID, np.int8),
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
    return read_table(path, names, skip=skip)


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
    request: Request,
) -> Iterator[Block]:
    """The alleles of the records in the rows given, block by block."""
    reader = _open_reader(path, samples, alleles)
    dtype, read = (
        (np.int8, reader.read) if request.field == "GT" else (np.float32, reader.read_dosages)
    )
    kept = rows[variants["alt"][rows] != "."]
    for chunk in chunks(kept, samples):
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
        dosage[dosage == -9] = MISSING if request.field == "GT" else np.nan
        block = taken(variants, record)
        block["alt"] = [a for row in chunk for a in variants["alt"][row].split(",")]
        yield counted(block, dosage, request.columns)
    reader.close()
