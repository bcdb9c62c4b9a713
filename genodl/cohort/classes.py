"""Classes of a phenotype: their codes, and which hold enough samples."""

from __future__ import annotations

import numpy as np
import pandas as pd

from genodl.errors import InputError
from genodl.values import Phenotype

SMALLEST_CLASS = 5
SMALLEST_TESTED_CLASS = 20


def class_codes(column: pd.Series, numbers: np.ndarray | None, levels: list[str]) -> np.ndarray:
    """float64, (samples,), the code of each sample's class, nan = missing."""
    if numbers is not None:
        distinct = np.unique(numbers[np.isfinite(numbers)])
        codes = np.searchsorted(distinct, numbers).astype(float)
        return np.where(np.isfinite(numbers), codes, np.nan)
    code = {level: float(n) for n, level in enumerate(levels)}
    return np.array([code[str(v)] if pd.notna(v) else np.nan for v in column])


def require_full_classes(codes: np.ndarray, levels: list[str], *, where: str) -> None:
    """Refuse a class of fewer than five samples."""
    counts = np.bincount(codes[np.isfinite(codes)].astype(int), minlength=len(levels))
    if counts.min() < SMALLEST_CLASS:
        raise InputError(
            f"class {levels[counts.argmin()]!r} has {counts.min()} sample(s), fewer than "
            f"{SMALLEST_CLASS}",
            where=where,
            mend="merge it with another class, or leave its samples empty",
        )


def of_classes(
    name: str, codes: np.ndarray, levels: list[str], *, least: int, where: str
) -> Phenotype:
    """A multiclass phenotype: the classes of enough samples, and the rest."""
    counts = np.bincount(codes[np.isfinite(codes)].astype(int), minlength=len(levels))
    full = counts >= least
    if full.sum() < 2:
        raise InputError(
            f"{full.sum()} of {len(levels)} classes has {least} samples or more (class "
            f"{levels[counts.argmin()]!r} has {counts.min()})",
            where=where,
            mend="merge rare classes, or set a smaller min_class",
        )
    code = np.where(full, np.cumsum(full) - 1, full.sum()).astype(float)
    known = np.isfinite(codes)
    values = np.where(known, code[np.where(known, codes, 0).astype(int)], np.nan)
    classes = tuple(label for label, kept in zip(levels, full, strict=True) if kept)
    rare = tuple(label for label, kept in zip(levels, full, strict=True) if not kept)
    return Phenotype(name, "multiclass", values, classes, rare)
