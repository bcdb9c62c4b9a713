"""Figures of an attribution: ranked bars, a beeswarm of samples, a track along the genome."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from genodl.attribute.result import Attribution
from genodl.errors import InputError, nearest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, RED, GREY = "#3b6ea8", "#b5473c", "#8c8c8c"


def draw(
    attribution: Attribution,
    kind: str = "bars",
    *,
    names: Any = None,
    x: np.ndarray | None = None,
    positions: np.ndarray | None = None,
    contigs: Sequence[str] | None = None,
    output: int = 0,
    top: int = 20,
) -> Figure:
    """A figure that needs no display and no global state.

    Parameters
    ----------
    kind : bars (mean and mean absolute attribution, ranked), beeswarm (every sample of the top
        inputs), track (mean absolute attribution by position)
    names : names of the inputs, as in `Attribution.to_frame`
    x : float, (samples, inputs), colours the beeswarm by the input's own value
    positions : int, (inputs,), for a track; contigs : (inputs,), drawn one after another
    output : which output, where all are explained
    top : inputs shown by bars and beeswarm

    Raises
    ------
    InputError : an unknown kind, or arrays that do not fit the inputs
    """
    if kind not in KINDS:
        raise InputError(
            f"no figure named {kind!r}",
            where="Attribution.plot",
            mend=f"did you mean {nearest(kind, KINDS)}",
        )
    from matplotlib.figure import Figure

    table = attribution.to_frame(names)
    values = table.to_numpy()
    labels = [str(c) for c in table.columns]
    if attribution.all_outputs:
        outputs = attribution.prediction.shape[1]
        values, labels = values[:, output::outputs], labels[output::outputs]
    shown = min(top, len(labels))
    figure = Figure(
        figsize=(7, 3.2 if kind == "track" else 1.2 + 0.28 * shown), layout="constrained"
    )
    axes = figure.subplots()
    best = np.argsort(-np.abs(values).mean(axis=0), kind="stable")[:shown][::-1]
    given = {"x": x, "positions": positions, "contigs": contigs}
    KINDS[kind](axes, values, labels, best, given)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def bars(axes: Axes, values: np.ndarray, labels: list[str], best: np.ndarray, given: dict) -> None:
    """Mean absolute attribution, and the signed mean within it."""
    mean, absolute = values[:, best].mean(axis=0), np.abs(values[:, best]).mean(axis=0)
    place = np.arange(len(best))
    axes.barh(place, absolute, color=GREY, alpha=0.45, label="mean absolute")
    axes.barh(place, mean, height=0.4, color=np.where(mean < 0, RED, BLUE), label="mean")
    axes.set_yticks(place, [labels[i] for i in best])
    axes.axvline(0, color="black", linewidth=0.6)
    axes.set_xlabel("attribution, in the unit of the prediction")
    axes.legend(frameon=False, loc="lower right")


def beeswarm(
    axes: Axes, values: np.ndarray, labels: list[str], best: np.ndarray, given: dict
) -> None:
    """One dot a sample, spread where dots would cover each other."""
    x = given["x"]
    if x is not None and np.shape(x) != values.shape:
        raise InputError(
            f"x is {np.shape(x)}, values are {values.shape}",
            where="Attribution.plot",
            mend="pass the samples that were attributed",
        )
    for place, i in enumerate(best):
        offset = place + spread(values[:, i])
        colour: Any = BLUE
        if x is not None:
            column = np.asarray(x)[:, i]
            span = np.ptp(column) or 1.0
            colour = (column - column.min()) / span
        axes.scatter(values[:, i], offset, c=colour, cmap="coolwarm", s=9, linewidths=0)
    axes.set_yticks(np.arange(len(best)), [labels[i] for i in best])
    axes.axvline(0, color="black", linewidth=0.6)
    note = "; red: high value of the input" if x is not None else ""
    axes.set_xlabel(f"attribution, in the unit of the prediction{note}")


def spread(values: np.ndarray, bins: int = 60) -> np.ndarray:
    """Vertical offsets, within 0.4, that keep dots of alike values apart."""
    low, span = values.min(), np.ptp(values) or 1.0
    bin_of = np.minimum(((values - low) / span * bins).astype(int), bins - 1)
    rank = np.zeros(len(values), int)
    for b in np.unique(bin_of):
        inside = np.flatnonzero(bin_of == b)
        rank[inside] = np.arange(len(inside))
    # 0, 1, -1, 2, -2 ...
    signed = (rank + 1) // 2 * np.where(rank % 2, 1, -1)
    return 0.4 * signed / max(np.abs(signed).max(), 4)


def track(axes: Axes, values: np.ndarray, labels: list[str], best: np.ndarray, given: dict) -> None:
    """Mean absolute attribution by position, contigs side by side."""
    positions, contigs = given["positions"], given["contigs"]
    count = values.shape[1]
    place = np.arange(count) if positions is None else np.asarray(positions, float)
    names = np.asarray(contigs if contigs is not None else [""] * count)
    if place.shape != (count,) or names.shape != (count,):
        raise InputError(
            f"{place.shape} positions and {names.shape} contigs for {count} inputs",
            where="Attribution.plot",
            mend="give one position, and one contig, for each input",
        )
    height = np.abs(values).mean(axis=0)
    ticks, begin = [], 0.0
    for turn, name in enumerate(dict.fromkeys(names.tolist())):
        inside = np.flatnonzero(names == name)
        here = begin + place[inside] - place[inside].min()
        axes.vlines(here, 0, height[inside], color=BLUE if turn % 2 == 0 else GREY, linewidth=0.9)
        ticks.append(((here.min() + here.max()) / 2, name))
        begin = here.max() + 0.02 * np.ptp(place) + 1
    if contigs is not None:
        axes.set_xticks([t for t, _ in ticks], [n for _, n in ticks])
    axes.set_xlabel("position" if contigs is None else "contig")
    axes.set_ylabel("mean absolute attribution")


KINDS = {"bars": bars, "beeswarm": beeswarm, "track": track}
