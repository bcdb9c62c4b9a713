"""One self-contained page on a finished result folder."""

from __future__ import annotations

import base64
import io
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import matplotlib
from jinja2 import Environment, StrictUndefined

from genodl.errors import InputError
from genodl.report import figures, tables
from genodl.report.agreement import agreement
from genodl.report.association import association
from genodl.report.drawing import Drawing
from genodl.report.files import number
from genodl.report.result import Result, read_result
from genodl.report.summary import (
    found_loci,
    percent,
    run_warnings,
    sentence,
    shorten,
    totals,
    warnings_of,
    whole,
)

TEMPLATE = "report.html.jinja"
MOST_PICTURED = 8
MOST_OVERVIEW = 60
TOP_ROWS, FEW_ROWS = 50, 10
DPI = 130
LARGEST_VECTOR = 90_000


@dataclass(frozen=True)
class Picture:
    """A figure ready for the page: where it is inlined from, and its words."""

    source: str
    alt: str
    caption: str
    wide: bool


@dataclass(frozen=True)
class Section:
    """What the page says of one phenotype."""

    anchor: str
    phenotype: str
    sentence: str
    warnings: list[str]
    pictures: list[Picture]
    tables: list[tables.Table]
    n_found: int


def render(directory: Path) -> Path:
    """Draw the figures of a finished result folder and write its page.

    Every figure is drawn before the first file is replaced.

    Parameters
    ----------
    directory : folder with markers.tsv, loci.tsv, performance.json, calibration.json, run.json,
        and where written genes.tsv, pathways.tsv, interactions.tsv, predictions.tsv

    Returns
    -------
    path of report.html; `figures/` beside it holds each figure as PNG, line drawings as SVG too

    Raises
    ------
    InputError : a file is missing or damaged, or the folder cannot be written
    """
    result = read_result(directory)
    files: dict[str, bytes] = {}
    order = _by_evidence(result)
    pictured = set(order[:MOST_PICTURED])
    overview = [_picture(_overview(result, order), "overview", files)] if len(order) > 1 else []
    sections = [
        _section(result, index, name, name in pictured, files)
        for index, name in enumerate(result.phenotypes, start=1)
    ]
    page = _page(result, sections, overview)
    return _write(result.directory, files, page)


def _by_evidence(result: Result) -> list[str]:
    """Phenotypes by the q-value, then the p-value, of their best locus."""

    def strength(phenotype: str) -> tuple[float, float]:
        loci = result.of(phenotype)[1].head(1)
        return tuple(loci[["q_value", "p_value"]].to_numpy()[0]) if len(loci) else (2.0, 2.0)

    return sorted(result.phenotypes, key=strength)


def _overview(result: Result, order: list[str]) -> Drawing:
    """One line a phenotype, the strongest first."""
    rows = []
    for phenotype in order[:MOST_OVERVIEW]:
        best = result.of(phenotype)[1].head(1)
        rows.append(
            {
                "phenotype": phenotype,
                "lead": best["lead_marker"].iloc[0] if len(best) else "",
                "q_value": best["q_value"].iloc[0] if len(best) else 1.0,
                "performance": result.performance[phenotype],
                "inflation": result.calibration[phenotype].get("lambda"),
            }
        )
    return figures.overview(rows, fdr=result.fdr)


def _section(
    result: Result, index: int, phenotype: str, pictured: bool, files: dict[str, bytes]
) -> Section:
    """One phenotype: what is said, drawn and tabled."""
    markers, loci = result.of(phenotype)
    stem = f"{index:03d}_{re.sub(r'[^A-Za-z0-9._-]+', '_', phenotype)[:60]}"
    most = TOP_ROWS if pictured else FEW_ROWS
    kind = str(result.performance[phenotype].get("kind"))
    pictures = (
        [
            _picture(drawing, f"{stem}_{subject}", files)
            for subject, drawing in _drawings(result, phenotype)
        ]
        if pictured
        else []
    )
    extras = [
        tables.extra_table(f"Top {name}", _of(frame, phenotype), most=most)
        for name, frame in result.extras.items()
        if "phenotype" in frame and len(_of(frame, phenotype))
    ]
    top = [
        tables.loci_table(loci, fdr=result.fdr, most=most),
        tables.markers_table(markers, fdr=result.fdr, most=most, kind=kind),
    ]
    return Section(
        anchor=f"phenotype-{index}",
        phenotype=phenotype,
        sentence=sentence(result, phenotype),
        warnings=warnings_of(result, phenotype),
        pictures=pictures,
        tables=[top[0], *extras, top[1]],
        n_found=len(found_loci(result, phenotype)),
    )


