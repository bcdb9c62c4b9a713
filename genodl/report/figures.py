"""The figures of a report, drawn with matplotlib's object interface; no global state.

Each function takes tables of a finished result and returns a `Drawing`. Colours tell apart under
the common colour-vision deficiencies (Okabe and Ito), and shape repeats what colour says.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy.stats import beta

from genodl.report.drawing import (
    AMBER,
    BLUE,
    FOUND,
    GREY,
    INK,
    LOG_P,
    MUTED,
    RULE,
    SMALL,
    TEXT,
    Drawing,
    canvas,
    log10,
    plain,
)
from genodl.report.files import number
from genodl.report.result import MODELS
from genodl.report.summary import beyond, decimal, metric, probability, shorten

LOOK = {
    "deep": ("full model", BLUE, "o"),
    "linear": ("linear", AMBER, "s"),
    "covariates": ("covariates", GREY, "D"),
}
CHANCE = {"auc": 0.5, "auc_macro": 0.5, "c_index": 0.5}


def quantiles(
    p_values: np.ndarray, self_check: dict[str, Any] | None, *, inflation: float
) -> Drawing:
    """Observed against expected p-values, with those under permuted phenotypes.

    Parameters
    ----------
    p_values : float, (markers,), of one phenotype, or of several together; nan is left out
    self_check : the run's permuted phenotypes, with `quantiles`
    inflation : genomic-control lambda, nan where unknown
    """
    observed = np.sort(p_values[np.isfinite(p_values)])
    figure = canvas(5.1, 3.5)
    axes = figure.add_axes((0.12, 0.15, 0.85, 0.8))
    plain(axes, x=f"expected {LOG_P}", y=f"observed {LOG_P}")
    count = max(len(observed), 1)
    index = np.unique(np.geomspace(1, count, 300).astype(int))
    expected = -np.log10((index - 0.5) / count)
    band = [-np.log10(beta.ppf(q, index, count - index + 1)) for q in (0.025, 0.975)]
    axes.fill_between(expected, *band, color=RULE, alpha=0.6, lw=0, label="95 % band")
    axes.plot([0, expected[0]], [0, expected[0]], color=GREY, lw=0.8)
    permuted = (self_check or {}).get("quantiles") or {}
    axes.plot(
        permuted.get("expected_log10p", []),
        permuted.get("observed_log10p", []),
        color=AMBER,
        marker="s",
        ms=2.6,
        lw=0.8,
        label="phenotype permuted",
    )
    if len(observed):
        height = log10(observed[index - 1])
        axes.plot(expected, height, color=BLUE, marker="o", ms=2.8, lw=0, label="observed")
    axes.set_xlim(0, None)
    axes.set_ylim(0, None)
    axes.legend(loc="upper left", fontsize=SMALL, frameon=False, labelcolor=INK)
    caption = (
        f"p-values of {len(observed):,} markers, λ = {decimal(inflation)}. The band holds for "
        "independent markers; neighbours in LD widen it."
    )
    alt = f"Quantile-quantile plot of p-values; lambda {decimal(inflation)}"
    return Drawing(figure, caption, alt)


def performance(entry: dict[str, Any]) -> Drawing:
    """Out-of-fold metric of full model, linear model and covariates, each with its interval.

    `entry` is the phenotype's entry of performance.json; the dashed line marks chance.
    """
    figure = canvas(5.1, 1.75)
    axes = figure.add_axes((0.2, 0.28, 0.77, 0.68))
    plain(axes, x=f"out-of-fold {metric(entry)}")
    axes.axvline(CHANCE.get(entry.get("metric", ""), 0.0), color=GREY, lw=0.8, ls=(0, (4, 3)))
    for row, model in enumerate(MODELS):
        interval(axes, entry[model], model, -row, size=6.5)
        known = np.isfinite(entry[model]["value"])
        axes.annotate(
            decimal(entry[model]["value"]) if known else "not known",
            (np.nan_to_num(entry[model]["value"]), -row),
            xytext=(0, 6) if known else (6, -3),
            textcoords="offset points",
            ha="center" if known else "left",
            fontsize=SMALL,
            color=INK,
        )
    axes.set_yticks([0, -1, -2], labels=[LOOK[m][0] for m in MODELS])
    axes.tick_params(axis="y", labelsize=TEXT, labelcolor=INK, length=0)
    axes.set_ylim(-2.6, 0.9)
    axes.spines["left"].set_visible(False)
    said = "; ".join(f"{LOOK[m][0]} {_interval_words(entry[m])}" for m in MODELS)
    caption = f"Out-of-fold {metric(entry)} with its interval, n = {number(entry.get('n')):,.0f}."
    caption += f" The full model is the linear one with {beyond(entry)}."
    return Drawing(figure, caption, f"Out-of-fold {metric(entry)}: {said}")


def interval(axes: Axes, found: dict[str, float], model: str, y: float, size: float = 5) -> None:
    """One model's metric as a point on its interval, at height y."""
    _, colour, marker = LOOK[model]
    axes.plot([found["low"], found["high"]], [y, y], color=colour, lw=1.4, solid_capstyle="round")
    axes.plot([found["value"]], [y], marker=marker, ms=size, color=colour, mec="white", mew=0.6)


