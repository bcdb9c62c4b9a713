"""Permuted phenotypes: where nothing is to be found, next to nothing is, and p-values are uniform.

Phenotypes of the yeast cross and of the cancer cell lines change owners among the samples where
they are known; many permutations are columns of one sample table, so one run tests them all. Each
column counts as a run of its own: its false discovery rate is controlled by itself. The networks
are trained on fewer permutations, in a second run.

    python benchmarks/permuted.py [--quick] [--permutations 20] [--members 8]
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _record import at_most, data_folder, genodl, options, show, table

FDR = 0.1
MOST_RUNS = 0.1
# level -> greatest share of p-values below it
BOUNDS = {0.05: 0.06, 0.01: 0.0125, 0.001: 0.0017}
COVARIATES = ["tissue_factor", "msi_factor"]
PHENOTYPES = 7  # permuted in each cohort, spread over its sample table


def permuted(
    samples: pd.DataFrame, phenotypes: list[str], *, permutations: int, seed: int
) -> pd.DataFrame:
    """Columns whose known values changed owners; missing values stay where they are.

    Parameters
    ----------
    samples : one row a sample

    Returns
    -------
    DataFrame, columns `<phenotype> permuted <number>`, from 1
    """
    rng = np.random.default_rng(seed)
    columns = {}
    for name in phenotypes:
        values = samples[name].to_numpy(float)
        known = np.isfinite(values)
        for number in range(1, permutations + 1):
            shuffled = values.copy()
            shuffled[known] = rng.permutation(values[known])
            columns[f"{name} permuted {number}"] = shuffled
    return pd.DataFrame(columns, index=samples.index)


def calibration(markers: pd.DataFrame, loci: pd.DataFrame) -> dict[str, Any]:
    """Runs that discover, and shares of p-values below each level with their standard errors.

    The standard error takes the runs as independent, and the markers of one run as they are.
    """
    least = loci.groupby("phenotype")["q_value"].min()
    by_run = markers.groupby("phenotype")["p_value"]
    below = {}
    for level in BOUNDS:
        shares = by_run.agg(lambda p, level=level: (p < level).mean())
        error = float(shares.std(ddof=1) / np.sqrt(len(shares))) if len(shares) > 1 else None
        share = float((markers["p_value"] < level).mean())
        below[str(level)] = {"share": share, "standard_error": error}
    return {
        "runs": len(least),
        "runs_with_discovery": int((least < FDR).sum()),
        "share_with_discovery": float((least < FDR).mean()),
        "n_p_values": len(markers),
        "below": below,
    }


def run(
    folder: Path,
    name: str,
    scratch: Path,
    *,
    permutations: int,
    members: int,
    folds: int,
    seed: int,
    phenotypes: int = PHENOTYPES,
) -> dict[str, Any]:
    """Permute, discover, count, on one of the two cohorts."""
    cross = name == "yeast"
    path = folder / name / ("samples.tsv" if cross else "samples.tsv.gz")
    samples = pd.read_csv(path, sep="\t", dtype={0: str}, index_col=0)
    covariates = [] if cross else COVARIATES
    traits = [c for c in samples.columns if c not in COVARIATES]
    spread = np.linspace(0, len(traits) - 1, min(phenotypes, len(traits))).round().astype(int)
    chosen = [traits[i] for i in spread]
    shuffled = permuted(samples, chosen, permutations=permutations, seed=seed)
    scratch.mkdir()
    samples[covariates].join(shuffled).to_csv(scratch / "samples.tsv", sep="\t", na_rep="NA")
    (scratch / "names.txt").write_text("".join(f"{c}\n" for c in shuffled), encoding="utf-8")
    markers = (
        ("--variants", folder / name / "variants.vcf.gz")
        if cross
        else ("--features", f"alterations={folder / name / 'alterations.h5ad'}")
    )
    adjusted = ("--covariates", ",".join(covariates)) if covariates else ()
    settings = ("--checks", 0, "--members", members, "--folds", folds, "--seed", seed)
    tested = ("--samples", scratch / "samples.tsv", "--phenotype", f"@{scratch / 'names.txt'}")
    done = genodl("discover", *markers, *tested, *adjusted, *settings, "--out", scratch / "out")
    found = calibration(table(scratch / "out" / "markers.tsv"), table(scratch / "out" / "loci.tsv"))
    return {
        "cohort": name,
        "members": members,
        "folds": folds,
        "phenotypes": len(chosen),
        **done.weight,
        **found,
    }


def judged(found: dict[str, Any]) -> dict[str, dict]:
    """The criteria of one run of the command."""
    label = f"{found['cohort']}, members {found['members']}"
    shares = {
        f"{label}: share of p-values below {level:g}": at_most(
            found["below"][str(level)]["share"], most
        )
        for level, most in BOUNDS.items()
    }
    discovery = at_most(found["share_with_discovery"], MOST_RUNS)
    return {f"{label}: share of runs with q < 0.1": discovery, **shares}


def main() -> None:
    """Measure and print."""
    given = options(
        __doc__,
        permutations={"type": int, "default": 20, "help": "of each phenotype, without networks"},
        members={"type": int, "default": 8, "help": "networks in the second run; 0 leaves it out"},
        seed={"type": int, "default": 0, "help": "of the permutations and of the runs"},
    )
    plan = [(given.permutations, 0), (max(given.permutations // 10, 1), given.members)]
    plan = [(1, 0)] if given.quick else plan[: 1 + bool(given.members)]
    folds = 5 if given.quick else 10
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        for permutations, members in plan:
            for name in ("yeast", "gdsc"):
                place = Path(scratch, f"{name}_{members}")
                settings = {"permutations": permutations, "members": members, "folds": folds}
                results.append(run(data_folder(), name, place, seed=given.seed, **settings))
    criteria = {key: value for found in results for key, value in judged(found).items()}
    show("permuted", quick=given.quick, criteria=criteria, results=results)


if __name__ == "__main__":
    main()
