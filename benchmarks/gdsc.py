"""Cancer cell lines: the alterations known to set the response to a drug rank first.

All drug screens of `expected_markers.tsv` in one run on alterations and expression, adjusted for
tissue and microsatellite instability. An expected alteration counts at its rank among the
alterations; beside it stands a plain linear scan, the column `marginal_p` of the same table.

    python benchmarks/gdsc.py [--quick]
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from _record import Run, at_least, at_most, data_folder, genodl, options, show, table

FDR = 0.1
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
    wanted = pd.Series(False, index=ranked.index)
    for part in expected.split("|"):
        wanted |= ranked["marker"].str.contains(part, regex=False)
    if not wanted.any():
        raise LookupError(f"no alteration tested on {phenotype} is one of {expected}")
    place = int(wanted.to_numpy().argmax())
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


def main() -> None:
    """Measure and print."""
    given = options(__doc__)
    folder = data_folder() / "gdsc"
    expected = pd.read_csv(folder / "expected_markers.tsv", sep="\t")
    if given.quick:
        expected = expected[expected["phenotype"].isin(list(TEXTBOOK)[:3])]
    names = list(dict.fromkeys(expected["phenotype"]))
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch, "gdsc")
        run = discover(
            folder, out, names, *(QUICK if given.quick else ()), expression=not given.quick
        )
        markers = table(out / "markers.tsv")
    rows, pairs = known(markers, expected), textbook(markers)
    ours = summary([row["rank"] for row in rows])
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
            "seconds": at_most(run.seconds, LIMIT_SECONDS),
            "memory_gb": at_most(run.memory_gb, LIMIT_GB),
        },
        phenotypes=len(names),
        **run.weight,
        genodl=ours,
        linear_scan=summary([row["scan_rank"] for row in rows]),
        textbook=pairs,
        screens=rows,
    )


if __name__ == "__main__":
    main()