def _interval_words(found: dict[str, float]) -> str:
    return f"{decimal(found['value'])} [{decimal(found['low'])}, {decimal(found['high'])}]"


def stability(
    loci: pd.DataFrame,
    markers: pd.DataFrame,
    *,
    fdr: float,
    most: int = 20,
    halves: dict[str, Any] | None = None,
) -> Drawing:
    """Score of the leading marker of each top locus, with its stability between retrainings.

    Parameters
    ----------
    loci, markers : one phenotype's rows of loci.tsv and markers.tsv, best first
    fdr : found loci are filled
    most : how many loci
    halves : rank correlation between two halves of what was learnt, of performance.json
    """
    top = loci.head(most)
    lead = markers.drop_duplicates("marker").set_index("marker").reindex(top["lead_marker"])
    height = 0.95 + 0.19 * max(len(top), 3)
    figure = canvas(5.1, height)
    edge = (0.5 / height, 1 - 0.75 / height)
    y = -np.arange(len(top))
    found = (top["q_value"] < fdr).to_numpy()
    names = [shorten(name, 24) for name in top["lead_marker"]]
    for left, column, label in ((0.35, "score", "score (z)"), (0.69, "stability", "stability")):
        axes = figure.add_axes((left, edge[0], 0.28, edge[1]))
        values = lead[column].to_numpy(dtype=float)
        axes.hlines(y, 0, values, color=RULE, lw=1)
        for chosen, face in ((found, FOUND), (~found, "white")):
            colour = FOUND if face == FOUND else MUTED
            axes.scatter(values[chosen], y[chosen], s=22, color=face, edgecolors=colour, zorder=3)
        plain(axes, x=label)
        axes.set_ylim(-len(top) + 0.4, 0.6)
        axes.set_yticks(y, labels=names if column == "score" else [], parse_math=False)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_xlim(0, 1.05)
    caption = f"Leading marker of the top {len(top)} loci; filled where q < {fdr:g}."
    caption += f" {halves_words(halves)}" if halves else ""
    said = ", ".join(
        f"{n} {decimal(s)}" for n, s in zip(names[:5], lead["stability"], strict=False)
    )
    return Drawing(figure, caption, f"Score and stability of the top loci; stability: {said}")


def halves_words(halves: dict[str, Any]) -> str:
    """How alike two halves of the networks, or of the folds, rank the loci."""
    loci = f"{number(halves.get('loci')):,.0f}"
    between = f"two disjoint halves of the {halves.get('between')}"
    if halves.get("between") != "networks":
        between += ", by sparse path and products"
    if halves.get("correlation") is None:
        return f"The {loci} loci with an attribution have no rank correlation between {between}."
    return f"Rank correlation of {loci} loci between {between}: {decimal(halves['correlation'])}."