def _drawings(result: Result, phenotype: str) -> Iterator[tuple[str, Drawing]]:
    """The figures of a phenotype, one after the other."""
    markers, loci = result.of(phenotype)
    entry = result.performance[phenotype]
    inflation = number(result.calibration[phenotype].get("lambda"))
    yield "association", association(markers, loci, fdr=result.fdr)
    yield (
        "quantiles",
        figures.quantiles(markers["p_value"].to_numpy(), result.self_check, inflation=inflation),
    )
    yield "performance", figures.performance(entry)
    halves = entry.get("rank_stability")
    yield "stability", figures.stability(loci, markers, fdr=result.fdr, halves=halves)
    if result.predictions is not None:
        predictions = _of(result.predictions, phenotype)
        yield "predictions", agreement(predictions, kind=str(entry.get("kind")))


def _of(frame: Any, phenotype: str) -> Any:
    return frame[frame["phenotype"] == phenotype]


def _picture(drawing: Drawing, stem: str, files: dict[str, bytes]) -> Picture:
    """Save a figure's bytes under `files`, and inline the sharper form where it is small."""
    files[f"{stem}.png"] = png = _bytes(drawing, "png")
    kind, data = "png", png
    if drawing.vector:
        vector = _bytes(drawing, "svg")
        if len(vector) <= LARGEST_VECTOR:
            files[f"{stem}.svg"] = vector
            kind, data = "svg+xml", vector
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    wide = drawing.figure.get_figwidth() > 6
    return Picture(source, drawing.alt, drawing.caption, wide)


def _bytes(drawing: Drawing, kind: str) -> bytes:
    """A figure as a file, the same bytes for the same input."""
    buffer = io.BytesIO()
    metadata = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
    with matplotlib.rc_context({"svg.hashsalt": "genodl"}), warnings.catch_warnings():
        # names of markers may hold characters the font lacks: a box is drawn in their place
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        drawing.figure.savefig(buffer, format=kind, dpi=DPI, metadata=metadata)
    return buffer.getvalue()


def _page(result: Result, sections: list[Section], overview: list[Picture]) -> str:
    """The page as text."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = resources.files("genodl.report").joinpath(TEMPLATE).read_text(encoding="utf-8")
    run = result.run
    return environment.from_string(template).render(
        title=_title(result),
        facts=_facts(result),
        fdr=percent(result.fdr),
        sections=sections,
        overview=overview,
        unpictured=max(len(sections) - MOST_PICTURED, 0),
        most_pictured=MOST_PICTURED,
        most_overview=MOST_OVERVIEW,
        most_listed=MOST_PICTURED,
        totals=totals(result),
        run_warnings=run_warnings(result),
        shared=[
            tables.extra_table(f"Top {name}", frame, most=TOP_ROWS)
            for name, frame in result.extras.items()
            if "phenotype" not in frame
        ],
        performance=tables.performance_table(result),
        calibration=tables.calibration_table(result),
        self_check=None
        if result.self_check is None
        else tables.self_check_table(result.self_check),
        losses=tables.losses_table(run.get("losses") or []),
        provenance=[
            tables.inputs_table(run.get("inputs") or []),
            tables.settings_table("Configuration", run.get("config") or {}),
            tables.settings_table("Versions", run.get("versions") or {}),
        ],
        version=str(run.get("genodl", "")),
    )


def _title(result: Result) -> str:
    """What the page is about, in one line."""
    names = result.phenotypes
    if len(names) > 3:
        return f"Genetic markers of {len(names)} phenotypes"
    return f"Genetic markers of {', '.join(shorten(name) for name in names)}"


def _facts(result: Result) -> list[tuple[str, str]]:
    """What was run, as short pairs of a name and a value."""
    run = result.run
    config = run.get("config") or {}
    markers = run.get("markers") or {}
    pairs = [
        ("samples", whole(run.get("samples"))),
        *((f"markers: {modality}", whole(count)) for modality, count in markers.items()),
        ("model", _model_name(config.get("model"))),
        ("folds × members", f"{whole(run.get('folds'))} × {whole(run.get('members'))}"),
        ("seed", str(run.get("seed", "–"))),
        ("device", str(run.get("device", "–"))),
        ("created", str(run.get("created", "–"))),
    ]
    return [(label, value) for label, value in pairs if value not in ("–", "")]


def _model_name(model: object) -> str:
    """The model's name, whether the configuration holds it alone or with its settings."""
    return str((model.get("name") if isinstance(model, dict) else model) or "–")


def _write(directory: Path, files: dict[str, bytes], page: str) -> Path:
    """Put every file in its place whole; a reader never sees half of one."""
    target = directory / "report.html"
    try:
        (directory / "figures").mkdir(exist_ok=True)
        for name, data in files.items():
            _replace(directory / "figures" / name, data)
        _replace(target, page.encode())
    except OSError as error:
        raise InputError(
            f"cannot be written: {error.strerror}",
            where=str(directory),
            mend="give write access to the folder, and room on its disk",
        ) from error
    return target


def _replace(path: Path, data: bytes) -> None:
    """Write beside, then rename."""
    beside = path.with_name(f".{path.name}.part")
    beside.write_bytes(data)
    os.replace(beside, path)
