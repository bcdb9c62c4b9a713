"""Which values of a modality are known, and which samples it holds at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from genodl.values import MISSING

if TYPE_CHECKING:
    from anndata import AnnData

BLOCK = 4096
VARIANTS = "variants"


def blocks(modality: AnnData) -> Iterator[np.ndarray]:
    """Dense blocks of markers of a modality, (samples, block)."""
    for start in range(0, modality.n_vars, BLOCK):
        yield _dense(modality.X[:, start : start + BLOCK])


def is_missing(block: np.ndarray, *, variants: bool) -> np.ndarray:
    """bool, where a value is missing: nan; in integer dosages of variants, `MISSING`."""
    if block.dtype.kind == "f":
        return np.isnan(block)
    return block == MISSING if variants else np.zeros(block.shape, dtype=bool)


def as_float(modality: AnnData, columns: slice | np.ndarray, *, variants: bool) -> np.ndarray:
    """Columns of a modality, float32, (samples, columns), nan = missing.

    -1 is a missing genotype, and a value like any other (a deletion) outside the variants.
    """
    values = _dense(modality.X[:, columns])
    if variants and values.dtype.kind in "iu":
        called = np.where(values == MISSING, np.float32(np.nan), values)
        return called.astype(np.float32, copy=False)
    return values.astype(np.float32)


def wholly_missing(modality: AnnData, *, variants: bool) -> np.ndarray:
    """bool, (samples,), without one known value; none where there is no marker.

    Later blocks are read for the samples alone that earlier ones left open.
    """
    rows = np.arange(modality.n_obs if modality.n_vars else 0)
    for start in range(0, modality.n_vars, BLOCK):
        columns = slice(start, start + BLOCK)
        part = modality.X[:, columns] if len(rows) == modality.n_obs else modality.X[rows, columns]
        rows = rows[is_missing(_dense(part), variants=variants).all(axis=1)]
        if not len(rows):
            break
    return np.isin(np.arange(modality.n_obs), rows)


def _dense(block: Any) -> np.ndarray:
    """A block as an array."""
    return block.toarray() if hasattr(block, "toarray") else np.asarray(block)
