"""Delimited text, plain or gzipped, into a DataFrame: nothing guessed, nothing filled up."""

from __future__ import annotations

import csv
import gzip
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd

from genodl.errors import InputError

GZIP_MAGIC = b"\x1f\x8b"


def read_delimited(path: str | Path, *, id_column: bool = True) -> pd.DataFrame:
    """A delimited table with a header; with `id_column` the first column is a str index.

    A header that lacks the name of the first column, as R writes it, is understood. Header names
    must be unique, rows complete, ids present.
    """
    with open_text(path) as lines:
        first = list(islice(lines, 2))
    delimiter = _delimiter(path, first)
    try:
        header, *rows = csv.reader(first, delimiter=delimiter)
    except csv.Error as fault:
        raise InputError(
            f"the first lines are no table ({fault})", where=str(path), mend="close every quote"
        ) from None
    if rows and len(rows[0]) == len(header) + 1 and rows[0][-1]:
        header = ["", *header]
    if rows and len(rows[0]) > len(header) + (not rows[0][-1]):
        raise InputError(
            f"{len(rows[0])} fields, the header has {len(header)}",
            where=f"{path}, row 2",
            mend="give every row as many fields as the header",
        )
    require_unique(pd.Index(header), where=f"{path}, header", what="column")
    table = _parse(path, header=header, delimiter=delimiter, id_column=id_column)
    if len(table) and table.iloc[:, -1].isna().any():
        _refuse_short_rows(path, delimiter=delimiter, width=len(header))
    if not id_column:
        return table
    _refuse_missing_ids(table.iloc[:, 0], where=str(path))
    return table.set_index(table.columns[0]).rename_axis(header[0] or "sample")


def require_unique(names: pd.Index, *, where: str, what: str) -> None:
    """Refuse repeated names, showing up to three."""
    if names.is_unique:
        return
    repeated = list(names[names.duplicated()].unique())
    shown = ", ".join(repr(str(n)) for n in repeated[:3])
    raise InputError(
        f"{len(repeated)} {what} name(s) occur more than once: {shown}",
        where=where,
        mend=f"give each {what} one name of its own",
    )


@contextmanager
def open_text(path: str | Path) -> Iterator[IO[str]]:
    """The text of a file, gunzipped if its first bytes say so; unreadable text is an InputError."""
    try:
        with open(path, "rb") as raw:
            compressed = raw.read(2) == GZIP_MAGIC
        opener = gzip.open if compressed else open
        with opener(path, "rt", encoding="utf-8-sig", newline="") as lines:
            yield lines
    except FileNotFoundError:
        raise InputError("no such file", where=str(path), mend="check the path") from None
    except UnicodeDecodeError:
        raise InputError("not UTF-8 text", where=str(path), mend="save as UTF-8 text") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise InputError(
            "the gzip stream is damaged or cut short", where=str(path), mend="compress it again"
        ) from None
    except OSError as fault:
        raise InputError(
            f"cannot be read ({fault.strerror or fault})", where=str(path), mend="check the path"
        ) from None


def _delimiter(path: str | Path, first: list[str]) -> str:
    """Tab or comma, by the suffix, and by the header where that finds none of it."""
    if not first or not first[0].strip():
        raise InputError("no header line", where=str(path), mend="give a table with a header")
    header = first[0]
    if "\x00" in header:
        raise InputError(
            "binary, where a text table was expected", where=str(path), mend="give .tsv or .csv"
        )
    if "\t" not in header and "," not in header and ";" in header:
        raise InputError(
            "fields are separated by semicolons",
            where=str(path),
            mend="save with tabs (.tsv) or commas (.csv)",
        )
    suffixes = [s.lower() for s in Path(path).suffixes]
    if ".csv" in suffixes:
        return "," if "," in header or "\t" not in header else "\t"
    if {".tsv", ".txt", ".tab"} & set(suffixes):
        return "\t" if "\t" in header or "," not in header else ","
    return "\t" if header.count("\t") >= header.count(",") else ","


def _parse(path: str | Path, *, header: list[str], delimiter: str, id_column: bool) -> pd.DataFrame:
    """The rows below the header, the id column as text."""
    # by number, so that an empty name (R's header) and a name such as "0" stay what they are
    numbers = range(len(header))
    with open_text(path) as lines, warnings.catch_warnings():
        try:
            # pandas only warns where it cuts a row short
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(
                lines,
                sep=delimiter,
                names=list(numbers),
                header=0,
                index_col=False,
                dtype={0: str} if id_column else None,
                low_memory=False,
            )
        except (pd.errors.ParserError, pd.errors.ParserWarning) as fault:
            reason = str(fault).removeprefix("Error tokenizing data. C error: ").strip()
            raise InputError(
                f"{len(header)} columns in the header, but {reason}",
                where=str(path),
                mend="give every row as many fields as the header",
            ) from None
    return table.set_axis(header, axis=1)


def _refuse_short_rows(path: str | Path, *, delimiter: str, width: int) -> None:
    """Refuse rows with fewer fields than the header, which pandas would fill up as missing."""
    with open_text(path) as lines:
        for number, row in enumerate(csv.reader(lines, delimiter=delimiter), start=1):
            if number > 1 and row and len(row) < width:
                raise InputError(
                    f"{len(row)} fields, the header has {width}",
                    where=f"{path}, row {number} ({row[0]!r})",
                    mend="give every row as many fields as the header",
                )


def _refuse_missing_ids(ids: pd.Series, *, where: str) -> None:
    """Refuse rows without a sample id."""
    missing = np.flatnonzero(ids.isna().to_numpy())
    if len(missing):
        raise InputError(
            f"{len(missing)} row(s) have no id in the first column",
            where=f"{where}, row {missing[0] + 2}",
            mend="the first column is the id: fill it, or remove the row",
        )
