"""Covariates of new samples as the columns of an earlier design."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from genodl.cohort.normalise import numbers_of, text_of
from genodl.errors import InputError
from genodl.values import Loss


class Column(NamedTuple):
    """One column of a design.

    Attributes
    ----------
    name : in the design
    source : column of the sample table
    mean, spread : of a number, which is standardised by them; spread 0 marks an indicator
    level : of text, where the indicator is 1; None where it marks what is missing
    levels : of the text, all that were there
    """

    name: str
    source: str
    mean: float = 0.0
    spread: float = 0.0
    level: str | None = None
    levels: tuple[str, ...] = ()


def columns_of(samples: pd.DataFrame, covariates: list[str], names: list[str]) -> list[Column]:
    """How `cohort.normalise.covariates` made each column of a design.

    Parameters
    ----------
    samples : the table it was made of
    covariates : columns of the table
    names : of the columns of the design, in order
    """
    found: dict[str, Column] = {}
    for source in covariates:
        numbers = numbers_of(samples[source], where=f"covariate {source!r}")
        if numbers is None:
            levels = tuple(map(str, text_of(samples[source]).unique()))
            for level in levels:
                name = f"{source}={level}"
                found.setdefault(name, Column(name, source, level=level, levels=levels))
            continue
        mean, spread = (float(f(numbers)) for f in (np.nanmean, np.nanstd))
        found.setdefault(source, Column(source, source, mean, spread))
        missing = f"{source}:missing"
        found.setdefault(missing, Column(missing, source))
    return [found[name] for name in names]


def design_of(samples: pd.DataFrame, columns: list[Column]) -> tuple[np.ndarray, tuple[Loss, ...]]:
    """The columns of new samples, float64, (samples, columns), and what was filled in.

    A missing number is set to the mean of the earlier samples, and a level they did not have to
    their most frequent one, which has no column.

    Raises
    ------
    InputError : the table lacks a column, or has text where there were numbers
    """
    losses: dict[tuple[str, str], Loss] = {}
    design = np.zeros((len(samples), len(columns)))
    for place, column in enumerate(columns):
        if column.source not in samples:
            raise InputError(
                f"no column {column.source!r}, which is a covariate of the model",
                where="samples",
                mend="add it to the table",
            )
        given = samples[column.source]
        if column.level is not None:
            labels = text_of(given)
            design[:, place] = labels == column.level
            unknown = int((~labels.isin(column.levels)).sum())
            reason = f"unknown level of {column.source!r} taken as the most frequent one"
            losses[column.source, "level"] = Loss("samples", unknown, reason)
            continue
        numbers = numbers_of(given, where=f"covariate {column.source!r}")
        if numbers is None:
            raise InputError(
                f"{column.source!r} holds text, the model has numbers",
                where="samples",
                mend="give numbers",
            )
        missing = np.isnan(numbers)
        if column.spread == 0:
            design[:, place] = missing
        else:
            design[:, place] = np.where(missing, 0, (numbers - column.mean) / column.spread)
            reason = f"missing {column.source!r} set to the mean"
            losses[column.source, "mean"] = Loss("samples", int(missing.sum()), reason)
    return design, tuple(loss for loss in losses.values() if loss.count)
