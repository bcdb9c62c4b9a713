"""The demonstration: seconds, and what it finds of what was planted.

python benchmarks/demo.py [--quick]
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from _record import at_least, at_most, genodl, options, show, table

LIMIT_SECONDS = 90
FDR = 0.1
CLOSING = re.compile(r"(\d+) loci at FDR \S+ (\d+) hold a planted marker, (\d+) do not")


def counted(lines: str) -> dict[str, Any]:
    """Loci selected, those that hold a planted marker, and the realised FDR, as printed."""
    said = CLOSING.search(lines)
    if said is None:
        raise RuntimeError(f"genodl demo did not close with its counts:\n{lines}")
    selected, true, false = (int(number) for number in said.groups())
    return {
        "selected_loci": selected,
        "true_loci": true,
        "false_loci": false,
        "realised_fdr": false / selected if selected else 0.0,
    }


def demonstrate(out: Path, *, seed: int) -> dict[str, Any]:
    """`genodl demo` with one seed."""
    run = genodl("demo", "--out", out, "--seed", seed)
    loci = table(out / "results" / "loci.tsv")
    found = counted(run.stdout)
    if found["selected_loci"] != (loci["q_value"] < FDR).sum():
        raise RuntimeError("genodl demo does not count the loci of its own loci.tsv")
    return {"seed": seed, **run.weight, **found, "lines": run.stdout.splitlines()}


def main() -> None:
    """Measure and print."""
    given = options(
        __doc__,
        seeds={"type": int, "default": 3, "help": "demonstrations"},
        picture={"type": Path, "help": "where the first one's association figure is kept"},
    )
    with tempfile.TemporaryDirectory() as scratch:
        runs = [
            demonstrate(Path(scratch, str(seed)), seed=seed)
            for seed in range(1 if given.quick else given.seeds)
        ]
        if given.picture:
            (figure,) = Path(scratch, "0", "results", "figures").glob("*_association.png")
            shutil.copy(figure, given.picture)
    selected = sum(run["selected_loci"] for run in runs)
    false = sum(run["false_loci"] for run in runs)
    show(
        "demo",
        quick=given.quick,
        criteria={
            "seconds": at_most(max(run["seconds"] for run in runs), LIMIT_SECONDS),
            "loci with a planted marker": at_least(selected - false, 1),
        },
        realised_fdr=false / selected if selected else 0.0,
        runs=runs,
    )


if __name__ == "__main__":
    main()
