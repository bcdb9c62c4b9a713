"""Variants in any AnnData file whose X and var are as `read_variants` returns them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from anndata import AnnData, read_h5ad, read_zarr

from genodl.errors import InputError
from genodl.io.chunks import check_field, check_info, kept
from genodl.io.source import (
    WRITTEN,
    Block,
    Request,
    Source,
    check_samples,
    counted,
    taken,
    unknown_contig,
)


def open_matrix(path: Path) -> Source:
    """An AnnData file whose X and var are as `read_variants` returns them."""
    whole = _read_anndata(path)
    variants = {c: whole.var[c].to_numpy() for c in whole.var if isinstance(c, str)}
    contigs = tuple(dict.fromkeys(str(c) for c in variants["contig"]))
    held = "GT" if whole.X.dtype == np.int8 else "DS"

    def blocks(request: Request) -> Iterator[Block]:
        check_field(path, held, request.field)
        check_info(path, tuple(variants), request.info)
        for region in request.regions or ():
            if region.contig not in contigs:
                raise unknown_contig(path, region.contig, contigs)
        keep = kept(variants, request.regions)
        rows = np.arange(whole.n_vars) if keep is None else keep
        wanted = {c: variants[c] for c in (*WRITTEN, *request.info)}
        yield counted(taken(wanted, rows), np.asarray(whole.X).T[rows], request.columns)

    return Source(path, check_samples(path, [str(s) for s in whole.obs_names]), contigs, blocks)


def _read_anndata(path: Path) -> AnnData:
    """The whole file, refused when it is no AnnData of variants."""
    try:
        whole = read_h5ad(path) if path.suffix.lower() == ".h5ad" else read_zarr(path)
    except Exception as fault:
        raise InputError(
            f"not an AnnData file ({type(fault).__name__})",
            where=str(path),
            mend="write it with genodl ingest",
        ) from None
    absent = [c for c in WRITTEN[:4] if c not in whole.var]
    if absent:
        raise InputError(
            f"no variants: var has no column {', '.join(absent)}",
            where=str(path),
            mend="write it with genodl ingest, or read it as expression or features",
        )
    for name, default in (("id", "."), ("filter", "."), ("qual", np.nan), ("ploidy", 2)):
        if name not in whole.var:
            whole.var[name] = default
    if not isinstance(whole.X, np.ndarray) or whole.X.dtype not in (np.int8, np.float32):
        raise InputError(
            "X is neither int8 (ALT dosage) nor float32 (imputed dosage), dense",
            where=str(path),
            mend="write it with genodl ingest",
        )
    return whole
