"""The files of a finished result folder, read and checked.

A report needs nothing else: `genodl report DIR` renders the same page again from these files.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genodl.errors import InputError

MODELS = ("deep", "linear", "covariates")
MARKER_TEXT = ("phenotype", "marker", "modality", "contig", "locus")
MARKER_NUMBERS = (
    *("rank", "pos", "score", "effect", "p_value", "q_value", "stability", "marginal_p"),
)
LOCUS_TEXT = ("phenotype", "locus", "contig", "lead_marker")
LOCUS_NUMBERS = ("rank", "start", "end", "n_markers", "p_value", "q_value")
PREDICTION_TEXT = ("phenotype", "sample")
PREDICTION_NUMBERS = ("observed", "covariates", "linear", "deep")
SHARES = ("p_value", "q_value", "marginal_p", "stability")
NO_NUMBER = ["", "nan", "NaN", "NA", "None"]
RERUN = "run genodl discover again into this folder"
FDR = 0.1


@dataclass(frozen=True, eq=False)
class Result:
    """What a discovery run left in its folder.

    Attributes
    ----------
    directory : the folder
    phenotypes : names in the order of performance.json
    markers : DataFrame, one row a phenotype and tested marker, columns `MARKER_TEXT` and
        `MARKER_NUMBERS`, by rank within a phenotype
    loci : DataFrame, one row a phenotype and tested locus, likewise
    extras : name -> DataFrame of text, for genes, pathways and interactions where they exist
    predictions : DataFrame, out-of-fold predictions of each sample, None where not written
    performance, calibration : phenotype -> what the JSON file holds
    self_check : the permuted phenotypes' outcome, None where not run
    run : provenance
    fdr : the false discovery rate below which a locus counts as found
    """

    directory: Path
    phenotypes: tuple[str, ...]
    markers: pd.DataFrame
    loci: pd.DataFrame
    extras: dict[str, pd.DataFrame]
    predictions: pd.DataFrame | None
    performance: dict[str, Any]
    calibration: dict[str, Any]
    self_check: dict[str, Any] | None
    run: dict[str, Any]
    fdr: float

    def of(self, phenotype: str) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Markers and loci of one phenotype, best first."""
        return _rows_of(self.markers, phenotype), _rows_of(self.loci, phenotype)


def read_result(directory: Path, *, markers: bool = True) -> Result:
    """Read and check a finished result folder.

    Parameters
    ----------
    directory : folder written by `genodl discover`
    markers : False leaves markers, predictions and extras empty, which a summary does not need

    Raises
    ------
    InputError : a file is missing, damaged, or does not agree with the others
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise InputError(
            "no such result folder",
            where=str(directory),
            mend="name a folder that genodl discover has written",
        )
    performance = _read_performance(directory / "performance.json")
    calibration = read_json(directory / "calibration.json")
    run = read_json(directory / "run.json")
    loci = read_table(directory / "loci.tsv", LOCUS_TEXT, LOCUS_NUMBERS)
    found = (
        read_table(directory / "markers.tsv", MARKER_TEXT, MARKER_NUMBERS)
        if markers
        else pd.DataFrame(columns=[*MARKER_TEXT, *MARKER_NUMBERS])
    )
    self_check = calibration.pop("self_check", None)
    _check_phenotypes(directory, performance, calibration, loci, found)
    return Result(
        directory=directory,
        phenotypes=tuple(performance),
        markers=found,
        loci=loci,
        extras=_read_extras(directory) if markers else {},
        predictions=_read_predictions(directory) if markers else None,
        performance=performance,
        calibration=calibration,
        self_check=self_check,
        run=run,
        fdr=_false_discovery_rate(run),
    )


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
    header = _header(path)
    _check_columns(path, header, [*text, *numbers])
    wanted = [*text, *numbers, *(c for c in ("modality", "id") if c in header and c not in text)]
    repeats = {"phenotype", "modality", "contig"}
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
    except pd.errors.ParserError as error:
        what = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        raise InputError(f"damaged: {what}", where=str(path), mend=RERUN) from error
    except ValueError as error:
        raise _first_bad_number(path, numbers) from error
    _check_numbers(path, frame, numbers)
    return frame.sort_values("rank", kind="stable") if "rank" in frame else frame


def _header(path: Path) -> list[str]:
    """Column names of a table; InputError where the file is missing, empty or cut short."""
    try:
        with path.open("rb") as file:
            line = file.readline()
            file.seek(-1, 2) if line else None
            whole = file.read(1) == b"\n" if line else False
    except FileNotFoundError:
        raise _missing(path) from None
    if not whole:
        raise InputError("the last line is cut short", where=str(path), mend=RERUN)
    return line.decode("utf-8", errors="replace").rstrip("\r\n").split("\t")


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


def _read_performance(path: Path) -> dict[str, Any]:
    """performance.json, with value, low and high of each model present and numeric or null."""
    performance = read_json(path)
    for phenotype, entry in performance.items():
        for model in MODELS:
            found = entry.get(model) if isinstance(entry, dict) else None
            if not isinstance(found, dict) or not {"value", "low", "high"} <= set(found):
                what = f"phenotype {phenotype!r} has no {model} with value, low and high"
                raise InputError(what, where=str(path), mend=RERUN)
            entry[model] = {k: np.nan if v is None else float(v) for k, v in found.items()}
    if not performance:
        raise InputError("no phenotype", where=str(path), mend=RERUN)
    return performance


def _read_predictions(directory: Path) -> pd.DataFrame | None:
    """predictions.tsv where it was written."""
    path = directory / "predictions.tsv"
    return read_table(path, PREDICTION_TEXT, PREDICTION_NUMBERS) if path.exists() else None


def _read_extras(directory: Path) -> dict[str, pd.DataFrame]:
    """The optional tables, as text, in the order of the report."""
    found = {}
    for name in ("genes", "pathways", "interactions"):
        path = directory / f"{name}.tsv"
        if path.exists():
            _header(path)
            found[name] = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    return found


def _check_phenotypes(
    directory: Path,
    performance: dict[str, Any],
    calibration: dict[str, Any],
    loci: pd.DataFrame,
    markers: pd.DataFrame,
) -> None:
    """InputError where the files speak of different phenotypes."""
    known = set(performance)
    for file, names in (
        ("calibration.json", set(calibration)),
        ("loci.tsv", set(loci["phenotype"].unique())),
        ("markers.tsv", set(markers["phenotype"].unique())),
    ):
        if stranger := sorted(map(str, names - known)):
            what = f"phenotype {stranger[0]!r} is not in performance.json"
            raise InputError(what, where=str(directory / file), mend=RERUN)
    if silent := sorted(known - set(calibration)):
        what = f"phenotype {silent[0]!r} of performance.json is absent"
        raise InputError(what, where=str(directory / "calibration.json"), mend=RERUN)


def _false_discovery_rate(run: dict[str, Any]) -> float:
    """The `fdr` of the resolved configuration, at whatever depth it stands."""
    nested = [run.get("config", {})]
    while nested:
        found = nested.pop(0)
        if isinstance(found, dict):
            if isinstance(found.get("fdr"), int | float):
                return float(found["fdr"])
            nested.extend(found.values())
    return FDR


def _rows_of(frame: pd.DataFrame, phenotype: str) -> pd.DataFrame:
    return frame[frame["phenotype"] == phenotype].reset_index(drop=True)


def _missing(path: Path) -> InputError:
    return InputError("no such file", where=str(path), mend=RERUN)
