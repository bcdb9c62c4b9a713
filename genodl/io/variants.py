"""Variants of any format as AnnData: the one door."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from genodl.errors import InputError
from genodl.io.formats import Paths, open_all, stream, unique_names
from genodl.io.source import COLUMNS, Block, Field


def read_variants(
    path: Paths,
    *,
    region: str | Sequence[str] | None = None,
    samples: Sequence[str] | str | PathLike[str] | None = None,
    field: Field = "GT",
) -> AnnData:
    """ALT dosages of samples x ALT alleles, from VCF, BCF, PLINK or a store of genodl.

    One column per ALT allele of a record, none where ALT is `.`; a call with any missing allele is
    missing; a record without GT is all missing; haploid calls count 0 or 1, polyploid calls up
    to the ploidy. PLINK 1 files count A1, which stands as ALT, and A2 as REF.

    Parameters
    ----------
    path : .vcf, .vcf.gz, .vcf.bgz, .bcf, .bed, .pgen, .zarr or .h5ad, or several such files of the
        same samples, such as one a contig, read as one in the order given
    region : `C` or `C:B-E`, 1-based and closed, or a list of them; a record is in a region that
        its reference allele (or INFO/END) overlaps, and is read once
    samples : ids in the order wanted, or a file of ids, one a line; all where None
    field : "GT", or "DS" for imputed dosages (from GP where a record has no DS)

    Returns
    -------
    AnnData, (samples, alleles): `X` int8 ALT dosage with MISSING = -1 for GT, float32 with nan for
    DS; `var` has contig, pos (1-based), ref, alt, id, qual, filter; `var_names` are
    `contig:pos:ref:alt`, a repeat with a suffix `-1`, `-2`

    Raises
    ------
    InputError : a file is absent, damaged or contradicts itself, or a region, sample or field
        asked for is not in it
    """
    sources = open_all(path)
    names, blocks = stream(sources, region, samples, field)
    return _anndata(list(blocks), names, unique_names(), field)


def iter_variants(
    path: Paths,
    *,
    region: str | Sequence[str] | None = None,
    samples: Sequence[str] | str | PathLike[str] | None = None,
    field: Field = "GT",
    block: int = 4096,
) -> Iterator[AnnData]:
    """What `read_variants` reads, in blocks of `block` alleles (the last may be smaller).

    Memory is bounded by the block and the samples, not by the file. A fault in the file or the
    arguments is raised when the first block is asked for, or when the reading reaches it.

    Parameters
    ----------
    path, region, samples, field : as for `read_variants`
    block : alleles a block, at least 1

    Yields
    ------
    AnnData, (samples, alleles), as `read_variants` returns

    Raises
    ------
    InputError : as for `read_variants`, or block is below 1
    """
    if block < 1:
        raise InputError(f"block is {block}", where="iter_variants", mend="give 1 or more")
    sources = open_all(path)
    names, blocks = stream(sources, region, samples, field)
    name = unique_names()
    for group in _of_size(blocks, block):
        yield _anndata(group, names, name, field)


def _of_size(blocks: Iterator[Block], size: int) -> Iterator[list[Block]]:
    """The blocks cut and grouped so that each group holds `size` alleles, the last fewer."""
    group: list[Block] = []
    room = size
    for whole in blocks:
        start = 0
        while start < len(whole.dosage):
            part = _cut(whole, start, start + room)
            group.append(part)
            start += len(part.dosage)
            room -= len(part.dosage)
            if room == 0:
                yield group
                group, room = [], size
    if group:
        yield group


def _cut(block: Block, start: int, stop: int) -> Block:
    """The alleles start to stop of a block."""
    if start == 0 and stop >= len(block.dosage):
        return block
    return Block({k: v[start:stop] for k, v in block.variants.items()}, block.dosage[start:stop])


def _anndata(
    blocks: list[Block],
    samples: tuple[str, ...],
    names: Callable[[pd.DataFrame], list[str]],
    field: Field,
) -> AnnData:
    """The blocks as one AnnData, (samples, alleles)."""
    dtype = np.int8 if field == "GT" else np.float32
    dosage = np.concatenate([b.dosage for b in blocks] or [np.empty((0, len(samples)), dtype)])
    columns = {c: _joined([b.variants[c] for b in blocks], c) for c in COLUMNS}
    variants = pd.DataFrame(columns)
    variants.index = pd.Index(names(variants), dtype=object)
    return AnnData(dosage.T, obs=pd.DataFrame(index=pd.Index(samples, dtype=object)), var=variants)


def _joined(parts: list[Any], column: str) -> np.ndarray:
    """The parts of one column as one array."""
    dtype = {"pos": np.int64, "qual": np.float32}.get(column, object)
    return np.concatenate([np.array(p, dtype) for p in parts] or [np.empty(0, dtype)])
