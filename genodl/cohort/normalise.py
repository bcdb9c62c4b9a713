"""Phenotypes and covariates: columns of the sample table as numbers."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from genodl.cohort.classes import (
    SMALLEST_TESTED_CLASS,
    class_codes,
    of_classes,
    require_full_classes,
)
from genodl.errors import InputError, nearest
from genodl.values import Kind, Loss, Phenotype

SMALLEST_COHORT = 20
MOST_CLASSES = 30  # more distinct labels are free text

Asked = Literal["auto"] | Kind


def phenotype(
    samples: pd.DataFrame,
    name: str,
    *,
    kind: Asked = "auto",
    min_class: int = SMALLEST_TESTED_CLASS,
) -> Phenotype:
    """One column of the sample table as a phenotype.

    With `kind="auto"`, two distinct values make it binary, more numbers quantitative, and three to
    30 labels multiclass. Classes are coded in the order of their sorted labels; two classes are
    binary, whatever was asked. The samples of a multiclass class of fewer than `min_class` are
    known and in no class of their own.

    Parameters
    ----------
    samples : index the sample ids
    name : the column
    min_class : samples that a class of a multiclass phenotype needs for a test of its own

    Returns
    -------
    Phenotype; a missing value stays nan

    Raises
    ------
    InputError : the column is unknown, constant, has text among numbers or infinite values, does
        not fit `kind`, has fewer than 20 known values, fewer than 5 samples in a binary class or
        fewer than two multiclass classes of `min_class` samples
    """
    where = f"phenotype {name!r}"
    column = _column(samples, name, where=where)
    # classes asked for may be labels such as 1, 2 and X
    labelled = kind == "multiclass" and not pd.api.types.is_numeric_dtype(column)
    numbers = None if labelled else numbers_of(column, where=where)
    known = column.notna().to_numpy()
    if known.sum() < SMALLEST_COHORT:
        raise InputError(
            f"{known.sum()} samples have a value, fewer than {SMALLEST_COHORT}",
            where=where,
            mend="choose another phenotype, or add samples",
        )
    measured = numbers is not None and len(np.unique(numbers[np.isfinite(numbers)])) > 2
    if measured and numbers is not None and kind in ("auto", "quantitative"):
        return Phenotype(name, "quantitative", numbers)
    levels = _levels(column, numbers)
    if len(levels) == 1:
        raise InputError(
            f"constant, every sample has {levels[0]!r}",
            where=where,
            mend="choose a phenotype that varies",
        )
    numeric = numbers is not None
    chosen = _kind(kind, column, numeric=numeric, levels=levels, least=min_class, where=where)
    if chosen == "quantitative" and numbers is not None:
        return Phenotype(name, "quantitative", numbers)
    codes = class_codes(column, numbers, levels)
    if chosen == "multiclass" and len(levels) > 2:
        return of_classes(name, codes, levels, least=min_class, where=where)
    require_full_classes(codes, levels, where=where)
    return Phenotype(name, "binary", codes, tuple(levels))


def covariates(
    samples: pd.DataFrame, names: list[str]
) -> tuple[np.ndarray, list[str], tuple[Loss, ...]]:
    """Columns of the sample table as the columns of a design matrix, without an intercept.

    Numbers are standardised; a missing one is set to the mean and marked in an indicator column
    `name:missing`. Text and booleans are one-hot encoded as `name=level` against their most
    frequent level; missing text is a level of its own.

    Returns
    -------
    design : float64, (samples, columns), finite
    columns : the name of each column
    losses : what was imputed (in "samples") and each constant covariate left out ("covariates")

    Raises
    ------
    InputError : a column is unknown, has infinite values or text among numbers, or the covariates
        make more columns than half the samples
    """
    blocks: list[pd.DataFrame] = []
    losses: list[Loss] = []
    for name in names:
        where = f"covariate {name!r}"
        column = _column(samples, name, where=where)
        numbers = numbers_of(column, where=where)
        block = _one_hot(column) if numbers is None else _standardised(numbers, name=name)
        blocks.append(block)
        losses += _covariate_losses(column, block, numeric=numbers is not None)
    if not blocks:
        return np.zeros((len(samples), 0)), [], ()
    # covariates measured together are missing together: one indicator does for all
    table = pd.concat([b.reset_index(drop=True) for b in blocks], axis=1)
    indicators = [c for c in table if str(c).endswith(":missing")]
    repeated = table[indicators].T.duplicated()
    design = table.drop(columns=list(repeated.index[repeated]))
    if design.shape[1] > len(samples) / 2:
        widest = max(blocks, key=lambda b: b.shape[1])
        raise InputError(
            f"{design.shape[1]} columns for {len(samples)} samples, {widest.shape[1]} of them from "
            f"{str(widest.columns[0]).partition('=')[0]!r}",
            where="covariates",
            mend="merge rare levels, or give such a column as the group instead",
        )
    return design.to_numpy(float), [str(c) for c in design], tuple(losses)


def _column(samples: pd.DataFrame, name: str, *, where: str) -> pd.Series:
    """The named column."""
    if name not in samples:
        raise InputError(
            f"the sample table has no column named {name!r}",
            where=where,
            mend=f"the nearest are {nearest(name, samples.columns)}",
        )
    return samples[name]


def numbers_of(column: pd.Series, *, where: str) -> np.ndarray | None:
    """A column as float64, (samples,), nan = missing; None where it holds labels."""
    if pd.api.types.is_bool_dtype(column):
        return None
    known = column.notna().to_numpy()
    text = (
        column[known].map(lambda v: isinstance(v, (bool, np.bool_))).any() if known.any() else False
    )
    if text:
        return None
    numbers = pd.to_numeric(column.astype(object), errors="coerce").to_numpy(float)
    strange = np.flatnonzero(known & np.isnan(numbers))
    if len(strange) * 2 > known.sum():
        return None
    if len(strange):
        first = column.index[strange[0]]
        raise InputError(
            f"text among numbers: sample {str(first)!r} has {str(column.iloc[strange[0]])!r} "
            f"({len(strange)} such of {known.sum()})",
            where=where,
            mend="give a number with a decimal point, or leave the field empty",
        )
    infinite = np.flatnonzero(np.isinf(numbers))
    if len(infinite):
        raise InputError(
            f"infinite in {len(infinite)} sample(s), such as {str(column.index[infinite[0]])!r}",
            where=where,
            mend="give finite numbers, or leave the field empty",
        )
    return numbers


def _levels(column: pd.Series, numbers: np.ndarray | None) -> list[str]:
    """The distinct known values as sorted labels."""
    if numbers is None:
        return sorted({str(v) for v in column.dropna()})
    return [_label(v) for v in np.unique(numbers[np.isfinite(numbers)])]


def _label(value: float) -> str:
    """A number as the label of a class: 1.0 is "1"."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _kind(
    asked: str, column: pd.Series, *, numeric: bool, levels: list[str], least: int, where: str
) -> Literal["quantitative", "binary", "multiclass"]:
    """The kind of a phenotype with these values, if it fits what was asked."""
    if asked not in ("auto", "quantitative", "binary", "multiclass"):
        raise InputError(
            f"one column cannot be read as {asked!r}",
            where=where,
            mend="use quantitative, binary or multiclass, or give survival as TIME,EVENT",
        )
    if asked == "binary" and len(levels) > 2:
        raise InputError(
            f"{len(levels)} distinct values, 2 expected ({', '.join(levels[:4])}, ...)",
            where=where,
            mend="choose another kind, or code two classes",
        )
    if asked == "quantitative" and not numeric:
        raise _text_fault(column, levels, where=where)
    if asked == "auto" and not numeric and len(levels) > 2:
        counts = column.dropna().astype(str).value_counts()
        if len(levels) > MOST_CLASSES or (counts >= least).sum() < 2:
            raise _text_fault(column, levels, where=where)
        return "multiclass"
    if asked == "auto":
        return "binary" if len(levels) == 2 else "quantitative"
    return asked  # type: ignore[return-value]


