"""Cancer cell lines: the alterations known to set the response to a drug rank first.

All drug screens of `expected_markers.tsv` in one run on alterations and expression, adjusted for
tissue and microsatellite instability. An expected alteration counts at its rank among the
alterations; beside it stand a plain linear scan, the column `marginal_p` of the same table, and
lasso, elastic net, XGBoost with SHAP and a random forest on the same samples, markers, covariates
and folds. --work DIR keeps what is finished, --every K runs slow tools on each K-th screen alone.

    python benchmarks/gdsc.py [--quick] [--work DIR] [--peers lasso,xgboost] [--every K]
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _gdsc_peers import PEERS, Screens
from _record import Run, at_least, at_most, commit, data_folder, genodl, kept, options, show, table

FDR = 0.1
SLOW = ("xgboost", "forest")
LIMIT_SECONDS, LIMIT_GB = 15 * 60, 4.0
COVARIATES = "tissue_factor,msi_factor"
TEXTBOOK = {
    "Nutlin-3a (-):1047": "TP53_mut",
    "Dabrafenib:1373": "BRAF_mut",
    "Nilotinib:1013": "BCR-ABL",
    "Palbociclib:1054": "RB1",
}
QUICK = ("--members", 0, "--folds", 5, "--checks", 0)


def best_rank(markers: pd.DataFrame, phenotype: str, expected: str) -> dict[str, Any]:
    """Rank, among the alterations, of the best expected one, by our test and by a linear scan.

    Parameters
    ----------
    markers : of one run; the modality `alterations` counts
    expected : substrings of names, joined by `|`
    """
    chosen = (markers["phenotype"] == phenotype) & (markers["modality"] == "alterations")
    ranked = markers[chosen].sort_values("rank").reset_index(drop=True)
    wanted = _expected(ranked["marker"], expected)
    if not wanted.any():
        raise LookupError(f"no alteration tested on {phenotype} is one of {expected}")
    place = int(wanted.argmax())
    scan = ranked["marginal_p"].rank(method="min")[wanted]
    best = ranked.loc[place]
    return {
        "phenotype": phenotype,
        "expected": expected,
        "rank": place + 1,
        "scan_rank": int(scan.min()),
        "marker": best["marker"],
        "p_value": float(best["p_value"]),
        "q_value": float(best["q_value"]),
        "first": ranked.loc[0, "marker"],
    }


def _expected(names: Sequence[str] | pd.Series, expected: str) -> np.ndarray:
    """Which names hold one of the substrings joined by `|`."""
    return np.array([any(part in name for part in expected.split("|")) for name in names])


def summary(ranks: list[int]) -> dict[str, Any]:
    """How often the expected alteration comes first, or among the first five."""
    return {
        "first": sum(rank == 1 for rank in ranks),
        "top_five": sum(rank <= 5 for rank in ranks),
        "mean_reciprocal_rank": round(sum(1 / rank for rank in ranks) / len(ranks), 4),
        "of": len(ranks),
    }


def discover(
    folder: Path, out: Path, names: list[str], *more: object, expression: bool = True
) -> Run:
    """`genodl discover` on the cell lines, the screens listed in a file beside the results."""
    listed = out.with_suffix(".names.txt")
    listed.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    files: tuple[object, ...] = ("--features", f"alterations={folder / 'alterations.h5ad'}")
    if expression:
        files = (*files, "--expression", folder / "expression.h5ad")
    samples = ("--samples", folder / "samples.tsv.gz", "--covariates", COVARIATES)
    return genodl("discover", *files, *samples, "--phenotype", f"@{listed}", "--out", out, *more)


def known(markers: pd.DataFrame, expected: pd.DataFrame) -> list[dict[str, Any]]:
    """The rank of each row of the expected markers."""
    return [best_rank(markers, row.phenotype, row.expected) for row in expected.itertuples()]


def textbook(markers: pd.DataFrame) -> list[dict[str, Any]]:
    """The four pairs nobody doubts, where their screen was run."""
    tested = set(markers["phenotype"])
    return [best_rank(markers, *pair) for pair in TEXTBOOK.items() if pair[0] in tested]


def peers(
    screens: Screens,
    expected: pd.DataFrame,
    ours: Sequence[int],
    chosen: Sequence[str],
    work: Path,
    *,
    every: int,
) -> dict[str, dict[str, Any]]:
    """What each peer comes to, beside our ranks on the same screens, or why it was left out."""
    found: dict[str, dict[str, Any]] = {}
    numbers = {name: number for number, name in enumerate(expected["phenotype"].unique())}
    for peer in chosen:
        step = every if peer in SLOW else 1
        runs = {
            name: kept(work / f"{peer}-{number}.json", partial(screens.ranked, peer, name))
            for name, number in numbers.items()
            if number % step == 0
        }
        skipped = [run["skipped"] for run in runs.values() if "skipped" in run]
        if skipped:
            found[peer] = {"skipped": skipped[0]}
            continue
        ranks, same = [], []
        for row, rank in zip(expected.itertuples(), ours, strict=True):
            if row.phenotype in runs:
                names = runs[row.phenotype]["alterations"]
                ranks.append(int(_expected(names, row.expected).argmax()) + 1)
                same.append(rank)
        seconds = round(sum(run["cpu_seconds"] for run in runs.values()), 1)
        found[peer] = {**summary(ranks), "genodl": summary(same), "cpu_seconds": seconds}
    return found


def ran(folder: Path, work: Path, names: list[str], *, quick: bool) -> dict[str, Any]:
    """What a discovery cost and the commit it ran on.

    Its result is kept in `work`; one that is there is not run again.
    """

    def run() -> dict[str, Any]:
        out = work / "genodl"
        shutil.rmtree(out, ignore_errors=True)
        more = QUICK if quick else ()
        cost = discover(folder, out, names, *more, expression=not quick).weight
        return {**cost, "discovered_on": commit()}

    return kept(work / "cost.json", run)


def better(others: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Criteria: no other is first more often, nor nearer to the front in the mean."""
    return {
        f"{measure}, beside {name}": at_least(theirs["genodl"][measure], theirs[measure])
        for name, theirs in others.items()
        for measure in ("first", "mean_reciprocal_rank")
        if measure in theirs
    }


