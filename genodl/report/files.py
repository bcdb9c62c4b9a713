"""Reading the JSON and tab-separated files of a result folder, with each fault named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genodl.errors import InputError

SHARES = ("p_value", "q_value", "marginal_p", "stability")
NO_NUMBER = ["", "nan", "NaN", "NA", "None"]
OPTIONAL = (
    "modality",
    "id",
    "effect_class",
    "class",
    "event",
    "credible",
    "n_credible",
)  # kept as text where a table has them
RERUN = "run genodl discover again into this folder"


def number(value: object) -> float:
    """A float of what JSON or a table holds; nan where it is none."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return np.nan


def read_json(path: Path) -> dict[str, Any]:
    """One JSON object from a file, InputError where it is missing or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _missing(path) from None
    except json.JSONDecodeError as error:
        where = f"{path}, line {error.lineno}, column {error.colno}"
        raise InputError(f"not JSON: {error.msg}", where=where, mend=RERUN) from error
    except UnicodeDecodeError as error:
        raise InputError("not UTF-8 text", where=str(path), mend=RERUN) from error
    if not isinstance(found, dict):
        what = f"holds a {type(found).__name__}, an object is expected"
        raise InputError(what, where=str(path), mend=RERUN)
    return found


def read_table(path: Path, text: tuple[str, ...], numbers: tuple[str, ...]) -> pd.DataFrame:
    """The named columns of a tab-separated file, checked, by rank within each phenotype.

    Parameters
    ----------
    path : file with a header
    text : columns read as they stand; an empty field stays ""
    numbers : columns read as float64; an empty field is nan

    Returns
    -------
    DataFrame, one row a line; a column `modality` or `id` is read too where there is one

    Raises
    ------
    InputError : missing file or column, a ragged or cut line, text where a number belongs
    """
    header = read_header(path)
    _check_columns(path, header, [*text, *numbers])
    wanted = [*text, *numbers, *(c for c in OPTIONAL if c in header and c not in text)]
    repeats = {"phenotype", "modality", "contig", "effect_class", "class"}
    try:
        frame = pd.read_csv(
            path,
            sep="\t",
            usecols=wanted,
            dtype={
                c: "float64" if c in numbers else "category" if c in repeats else "str"
                for c in wanted
            },
            keep_default_na=False,
            na_values=dict.fromkeys(numbers, NO_NUMBER),
        )
    except ValueError as error:
        raise _first_bad_number(path, numbers) from error
    _check_numbers(path, frame, numbers)
    return frame.sort_values("rank", kind="stable") if "rank" in frame else frame


def read_header(path: Path) -> list[str]:
    """Column names of a table, once every line has been seen to hold as many fields.

    Raises
    ------
    InputError : a missing or empty file, a line with too many or too few fields, a cut last line
    """
    try:
        with path.open("rb") as file:
            header = line = file.readline()
            fields = header.count(b"\t") + 1
            for place, line in enumerate(file, start=2):
                found = line.count(b"\t") + 1
                # a quoted field may hold a tab of its own
                if found != fields and b'"' not in line:
                    what = f"{found} fields, {fields} expected"
                    raise InputError(what, where=f"{path}, line {place}", mend=RERUN)
    except FileNotFoundError:
        raise _missing(path) from None
    if not line.endswith(b"\n"):
        raise InputError("the last line is cut short", where=str(path), mend=RERUN)
    return header.decode("utf-8", errors="replace").rstrip("\r\n").split("\t")


def _check_columns(path: Path, header: list[str], expected: list[str]) -> None:
    """InputError that names the columns a table lacks."""
    if absent := [c for c in expected if c not in header]:
        what = f"no column {', '.join(absent)}; the header holds {', '.join(header)}"
        raise InputError(what, where=str(path), mend=RERUN)


def _check_numbers(path: Path, frame: pd.DataFrame, numbers: tuple[str, ...]) -> None:
    """InputError at the first line without a rank, or with a share outside [0, 1]."""
    for column in numbers:
        values = frame[column].to_numpy()
        bad = np.isnan(values) if column == "rank" else np.isinf(values)
        if column in SHARES:
            bad |= (values < 0) | (values > 1)
        if bad.any():
            line = int(np.argmax(bad))
            raise InputError(
                f"{column} is {values[line]:g}",
                where=f"{path}, line {line + 2}",
                mend=RERUN,
            )


def _first_bad_number(path: Path, numbers: tuple[str, ...]) -> InputError:
    """The error for the first field that holds text where a number belongs."""
    frame = pd.read_csv(path, sep="\t", usecols=list(numbers), dtype=str, keep_default_na=False)
    for column in numbers:
        text = frame[column].where(~frame[column].isin(NO_NUMBER), "nan")
        bad = pd.to_numeric(text, errors="coerce").isna() & (text != "nan")
        if bad.any():
            line = int(np.argmax(bad.to_numpy()))
            what = f"{column} is {text.iloc[line]!r}, a number is expected"
            return InputError(what, where=f"{path}, line {line + 2}", mend=RERUN)
    return InputError("a field does not read as its column's type", where=str(path), mend=RERUN)


def _missing(path: Path) -> InputError:
    return InputError("no such file", where=str(path), mend=RERUN)