def _text_fault(column: pd.Series, levels: list[str], *, where: str) -> InputError:
    """The fault of a column of labels, by an example."""
    known = column.dropna()
    rarest = known.astype(str).value_counts()
    return InputError(
        f"text where numbers belong: sample {str(known.index[0])!r} has {str(known.iloc[0])!r} "
        f"({len(levels)} distinct, {str(rarest.index[-1])!r} in {rarest.iloc[-1]} sample(s))",
        where=where,
        mend="give numbers, or a few classes of enough samples (--kind multiclass)",
    )


def _standardised(numbers: np.ndarray, *, name: str) -> pd.DataFrame:
    """A numeric covariate with mean 0 and sd 1, and its indicator of missingness."""
    missing = np.isnan(numbers)
    spread = np.nanstd(numbers) if not missing.all() else 0.0
    block = {}
    # relative, as the sd of a constant column of large numbers is rounding error
    if spread > 1e-12 * np.nanmax(np.abs(numbers), initial=0.0):
        block[name] = np.where(missing, 0.0, (numbers - np.nanmean(numbers)) / spread)
    if missing.any() and not missing.all():
        block[f"{name}:missing"] = missing.astype(float)
    return pd.DataFrame(block, index=range(len(numbers)))


def text_of(column: pd.Series) -> pd.Series:
    """The labels of a column; missing ones are a level of their own."""
    return column.astype(object).where(column.notna(), "missing").astype(str)


def _one_hot(column: pd.Series) -> pd.DataFrame:
    """Indicators of the levels of a text covariate, the most frequent level left out."""
    labels = text_of(column)
    levels = list(
        labels.value_counts(sort=False)
        .sort_index()
        .sort_values(ascending=False, kind="stable")
        .index
    )
    block = {f"{column.name}={level}": (labels == level).to_numpy(float) for level in levels[1:]}
    return pd.DataFrame(block, index=range(len(column)))


def _covariate_losses(column: pd.Series, block: pd.DataFrame, *, numeric: bool) -> list[Loss]:
    """What became of missing values, and a covariate left out as constant."""
    losses = []
    missing = int(column.isna().sum())
    if missing:
        means = "set to the mean and marked" if numeric else "taken as a level of its own"
        losses.append(Loss("samples", missing, f"missing {column.name!r} {means}"))
    if column.dropna().nunique() <= 1 and (numeric or block.empty):
        losses.append(Loss("covariates", 1, f"{column.name!r} is constant, left out"))
    return losses