def main() -> None:
    """Measure and print."""
    given = options(
        __doc__,
        work={"type": Path, "help": "folder that keeps what is finished"},
        peers={"default": None, "help": "joined by commas; all where not given"},
        every={"type": int, "default": 1, "help": "of slow peers, each so many-th screen is run"},
    )
    folder = data_folder() / "gdsc"
    expected = pd.read_csv(folder / "expected_markers.tsv", sep="\t")
    if given.quick:
        expected = expected[expected["phenotype"].isin(list(TEXTBOOK)[:3])]
    names = list(dict.fromkeys(expected["phenotype"]))
    chosen = ["lasso"] if given.quick else [*PEERS]
    if given.peers is not None:
        chosen = [name for name in given.peers.split(",") if name]
    with tempfile.TemporaryDirectory() as scratch:
        work = given.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        cost = ran(folder, work, names, quick=given.quick)
        markers = table(work / "genodl" / "markers.tsv")
        predictions = table(work / "genodl" / "predictions.tsv")
        screens = Screens(folder, markers, predictions, tuple(COVARIATES.split(",")))
        rows, pairs = known(markers, expected), textbook(markers)
        ranks = [row["rank"] for row in rows]
        others = peers(screens, expected, ranks, chosen, work, every=given.every)
    ours = summary(ranks)
    scan = {**summary([row["scan_rank"] for row in rows]), "genodl": ours}
    others = {"linear_scan": scan, **others}
    certain = sum(pair["rank"] == 1 and pair["q_value"] < FDR for pair in pairs)
    # the bounds of the whole list, in proportion where only a part of it was run
    share = len(rows) / 38
    show(
        "gdsc",
        quick=given.quick,
        criteria={
            "expected alteration first": at_least(ours["first"], int(25 * share)),
            "in the top five": at_least(ours["top_five"], int(31 * share)),
            "textbook pairs first and q < 0.1": at_least(certain, len(pairs)),
            **({} if given.quick else better(others)),
            "seconds": at_most(cost["seconds"], LIMIT_SECONDS),
            "memory_gb": at_most(cost["memory_gb"], LIMIT_GB),
        },
        phenotypes=len(names),
        **cost,
        genodl=ours,
        **others,
        textbook=pairs,
        screens=rows,
    )


if __name__ == "__main__":
    main()
