"""Variants of any format as AnnData: the one door."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from os import PathLike
from typing import TYPE_CHECKING, Any

from genodl.errors import InputError
from genodl.io.formats import Paths, first_of, opened, stream
from genodl.io.gather import joined, of_size, unique_names
from genodl.io.sift import EVERYTHING, Filters, report, sift
from genodl.io.source import Block, Field

if TYPE_CHECKING:
    from anndata import AnnData


def read_variants(
    path: Paths,
    *,
    region: str | Sequence[str] | None = None,
    samples: Sequence[str] | str | PathLike[str] | None = None,
    field: Field = "GT",
    filters: Filters = EVERYTHING,
    info: Sequence[str] = (),
    reference: str | PathLike[str] | None = None,
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
    filters : which alleles are wanted; what is left out is counted and logged
    info : INFO keys, such as CSQ or ANN, kept as text in columns of `var` under their names
    reference : FASTA against which the records of VCF or BCF are brought into normal form first:
        REF checked, left-aligned, repeats merged

    Returns
    -------
    AnnData, (samples, alleles): `X` int8 ALT dosage with MISSING = -1 for GT, float32 with nan for
    DS; `var` has contig, pos (1-based), ref, alt, id, qual, filter, ploidy (the most alleles a
    called sample has; 2 for DS and PLINK), allele_count and call_rate (of the samples read), and
    the INFO keys; `var_names` are `contig:pos:ref:alt`, a repeat with a suffix `-1`, `-2`;
    `uns["losses"]` has the alleles (of `reference`: records) left out by reason

    Raises
    ------
    InputError : a file is absent, damaged or contradicts itself, a region, sample, field or INFO
        key asked for is not in it, or `reference` is of another genome build
    """
    losses: Counter[str] = Counter()
    with opened(path, reference, field, losses) as sources:
        names, blocks = stream(sources, region=region, samples=samples, field=field, info=info)
        _import_beside()
        kept = list(sift(blocks, filters, losses))
    report(first_of(path), losses)
    found = _anndata(kept, names, unique_names(), field, info)
    found.uns["losses"] = dict(losses)
    return found


def iter_variants(
    path: Paths,
    *,
    region: str | Sequence[str] | None = None,
    samples: Sequence[str] | str | PathLike[str] | None = None,
    field: Field = "GT",
    filters: Filters = EVERYTHING,
    info: Sequence[str] = (),
    reference: str | PathLike[str] | None = None,
    block: int = 4096,
) -> Iterator[AnnData]:
    """What `read_variants` reads, in blocks of `block` alleles (the last may be smaller).

    Memory is bounded by the block and the samples, not by the file. A fault in the file or the
    arguments is raised when the first block is asked for, or when the reading reaches it. What is
    left out is logged after the last block.

    Parameters
    ----------
    path, region, samples, field, filters, info, reference : as for `read_variants`
    block : alleles a block, at least 1

    Yields
    ------
    AnnData, (samples, alleles), as `read_variants` returns, without `uns`

    Raises
    ------
    InputError : as for `read_variants`, or block is below 1
    """
    if block < 1:
        raise InputError(f"block is {block}", where="iter_variants", mend="give 1 or more")
    losses: Counter[str] = Counter()
    with opened(path, reference, field, losses) as sources:
        names, blocks = stream(sources, region=region, samples=samples, field=field, info=info)
        name = unique_names()
        _import_beside()
        for group in of_size(sift(blocks, filters, losses), block):
            yield _anndata(group, names, name, field, info)
    report(first_of(path), losses)


def _import_beside() -> None:
    """Import AnnData, which takes a second, while the first blocks are read."""
    threading.Thread(target=import_module, args=("anndata",), daemon=True).start()


def _anndata(
    blocks: list[Block],
    samples: tuple[str, ...],
    names: Callable[[Any], list[str]],
    field: Field,
    info: Sequence[str],
) -> AnnData:
    """The blocks as one AnnData, (samples, alleles)."""
    import pandas as pd
    from anndata import AnnData

    whole = joined(blocks, len(samples), field, info)
    variants = pd.DataFrame(whole.variants, copy=False)
    variants.index = pd.Index(names(whole.variants), dtype=object)
    obs = pd.DataFrame(index=pd.Index(samples, dtype=object))
    return AnnData(whole.dosage.T, obs=obs, var=variants)
