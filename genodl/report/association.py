"""The evidence of every marker of a phenotype: along the genome, or by rank."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from genodl.report.drawing import (
    DARK,
    FOUND,
    INK,
    LOG_P,
    MUTED,
    PALE,
    SMALL,
    SMALLEST,
    Drawing,
    canvas,
    log10,
    natural_order,
    place,
    plain,
)
from genodl.report.summary import percent, shorten

MOST_LABELS = 15


def association(markers: pd.DataFrame, loci: pd.DataFrame, *, fdr: float) -> Drawing:
    """Evidence of every marker: along the genome where it has a position, by rank where not.

    Parameters
    ----------
    markers : one phenotype's rows of markers.tsv
    loci : its rows of loci.tsv
    fdr : loci with a q-value below it are coloured, and their leading markers named
    """
    tested = markers[np.isfinite(markers["p_value"])]
    panels = list(_panels(tested))
    figure = canvas(10.4, 2.75 * max(len(panels), 1) + 0.1)
    found = loci[loci["q_value"] < fdr]
    unnamed = 0
    for index, (modality, placed, rows) in enumerate(panels):
        axes = figure.add_subplot(len(panels), 1, index + 1)
        figure.subplots_adjust(
            left=0.06,
            right=0.985,
            top=1 - 0.09 / len(panels),
            bottom=0.19 / len(panels),
            hspace=0.5,
        )
        draw = _manhattan if placed else _ranked
        x = draw(axes, rows, rows["locus"].isin(found["locus"]).to_numpy())
        plain(axes, x=axes.get_xlabel(), y=LOG_P, title=f"{modality} ({len(rows):,})")
        height = log10(rows["p_value"])
        _threshold(axes, loci, found, fdr, height)
        unnamed += _name_leads(axes, rows, x, height, found)
    return Drawing(figure, *_association_words(markers, tested, found, fdr, unnamed), vector=False)


def _panels(markers: pd.DataFrame) -> Iterator[tuple[str, bool, pd.DataFrame]]:
    """Each modality's markers with a position, then each modality's without."""
    placed = np.isfinite(markers["pos"]) & (markers["contig"] != "")
    for has_position in (True, False):
        part = markers[placed == has_position]
        for modality in sorted(part["modality"].unique(), key=lambda m: (m != "variants", m)):
            yield str(modality), has_position, part[part["modality"] == modality]


def _association_words(
    markers: pd.DataFrame, tested: pd.DataFrame, found: pd.DataFrame, fdr: float, unnamed: int
) -> tuple[str, str]:
    """Caption and alternative text of the association figure."""
    line = "the weakest of them has" if len(found) else "the first locus would need"
    caption = (
        f"Each point is a marker; those of loci with q < {fdr:g} are coloured. "
        f"The dashed line is the p-value {line}."
    )
    if unnamed:
        caption += f" Leading markers without a name, for want of room: {unnamed:,}."
    if untested := len(markers) - len(tested):
        caption += f" Markers without a p-value, not drawn: {untested:,}."
    best = markers.iloc[0]["marker"] if len(markers) else "none"
    alt = (
        f"Minus log10 p-value of {len(tested):,} markers; {len(found)} loci at FDR "
        f"{percent(fdr)}; first in rank: {best}"
    )
    return caption, alt


def _manhattan(axes: Axes, rows: pd.DataFrame, hit: np.ndarray) -> np.ndarray:
    """Points along the genome in alternating shades; returns their x, (markers,)."""
    contig = rows["contig"].astype(str).to_numpy()
    position = rows["pos"].to_numpy() / 1e6
    order = natural_order(list(dict.fromkeys(contig)))
    x, centres = genome_axis(contig, position, order)
    height = log10(rows["p_value"])
    rank = pd.Categorical(contig, categories=order).codes
    for parity, colour in ((0, DARK), (1, PALE)):
        _scatter(axes, x, height, ~hit & (rank % 2 == parity), colour)
    _scatter(axes, x, height, hit, FOUND, size=13)
    if len(order) == 1:
        axes.set_xlabel(f"{order[0]}, position (Mb)")
    else:
        shown = _uncrowded(centres, order, float(x.max()))
        axes.set_xticks(
            centres[shown], labels=[shorten(order[i], 18) for i in shown], parse_math=False
        )
        axes.set_xlabel("contig")
        axes.set_xlim(-0.01 * x.max(), 1.01 * x.max())
    return x


def genome_axis(
    contig: np.ndarray, position: np.ndarray, order: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Contigs laid end to end, each as long as the stretch of it that holds markers.

    Parameters
    ----------
    contig : str, (markers,)
    position : float, (markers,), in any unit
    order : the contigs from left to right

    Returns
    -------
    float, (markers,) place on the axis; float, (contigs,) centre of each contig. A single contig
    keeps its own positions.
    """
    code = pd.Categorical(contig, categories=order).codes
    low, high = np.full(len(order), np.inf), np.full(len(order), -np.inf)
    np.minimum.at(low, code, position)
    np.maximum.at(high, code, position)
    span = high - low
    if len(order) == 1:
        return position, (low + high) / 2
    least, gap = min(0.01, 0.4 / len(order)), min(0.008, 0.2 / len(order))
    span = np.maximum(span, least * span.sum() or 1.0)
    start = np.concatenate([[0], np.cumsum(span + gap * span.sum())[:-1]])
    return position - low[code] + start[code], start + span / 2


