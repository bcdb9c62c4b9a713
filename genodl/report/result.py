"""The files of a finished result folder, read and checked.

A report needs nothing else: `genodl report DIR` renders the same page again from these files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from genodl.errors import InputError
from genodl.report.files import RERUN, number, read_header, read_json, read_table

MODELS = ("deep", "linear", "covariates")
MARKER_TEXT = ("phenotype", "marker", "modality", "contig", "locus")
MARKER_NUMBERS = (
    *("rank", "pos", "score", "effect"),
    *("p_value", "q_value", "stability", "marginal_p"),
)
LOCUS_TEXT = ("phenotype", "locus", "contig", "lead_marker")
LOCUS_NUMBERS = ("rank", "start", "end", "n_markers", "p_value", "q_value")
PREDICTION_TEXT = ("phenotype", "sample")
PREDICTION_NUMBERS = ("observed", "covariates", "linear", "deep")
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
    self_check = calibration.pop("self_check", None) or {}
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
        self_check=self_check if self_check.get("replicates") else None,
        run=run,
        fdr=_false_discovery_rate(run),
    )


def _read_performance(path: Path) -> dict[str, Any]:
    """performance.json, with value, low and high of each model present and numeric or null."""
    performance = read_json(path)
    for phenotype, entry in performance.items():
        for model in MODELS:
            found = entry.get(model) if isinstance(entry, dict) else None
            if not isinstance(found, dict) or not {"value", "low", "high"} <= set(found):
                what = f"phenotype {phenotype!r} has no {model} with value, low and high"
                raise InputError(what, where=str(path), mend=RERUN)
            entry[model] = {k: number(found[k]) for k in ("value", "low", "high")}
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
            read_header(path)
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
