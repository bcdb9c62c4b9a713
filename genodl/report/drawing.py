"""What all figures share: one look, and labels that do not lie on one another."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from genodl.report.summary import shorten

INK, MUTED, RULE = "#1c2733", "#5b6673", "#d5dbe1"
DARK, PALE, FOUND = "#6d8499", "#b4c1cd", "#d55e00"
BLUE, AMBER, GREY = "#0072b2", "#e69f00", "#8793a0"
SMALL, TEXT = 7.5, 8.5
LOG_P = "−log₁₀ p"
SMALLEST = 1e-300
RISES, SIDES = (5, 15, 25, 36, 47, -12), (("center", 0), ("left", 5), ("right", -5))
LEADER = {"arrowstyle": "-", "color": GREY, "lw": 0.5, "shrinkB": 2}
ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50}
LAST = {"X": 1, "Y": 2, "XY": 3, "M": 4, "MT": 4, "MITO": 4}


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure, what stands under it, and what it says to those who cannot see it."""

    figure: Figure
    caption: str
    alt: str
    vector: bool = True


def canvas(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches, that touches no global state of matplotlib."""
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def plain(axes: Axes, *, x: str, y: str = "", title: str = "") -> Axes:
    """Axes without box, with quiet ticks, and names in one size."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(RULE)
    axes.tick_params(colors=MUTED, labelsize=SMALL, length=3, color=RULE)
    axes.set_xlabel(x, fontsize=TEXT, color=INK, parse_math=False)
    axes.set_ylabel(y, fontsize=TEXT, color=INK, parse_math=False)
    if title:
        axes.set_title(
            title, fontsize=TEXT + 0.5, color=INK, loc="left", weight="bold", parse_math=False
        )
    return axes


def place(axes: Axes, x: np.ndarray, y: np.ndarray, names: Sequence[str]) -> int:
    """Label points in turn wherever a label meets neither another label nor the edge.

    Parameters
    ----------
    x, y : (labels,), data coordinates, the most important first; axes limits are final
    names : text of each label

    Returns
    -------
    how many labels found a free place
    """
    renderer = axes.figure.canvas.get_renderer()  # type: ignore[attr-defined]
    points = axes.transData.transform(np.column_stack([x, y]))
    taken = [Bbox.from_bounds(px - 4, py - 4, 8, 8) for px, py in points]
    drawn = 0
    for order, name in enumerate(names):
        others = taken[:order] + taken[order + 1 :]
        box = _free(axes, shorten(name, 26), (float(x[order]), float(y[order])), others, renderer)
        if box is not None:
            taken.append(box)
            drawn += 1
    return drawn


def _free(
    axes: Axes, name: str, at: tuple[float, float], others: list[Bbox], renderer: Any
) -> Bbox | None:
    """Draw one label at its first free place; its box, or None where there is none."""
    edge = axes.get_window_extent(renderer)
    for rise, (align, shift) in product(RISES, SIDES):
        label = axes.annotate(
            name,
            at,
            xytext=(shift, rise),
            textcoords="offset points",
            ha=align,
            fontsize=SMALL,
            color=INK,
            parse_math=False,
            arrowprops=LEADER if abs(rise) > 12 else None,
        )
        box = label.get_window_extent(renderer).padded(1.5)
        across = edge.x0 <= box.x0 and box.x1 <= edge.x1 + 2
        inside = across and edge.y0 <= box.y0 and box.y1 <= edge.y1 + 2
        if inside and not any(box.overlaps(other) for other in others):
            return box
        label.remove()
    return None


def natural_order(contigs: Sequence[str]) -> list[str]:
    """Contig names as people order them: 2 before 10, X, Y and MT last, IV before IX."""
    bare = {c: re.sub(r"^(chromosome|chrom|chr)[_.]?", "", c, flags=re.I) for c in contigs}
    roman = bool({"II", "III", "IV"} & {b.upper() for b in bare.values()})
    return sorted(bare, key=lambda c: _place_of(bare[c].upper(), roman=roman))


def _place_of(name: str, *, roman: bool) -> tuple[int, float, list[tuple[int, int | str]]]:
    """Sort key of one contig name without its prefix."""
    if name.isdigit():
        return 0, int(name), []
    if roman and re.fullmatch(r"[IVXL]+", name):
        return 0, _roman(name), []
    if name in LAST:
        return 1, LAST[name], []
    parts = [(0, int(p)) if p.isdigit() else (1, p) for p in re.findall(r"\d+|\D+", name)]
    return 2, 0, parts


def _roman(name: str) -> int:
    """The value of a Roman numeral."""
    values = [ROMAN[c] for c in name]
    after = [*values[1:], 0]
    return sum(-v if v < n else v for v, n in zip(values, after, strict=True))


def log10(p_values: Any) -> np.ndarray:
    """-log10 p, finite: a p-value of zero counts as 1e-300."""
    return -np.log10(np.maximum(np.asarray(p_values, dtype=float), SMALLEST))