def _uncrowded(centres: np.ndarray, names: list[str], total: float, room: int = 150) -> list[int]:
    """Indices of contigs whose names fit side by side, `room` characters to the axis."""
    kept, end = [], -np.inf
    for i, name in enumerate(names):
        half = (len(shorten(name, 18)) + 1.5) / 2 * total / room
        if centres[i] - half >= end:
            kept.append(i)
            end = centres[i] + half
    return kept


def _ranked(axes: Axes, rows: pd.DataFrame, hit: np.ndarray) -> np.ndarray:
    """Points by rank of their p-value on a logarithmic axis; returns their x, (markers,)."""
    height = log10(rows["p_value"])
    x = np.empty(len(rows))
    x[np.argsort(-height, kind="stable")] = np.arange(1, len(rows) + 1)
    axes.set_xscale("log")
    axes.set_xlim(0.8, max(len(rows), 2) * 1.15)
    _scatter(axes, x, height, ~hit, DARK)
    _scatter(axes, x, height, hit, FOUND, size=13)
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_xlabel("rank of the marker")
    return x


def _scatter(
    axes: Axes, x: np.ndarray, y: np.ndarray, chosen: np.ndarray, colour: str, size: float = 6
) -> None:
    """Points, one for each place on a fine grid: a million look the same and draw at once."""
    x, y = x[chosen], y[chosen]
    if len(x) > 5_000:
        extent = (np.ptp(x) or 1.0), (np.ptp(y) or 1.0)
        grid = np.column_stack([(x - x.min()) / extent[0] * 2_000, (y - y.min()) / extent[1] * 400])
        kept = np.unique(grid.astype(np.int64) @ np.array([1_000, 1]), return_index=True)[1]
        x, y = x[kept], y[kept]
    axes.scatter(x, y, s=size, color=colour, linewidths=0, zorder=3 if colour == FOUND else 2)


def _threshold(
    axes: Axes, loci: pd.DataFrame, found: pd.DataFrame, fdr: float, height: np.ndarray
) -> None:
    """The evidence a locus needs: that of the weakest found, or what the first would need."""
    top = max(float(height.max(initial=0)), 1.0)
    if len(loci):
        needed = found["p_value"].max() if len(found) else fdr / len(loci)
        level = float(-np.log10(max(needed, SMALLEST)))
        if level < 2.5 * top:
            top = max(top, level)
            axes.axhline(level, color=INK, lw=0.7, ls=(0, (4, 3)), zorder=1)
            axes.annotate(
                f"q < {fdr:g}",
                (1, level),
                xycoords=("axes fraction", "data"),
                xytext=(0, 2),
                textcoords="offset points",
                ha="right",
                va="bottom",
                bbox={"facecolor": "white", "lw": 0, "pad": 0.6, "alpha": 0.85},
                fontsize=SMALL,
                color=MUTED,
            )
    axes.set_ylim(0, 1.28 * top)
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))


def _name_leads(
    axes: Axes, rows: pd.DataFrame, x: np.ndarray, height: np.ndarray, found: pd.DataFrame
) -> int:
    """Name the leading marker of each found locus; how many stay unnamed."""
    index = pd.Series(np.arange(len(rows)), index=rows["marker"].to_numpy())
    leads = [n for n in found["lead_marker"] if n in index.index]
    at = index[~index.index.duplicated()].reindex(leads[:MOST_LABELS]).to_numpy(dtype=int)
    return len(leads) - place(axes, x[at], height[at], leads[:MOST_LABELS])
