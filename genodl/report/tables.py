"""The tables of a report: which columns, in which words, with how many digits."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from genodl.report.files import number
from genodl.report.result import MODELS, Result
from genodl.report.summary import beyond, decimal, metric, percent, probability, shorten, whole

LONGEST = 80


@dataclass(frozen=True)
class Column:
    """A column of a shown table: its heading, and whether its cells are numbers."""

    label: str
    numeric: bool = False


@dataclass(frozen=True)
class Table:
    """Text cells under headings.

    Attributes
    ----------
    title : what stands above
    columns : headings
    rows : one tuple of cells a row
    found : per row, whether it is a discovery, or () where that has no meaning
    note : what stands below
    """

    title: str
    columns: tuple[Column, ...]
    rows: Sequence[tuple[str, ...]]
    found: tuple[bool, ...] = ()
    note: str = ""


def name(value: object) -> str:
    """A marker, locus or file name as it stands, cut in the middle where very long."""
    return shorten(value, LONGEST) if str(value) else "–"


FORMATS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "rank": ("rank", whole),
    "n_markers": ("markers", whole),
    "n_credible": ("credible set", whole),
    "credible": ("credible", decimal),
    "start": ("start", whole),
    "end": ("end", whole),
    "pos": ("position", whole),
    "pos_a": ("position A", whole),
    "pos_b": ("position B", whole),
    "pos_c": ("position C", whole),
    "folds": ("folds", whole),
    "score": ("score (z)", decimal),
    "effect": ("effect", lambda v: decimal(v, 3)),
    "p_value": ("p", probability),
    "p": ("p", probability),
    "q_value": ("q", probability),
    "q": ("q", probability),
    "marginal_p": ("one-marker p", probability),
    "held_out_p": ("held-out p", probability),
    "p_unselected": ("p, not allowing for selection", probability),
    "stability": ("stability", decimal),
}
WORDS = {
    "lead_marker": "leading marker",
    "effect_class": "of class",
    "marker_a": "marker A",
    "marker_b": "marker B",
    "marker_c": "marker C",
}
UNITS = {
    "quantitative": "in the phenotype's unit",
    "binary": "in log odds",
    "multiclass": "in log odds of the class against all others",
    "survival": "in log hazard",
}
LOCUS_COLUMNS = (
    *("rank", "lead_marker", "modality", "contig", "start", "end"),
    *("n_markers", "n_credible", "p_value", "q_value"),
)
MARKER_COLUMNS = (
    *("rank", "marker", "modality", "contig", "pos", "dbSNP", "score", "effect", "effect_class"),
    *("p_value", "q_value", "credible", "stability", "marginal_p"),
)


def loci_table(loci: pd.DataFrame, *, fdr: float, most: int) -> Table:
    """The top loci of a phenotype; found ones are marked."""
    return _ranking("Top loci", loci, LOCUS_COLUMNS, fdr, most)


def markers_table(
    markers: pd.DataFrame, *, fdr: float, most: int, kind: str = "quantitative"
) -> Table:
    """The top markers of a phenotype, with the dbSNP number where one is known."""
    top = markers.head(most).copy()
    source = top["id"] if "id" in top else top["marker"]
    numbers = source.astype(str).str.extract(r"\b(rs\d+)\b", flags=re.IGNORECASE)[0]
    if numbers.notna().any():
        top["dbSNP"] = numbers.fillna("")
    shown = _ranking("Top markers", top, MARKER_COLUMNS, fdr, most, total=len(markers))
    unit = f"Effects are {UNITS.get(kind, UNITS['quantitative'])} a unit of the marker."
    return replace(shown, note=f"{shown.note} {unit}".strip())


def _ranking(
    title: str,
    frame: pd.DataFrame,
    wanted: tuple[str, ...],
    fdr: float,
    most: int,
    total: int | None = None,
) -> Table:
    """The first rows of a ranking, without the columns that would stay empty."""
    top = frame.head(most)
    total = len(frame) if total is None else total
    kept = [c for c in wanted if c in top and not _blank(top[c])]
    note = f"{len(top):,} of {total:,} shown." if total > len(top) else ""
    found = tuple(bool(q < fdr) for q in top["q_value"])
    return _table(title, top, kept, found=found, note=note)


def extra_table(title: str, frame: pd.DataFrame, *, most: int) -> Table:
    """The first rows of an optional table, all its columns but the phenotype and empty ones."""
    kept = [c for c in frame.columns if c != "phenotype" and not (len(frame) and _blank(frame[c]))]
    note = f"{most:,} of {len(frame):,} shown." if len(frame) > most else ""
    return _table(title, frame.head(most), kept, note=note)


def _table(
    title: str,
    frame: pd.DataFrame,
    kept: list[str],
    *,
    found: tuple[bool, ...] = (),
    note: str = "",
) -> Table:
    """Cells in their column's format."""
    columns, cells = [], []
    for column in kept:
        label, show = FORMATS.get(column, (WORDS.get(column, column.replace("_", " ")), name))
        columns.append(Column(label, numeric=column in FORMATS))
        cells.append([show(value) for value in frame[column]])
    return Table(title, tuple(columns), list(zip(*cells, strict=True)), found, note)


