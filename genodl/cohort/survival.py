"""Survival phenotypes: a time and whether the event was seen, two columns of the sample table."""

from __future__ import annotations

import numpy as np
import pandas as pd

from genodl.cohort.normalise import SMALLEST_COHORT
from genodl.errors import InputError, nearest
from genodl.values import Phenotype

FEWEST_EVENTS = 20  # a Cox model knows as much as its events


def survival(samples: pd.DataFrame, time: str, event: str) -> Phenotype:
    """Times to an event, right-censored where it was not seen.

    Parameters
    ----------
    samples : index the sample ids
    time : column of the follow-up, positive, in any unit
    event : column with 1 (or true) where the event ended it, 0 where it is censored

    Returns
    -------
    Phenotype, named "time,event" by its columns; missing where either column is

    Raises
    ------
    InputError : a column is unknown, a time is not positive, events are not coded 0 and 1, fewer
        than 20 samples are known or fewer than 20 events were seen
    """
    name = f"{time},{event}"
    where = f"phenotype {name!r}"
    for column in (time, event):
        if column not in samples:
            raise InputError(
                f"the sample table has no column named {column!r}",
                where=where,
                mend=f"the nearest are {nearest(column, samples.columns)}",
            )
    values = _times(samples[time], where=where)
    seen = _events(samples[event], where=where)
    known = np.isfinite(values) & np.isfinite(seen)
    for count, what, least in (
        (int(known.sum()), "samples have a time and an event", SMALLEST_COHORT),
        (int(seen[known].sum()), "events were seen", FEWEST_EVENTS),
    ):
        if count < least:
            raise InputError(
                f"{count} {what}, fewer than {least}",
                where=where,
                mend="choose another phenotype, or add samples",
            )
    values, seen = (np.where(known, v, np.nan) for v in (values, seen))
    return Phenotype(name, "survival", values, event=seen)


def _times(column: pd.Series, *, where: str) -> np.ndarray:
    """float64, (samples,), positive and finite, nan = missing."""
    numbers = pd.to_numeric(column.astype(object), errors="coerce").to_numpy(float)
    wrong = column.notna().to_numpy() & ~(np.isfinite(numbers) & (numbers > 0))
    if wrong.any():
        first = int(np.argmax(wrong))
        raise InputError(
            f"time {str(column.name)!r} is {str(column.iloc[first])!r} in sample "
            f"{str(column.index[first])!r} ({wrong.sum()} such), expected a number above 0",
            where=where,
            mend="correct it, or leave the field empty",
        )
    return numbers


def _events(column: pd.Series, *, where: str) -> np.ndarray:
    """float64, (samples,), 1 seen and 0 censored, nan = missing."""
    truths = {"True": 1.0, "False": 0.0, "TRUE": 1.0, "FALSE": 0.0, "true": 1.0, "false": 0.0}
    known = column.notna().to_numpy()
    labels = column.astype(object).map(lambda v: truths.get(str(v), v))
    numbers = pd.to_numeric(labels, errors="coerce").to_numpy(float)
    wrong = known & ~np.isin(numbers, [0.0, 1.0])
    if wrong.any():
        levels = sorted({str(v) for v in column[known]})
        raise InputError(
            f"event {str(column.name)!r} holds {', '.join(map(repr, levels[:3]))}"
            f"{', ...' if len(levels) > 3 else ''}, expected 0 and 1",
            where=where,
            mend="code 1 where the event was seen, 0 where follow-up ended before it (censored)",
        )
    return np.where(known, numbers, np.nan)
