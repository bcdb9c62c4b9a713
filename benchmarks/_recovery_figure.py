"""The recovery benchmark in one picture: average precision of each contender in each regime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from _recovery_table import OURS, ours

COLOURS = ("#0072b2", "#56b4e9", "#009e73", "#cc79a7", "#e69f00", "#999999", "#000000", "#b2df8a")
ACCENT = "#d55e00"


def draw_recovery(entries: Sequence[dict[str, Any]], path: Path) -> None:
    """A panel an h2, a row a regime, a dot a contender; genodl with its 95 % interval."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    shares = sorted({entry["h2"] for entry in entries})
    regimes = list(dict.fromkeys(_label(entry) for entry in entries))
    peers = list(dict.fromkeys(n for e in entries for n in e["contenders"] if not ours(n)))
    height = 2.4 + 0.3 * len(regimes)
    figure, axes = plt.subplots(
        1, len(shares), figsize=(4.4 * len(shares) + 1, height), sharey=True, squeeze=False
    )
    for axis, h2 in zip(axes[0], shares, strict=True):
        for entry in (e for e in entries if e["h2"] == h2):
            _row(axis, regimes.index(_label(entry)), entry["contenders"], peers)
        axis.set(title=f"h² {h2:g}", xlabel="average precision over loci", xlim=(-0.02, 1.02))
        axis.set_yticks(range(len(regimes)), regimes)
        axis.grid(axis="x", color="#dddddd", linewidth=0.6)
        axis.set_axisbelow(True)
    axes[0][0].invert_yaxis()
    _legend(figure, peers)
    figure.tight_layout(rect=(0, 0.9 / height, 1, 1))
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _label(entry: dict[str, Any]) -> str:
    """The name of a row."""
    name = entry["regime"].replace("_", " ")
    return name if entry["variants"] == 2_000 else f"{name}, {entry['variants']:,} variants"


def _row(axis: Any, y: int, contenders: dict[str, Any], peers: Sequence[str]) -> None:
    """The dots of a regime."""
    for number, name in enumerate(peers):
        if name in contenders:
            colour = COLOURS[number % len(COLOURS)]
            axis.plot(contenders[name]["ap"]["mean"], y, "o", ms=4.5, color=colour, alpha=0.85)
    mine = contenders.get(OURS, {}).get("ap")
    if mine and mine["n"]:
        if mine["low"] is not None:
            axis.plot([mine["low"], mine["high"]], [y, y], color=ACCENT, linewidth=1.2)
        axis.plot(mine["mean"], y, "D", ms=6, color=ACCENT)


def _legend(figure: Any, peers: Sequence[str]) -> None:
    """Which dot is whose."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], marker="D", color=ACCENT, label=OURS)]
    handles += [
        Line2D([], [], marker="o", linestyle="", color=COLOURS[i % len(COLOURS)], label=name)
        for i, name in enumerate(peers)
    ]
    figure.legend(handles=handles, loc="lower center", ncol=4, frameon=False, fontsize=8)