def _blank(values: pd.Series) -> bool:
    """Whether no cell of a column holds anything."""
    return bool((values.isna() | (values.astype(str) == "")).all())


def performance_table(result: Result) -> Table:
    """Out-of-fold metric of the three models, and what adds to the linear one."""
    rows = []
    for phenotype, entry in result.performance.items():
        shown = [_with_interval(entry[model]) for model in reversed(MODELS)]
        adds = beyond(entry).replace("nothing added", "nothing")
        gate = decimal(entry.get("gate"))
        rows.append((name(phenotype), metric(entry), whole(entry.get("n")), *shown, adds, gate))
    heads = ("covariates alone", "linear", "full model")
    columns = (
        Column("phenotype"),
        Column("metric"),
        Column("n", numeric=True),
        *(Column(h, numeric=True) for h in heads),
        Column("added to the linear"),
        Column("gate", numeric=True),
    )
    note = "Out of fold, with interval. The full model has interactions and networks beside the "
    note += "linear one. The gate is the weight the network earned, from 0 to 1."
    return Table("Out-of-fold performance", columns, rows, note=note)


def _with_interval(found: dict[str, float]) -> str:
    """A value and its interval, such as .31 [.22, .40]."""
    value, low, high = (decimal(found[k]) for k in ("value", "low", "high"))
    return value if low == high == "–" else f"{value} [{low}, {high}]"


def calibration_table(result: Result) -> Table:
    """How many markers and loci were tested, their inflation, and the discoveries."""
    rows = [
        (
            name(phenotype),
            whole(entry.get("n_tested")),
            whole(entry.get("n_loci")),
            decimal(entry.get("lambda")),
            whole(entry.get("n_discoveries")),
        )
        for phenotype, entry in result.calibration.items()
    ]
    heads = ("markers tested", "loci", "λ", f"loci with q < {result.fdr:g}")
    columns = (Column("phenotype"), *(Column(h, numeric=True) for h in heads))
    return Table("Calibration", columns, rows)


def self_check_table(check: dict[str, Any]) -> Table:
    """The share of p-values below each level when the phenotype is permuted."""
    below = check.get("below") or {}
    rows = [
        (f"p below {level}", percent(number(level), 2), percent(share, 2))
        for level, share in below.items()
    ]
    runs = f"{whole(check.get('runs_with_discovery'))} of {whole(check.get('replicates'))}"
    rows.append(("permuted runs with a discovery", "–", runs))
    columns = (Column(""), Column("expected", numeric=True), Column("observed", numeric=True))
    words = f"{whole(check.get('n_p_values'))} p-values. {check.get('statement', '')}"
    return Table("Self-check on permuted phenotypes", columns, rows, note=words.strip())


def losses_table(losses: Iterable[dict[str, Any]]) -> Table:
    """What was left out, how many, and why."""
    rows = [
        (str(x.get("what", "")), str(x.get("modality") or "–"), whole(x.get("count")), _reason(x))
        for x in losses
    ]
    heads = (
        Column("what"),
        Column("where"),
        Column("left out", numeric=True),
        Column("reason"),
    )
    return Table("Samples and markers left out", heads, rows, note="" if rows else "None.")


def _reason(loss: dict[str, Any]) -> str:
    return str(loss.get("reason") or "–")


def inputs_table(inputs: Iterable[dict[str, Any]]) -> Table:
    """The input files with their size and digest."""
    rows = [
        (name(x.get("path", "")), _size(x.get("bytes")), str(x.get("sha256", "–"))) for x in inputs
    ]
    columns = (Column("file"), Column("size", numeric=True), Column("SHA-256"))
    return Table("Inputs", columns, rows)


def settings_table(title: str, values: dict[str, Any]) -> Table:
    """Names and values, nested names joined by a dot."""
    rows = [(key, shorten(value, 400)) for key, value in _flat(values)]
    return Table(title, (Column("name"), Column("value")), rows)


def _flat(values: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Leaves of nested settings in the order they stand."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            yield f"{prefix}{key}", ", ".join(map(str, value)) or "–"
        else:
            yield f"{prefix}{key}", "–" if value is None else str(value)


def _size(size: object) -> str:
    """Bytes in the unit that leaves one to three digits."""
    found = number(size)
    if not math.isfinite(found):
        return "–"
    for unit in ("B", "kB", "MB", "GB"):
        if found < 1000:
            return f"{found:.0f} {unit}" if unit == "B" else f"{found:.1f} {unit}"
        found /= 1000
    return f"{found:.1f} TB"
