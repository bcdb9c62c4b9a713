"""What was observed against what the full model predicts out of fold, by kind of phenotype."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy.stats import norm

from genodl.report.drawing import BLUE, GREY, INK, SMALL, Drawing, canvas, plain
from genodl.report.summary import shorten

MOST_CLASSES = 12


def agreement(predictions: pd.DataFrame, *, kind: str) -> Drawing:
    """Observed phenotype against the full model's out-of-fold prediction.

    Parameters
    ----------
    predictions : one phenotype's rows of predictions.tsv; with `class` of a multiclass and `event`
        of a survival phenotype
    kind : binary classes are drawn as two bands of points, other classes as one row each with the
        members apart from the rest, survival with the censored times apart
    """
    known = predictions[np.isfinite(predictions["observed"]) & np.isfinite(predictions["deep"])]
    if kind == "multiclass" and "class" in known:
        return _of_classes(known)
    if kind == "survival" and "event" in known:
        return _of_times(known)
    observed = known["observed"].to_numpy()
    figure = canvas(5.1, 3.0)
    axes = figure.add_axes((0.12, 0.17, 0.85, 0.79))
    if kind == "binary":
        observed = observed + 0.1 * _spread(len(observed))
        axes.set_yticks([0, 1])
    _points(axes, known["deep"].to_numpy(), observed, BLUE, len(known))
    plain(axes, x="predicted by the full model, out of fold", y="observed")
    caption = f"Observed against predicted, {len(known):,} samples."
    if kind == "binary":
        caption += " Points of a class are spread for sight."
    return Drawing(figure, caption, caption)


def _of_classes(known: pd.DataFrame) -> Drawing:
    """A row a class: the predicted probability of its members above that of all others."""
    classes = known["class"].astype(str)
    shown = list(classes.value_counts(sort=False).index[:MOST_CLASSES])
    height = 0.9 + 0.34 * len(shown)
    figure = canvas(5.1, height)
    axes = figure.add_axes((0.24, 0.5 / height, 0.73, 1 - 0.85 / height))
    for row, label in enumerate(shown):
        here = known[classes == label]
        member = here["observed"].to_numpy() == 1
        for chosen, colour, shift in ((~member, GREY, -0.17), (member, BLUE, 0.17)):
            x = here["deep"].to_numpy()[chosen]
            _points(axes, x, -row + shift + 0.05 * _spread(len(x)), colour, len(here))
    axes.set_yticks(-np.arange(len(shown)), labels=[shorten(c, 22) for c in shown])
    axes.set_ylim(-len(shown) + 0.5, 0.5)
    plain(axes, x="predicted probability of the class, out of fold")
    _legend(axes, (("in the class", BLUE), ("in another", GREY)))
    samples = known["sample"].nunique()
    caption = f"Predicted probability of each class, {samples:,} samples, spread for sight."
    if classes.nunique() > len(shown):
        caption += f" The first {len(shown)} of {classes.nunique()} classes."
    return Drawing(figure, caption, caption)


def _of_times(known: pd.DataFrame) -> Drawing:
    """Times on a log scale, events apart from censored times."""
    figure = canvas(5.1, 3.0)
    axes = figure.add_axes((0.14, 0.17, 0.83, 0.73))
    event = known["event"].astype(float).to_numpy() > 0
    for chosen, colour in ((~event, GREY), (event, BLUE)):
        rows = known[chosen]
        _points(axes, rows["deep"].to_numpy(), rows["observed"].to_numpy(), colour, len(known))
    axes.set_yscale("log")
    plain(axes, x="predicted log hazard, out of fold", y="time")
    _legend(axes, (("event", BLUE), ("censored", GREY)))
    caption = (
        f"Time against the predicted log hazard, {len(known):,} samples, {event.sum():,} events."
    )
    return Drawing(figure, caption, caption)


def _legend(axes: Axes, words: tuple[tuple[str, str], ...]) -> None:
    """The colours above the axes."""
    handles = [axes.scatter([], [], s=14, color=colour, label=word) for word, colour in words]
    axes.legend(
        handles=handles,
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=2,
        borderaxespad=0.1,
        fontsize=SMALL,
        frameon=False,
        labelcolor=INK,
    )


def _points(axes: Axes, x: np.ndarray, y: np.ndarray, colour: str, count: int) -> None:
    """Points that stay legible in their number."""
    size, alpha = (7, 0.45) if count < 2_000 else (3, 0.2)
    axes.scatter(x, y, s=size, color=colour, alpha=alpha, linewidths=0)


def _spread(count: int) -> np.ndarray:
    """Normal deviates that spread points of one height, the same each time."""
    return norm.ppf(np.arange(count) * 0.618034 % 1 * 0.9 + 0.05)
