"""Speed of a discovery: one phenotype, beside boosted trees, and a hundred of them.

2,504 simulated samples and 43,438 variants in LD (VCF), phenotypes of 15 additive variants (h2
0.3), `genodl discover` with its defaults: ten folds of eight networks, five permuted replicates,
the scan of all pairs. XGBoost chooses depth and rounds by five-fold cross-validation and explains
the samples that each of five folds held out (TreeSHAP). Every run is a process of its own. Where
cores are shared with other work, seconds say little and CPU seconds more; criteria use both.

    python benchmarks/discover.py [--quick] [--phenotypes 100] [--folder DIR]
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _record import ROOT, Run, at_most, commit, genodl, kept, options, show, weighed
from _speed_cohort import write_cohort

SIZE = {"samples": 2_504, "variants": 43_438}
QUICK_SIZE = {"samples": 300, "variants": 600}
QUICK_SETTINGS = ("--members", 0, "--folds", 5, "--checks", 1)
LIMIT_SECONDS, LIMIT_GB, LIMIT_RATIO = 240, 2.0, 12.0
LIMIT_TREES = 900  # seconds; the cost of trees that are stopped is a lower bound


def discover(folder: Path, out: Path, phenotypes: int, *more: object) -> Run:
    """`genodl discover` on the first phenotypes."""
    listed = folder / "phenotypes.txt"
    listed.write_text("".join(f"y{i}\n" for i in range(phenotypes)))
    files = ("--variants", folder / "variants.vcf.gz", "--samples", folder / "samples.tsv")
    return genodl("discover", *files, "--phenotype", f"@{listed}", "--out", out, *more)


def trees(folder: Path) -> dict[str, Any]:
    """XGBoost with cross-validated SHAP on the first phenotype, or why it was left out."""
    try:
        import xgboost  # noqa: F401
    except ImportError:
        return {"skipped": "xgboost is not installed"}
    run = weighed(ROOT / "benchmarks" / "_speed_trees.py", folder, limit=LIMIT_TREES)
    return {**run.weight, **json.loads(run.stdout or '{"stopped": true}')}


def measured(folder: Path, phenotypes: int, *more: object, warm: bool) -> dict[str, Any]:
    """One phenotype, the trees, and many phenotypes; what the folder holds is not run again."""
    with tempfile.TemporaryDirectory() as out:
        if warm:  # what is compiled once for good is no cost of a run
            discover(folder, Path(out), 1, *more)
        return {
            "one": part(folder / "one.json", lambda: discover(folder, Path(out), 1, *more).weight),
            "trees": part(folder / "trees.json", lambda: trees(folder)),
            "many": part(
                folder / f"many_{phenotypes}.json",
                lambda: discover(folder, Path(out), phenotypes, *more).weight,
            )
            if phenotypes > 1
            else {"skipped": "one phenotype was asked for"},
        }


def part(path: Path, run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a run found, from its file where it was run before, with the commit it ran on."""
    return kept(path, lambda: {**run(), "commit": commit()})


def criteria(found: dict[str, Any], phenotypes: int) -> dict[str, dict[str, Any]]:
    """What the numbers are held to."""
    one, many, other = found["one"], found["many"], found["trees"]
    held = {
        "seconds_of_one": at_most(one["seconds"], LIMIT_SECONDS),
        "memory_gb_of_one": at_most(one["memory_gb"], LIMIT_GB),
    }
    if "skipped" not in many:
        ratio = many["cpu_seconds"] / one["cpu_seconds"]
        held[f"cpu_of_{phenotypes}_over_one"] = at_most(round(ratio, 2), LIMIT_RATIO)
    if "skipped" not in other:
        ratio = one["cpu_seconds"] / other["cpu_seconds"]
        held["cpu_of_one_over_trees"] = at_most(round(ratio, 3), 1.0)
    return held


def main() -> None:
    given = options(
        __doc__,
        phenotypes={
            "type": int,
            "help": "how many are many; 100, and 3 at toy size; 1 measures one alone",
        },
        folder={"type": Path, "help": "keeps the cohort and each finished run, to go on later"},
    )
    phenotypes = given.phenotypes or (3 if given.quick else 100)
    size = QUICK_SIZE if given.quick else SIZE
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        if not (folder / "dosage.npy").exists():
            write_cohort(folder, **size, phenotypes=phenotypes, seed=1)
        more = QUICK_SETTINGS if given.quick else ()
        found = measured(folder, phenotypes, *more, warm=not (given.quick or given.folder))
    held = criteria(found, phenotypes)
    if given.quick:  # starting the interpreter is most of the cost of a toy
        held = {name: held[name] for name in ("seconds_of_one", "memory_gb_of_one")}
    show("discover", quick=given.quick, criteria=held, size=size, phenotypes=phenotypes, **found)


if __name__ == "__main__":
    main()