def overview(rows: list[dict[str, Any]], *, fdr: float) -> Drawing:
    """All phenotypes at a glance: best locus, out-of-fold performance and inflation.

    Parameters
    ----------
    rows : one a phenotype, from the top down: `phenotype`, `lead`, `q_value`, `performance`
        (its entry of performance.json) and `inflation`
    fdr : marks the found loci
    """
    height = 0.9 + 0.21 * len(rows)
    figure = canvas(10.4, height)
    bottom, tall = 0.5 / height, 1 - 0.75 / height
    y = -np.arange(len(rows))
    best, metrics, spread = (
        figure.add_axes((left, bottom, width, tall))
        for left, width in ((0.19, 0.36), (0.58, 0.26), (0.87, 0.115))
    )
    _overview_best(best, rows, y, fdr)
    for at, row in zip(y, rows, strict=True):
        for shift, model in zip((-0.22, 0.0, 0.22), reversed(MODELS), strict=True):
            interval(metrics, row["performance"][model], model, float(at) + shift, size=4.5)
    names = dict.fromkeys(metric(row["performance"]) for row in rows)
    plain(metrics, x=f"out-of-fold {' or '.join(names)}")
    inflation = np.array([number(row["inflation"]) for row in rows])
    spread.axvline(1, color=GREY, lw=0.8, ls=(0, (4, 3)))
    spread.scatter(inflation, y, s=14, color=np.where(inflation > 1.1, FOUND, MUTED), zorder=3)
    plain(spread, x="λ")
    spread.set_xlim(
        min(0.9, np.nanmin(inflation, initial=1) - 0.05),
        max(1.15, np.nanmax(inflation, initial=1) + 0.05),
    )
    for axes in (best, metrics, spread):
        axes.set_ylim(-len(rows) + 0.3, 0.7)
        axes.set_yticks(y, labels=[] if axes is not best else None)
        axes.grid(axis="y", color=RULE, lw=0.4)
        axes.tick_params(axis="y", length=0)
        axes.set_axisbelow(True)
    handles = [
        metrics.plot([], [], color=LOOK[m][1], marker=LOOK[m][2], ms=4, label=LOOK[m][0])[0]
        for m in MODELS
    ]
    figure.legend(
        handles=handles, loc="upper right", ncols=3, fontsize=SMALL, frameon=False, labelcolor=INK
    )
    caption = f"Left, q-value of the best locus with its leading marker; filled where q < {fdr:g}."
    said = "; ".join(f"{r['phenotype']} q {probability(r['q_value'])}" for r in rows[:10])
    return Drawing(figure, caption, f"Overview of {len(rows)} phenotypes: {said}")


def _overview_best(axes: Axes, rows: list[dict[str, Any]], y: np.ndarray, fdr: float) -> None:
    """The best locus of each phenotype by its q-value, its leading marker beside it."""
    evidence = log10(np.array([number(row["q_value"]) for row in rows]))
    found = evidence > -np.log10(fdr)
    axes.axvline(-np.log10(fdr), color=INK, lw=0.7, ls=(0, (4, 3)))
    axes.hlines(y, 0, evidence, color=RULE, lw=1)
    for chosen, face in ((found, FOUND), (~found, "white")):
        edge = FOUND if face == FOUND else MUTED
        axes.scatter(evidence[chosen], y[chosen], s=20, color=face, edgecolors=edge, zorder=3)
    axes.set_xlim(0, 1.6 * np.nanmax(evidence, initial=1.0))
    for at, x, row in zip(y, evidence, rows, strict=True):
        axes.annotate(
            shorten(row["lead"], 26),
            (np.nan_to_num(x), at),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL - 0.5,
            color=INK,
            parse_math=False,
            bbox={"facecolor": "white", "lw": 0, "pad": 0.5},
        )
    plain(axes, x="−log₁₀ q of the best locus")
    axes.set_yticks(y, labels=[shorten(row["phenotype"], 24) for row in rows], parse_math=False)
    axes.tick_params(axis="y", labelcolor=INK)
