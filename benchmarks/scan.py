"""The linear scan beside plink2 --glm: whole processes, the same files and threads, p-values alike.

A simulated cohort of 2,504 samples and 22,070 variants, five covariates and 100 quantitative
phenotypes: with 1 % missing calls; without any, where plink2 takes all phenotypes at once; and with
1 % for ten phenotypes each missing in samples of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _record import at_most, genodl, options, show

SAMPLES, VARIANTS, PHENOTYPES, COVARIATES = 2504, 22_070, 100, 5
REPEATS = 3
# name of the case, share of missing calls, whether each phenotype lacks samples of its own
CASES = (("missing_calls", 0.01, False), ("all_called", 0.0, False), ("own_missing", 0.01, True))


def write_cohort(
    folder: Path, *, samples: int, variants: int, phenotypes: int, missing_rate: float, seed: int
) -> None:
    """PLINK 1 files and a sample table, which plink2 reads as phenotypes and covariates too."""
    rng = np.random.default_rng(seed)
    frequency = rng.uniform(0.05, 0.5, variants)
    dosage = rng.binomial(2, frequency[:, None], (variants, samples)).astype(np.uint8)
    missing = rng.random((variants, samples)) < missing_rate
    bits = np.where(missing, 1, np.array([3, 2, 0], np.uint8)[dosage]).astype(np.uint8)
    bits = np.pad(bits, ((0, 0), (0, -samples % 4))).reshape(variants, -1, 4)
    packed = (bits << np.array([0, 2, 4, 6], np.uint8)).sum(2, dtype=np.uint8)
    (folder / "cohort.bed").write_bytes(b"\x6c\x1b\x01" + packed.tobytes())
    ids = [f"S{i}" for i in range(samples)]
    pd.DataFrame({"f": 0, "i": ids, "p": 0, "m": 0, "s": 0, "y": -9}).to_csv(
        folder / "cohort.fam", sep="\t", header=False, index=False
    )
    place = np.arange(variants)
    names = [f"rs{i}" for i in place]
    pd.DataFrame(
        {"c": 1 + place % 22, "i": names, "cm": 0, "pos": 1000 * (place + 1), "a1": "A", "a2": "C"}
    ).sort_values(["c", "pos"]).to_csv(folder / "cohort.bim", sep="\t", header=False, index=False)
    covariates = rng.standard_normal((samples, COVARIATES))
    effect = np.where(rng.random((variants, phenotypes)) < 3 / variants, 0.4, 0.0)
    y = rng.standard_normal((samples, phenotypes)) + covariates @ rng.standard_normal(
        (COVARIATES, phenotypes)
    )
    y += dosage.T.astype(np.float32) @ effect.astype(np.float32)
    table = pd.DataFrame(y, columns=[f"y{i}" for i in range(phenotypes)])
    own = y[:, :10] + 0
    own[rng.random(own.shape) < 0.1] = np.nan
    table[[f"own{i}" for i in range(own.shape[1])]] = own
    table[[f"c{i}" for i in range(COVARIATES)]] = covariates
    table.insert(0, "#IID", ids)
    table.to_csv(folder / "samples.tsv", sep="\t", index=False, na_rep="NA")


def run_genodl(folder: Path, names: list[str], out: Path) -> dict[str, float]:
    """Seconds and memory of `genodl scan`."""
    listed = folder / "names.txt"
    listed.write_text("\n".join(names) + "\n")
    covariates = ",".join(f"c{i}" for i in range(COVARIATES))
    return genodl(
        *("scan", "--variants", folder / "cohort.bed", "--samples", folder / "samples.tsv"),
        *("--phenotype", f"@{listed}", "--covariates", covariates, "--out", out),
    ).weight


def run_plink(folder: Path, names: list[str], threads: int) -> dict[str, float]:
    """Seconds of `plink2 --glm` on the same."""
    began, spent = time.perf_counter(), os.times()
    subprocess.run(
        [
            *("plink2", "--bfile", "cohort", "--pheno", "samples.tsv", "--pheno-name", *names),
            *("--covar", "samples.tsv", "--covar-name", *(f"c{i}" for i in range(COVARIATES))),
            *("--glm", "hide-covar", "--threads", str(threads), "--out", "plink"),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    after = os.times()
    cpu = after.children_user + after.children_system - spent.children_user - spent.children_system
    return {"seconds": round(time.perf_counter() - began, 2), "cpu_seconds": round(cpu, 2)}


def agreement(folder: Path, names: list[str], table: Path) -> dict[str, Any]:
    """The greatest difference of the two tables over some phenotypes."""
    ours = pd.read_csv(table, sep="\t")
    worst = {"log10_p": 0.0, "t": 0.0, "n": 0}
    for name in names:
        theirs = pd.read_csv(folder / f"plink.{name}.glm.linear", sep="\t")
        mine = ours[ours["phenotype"] == name].reset_index(drop=True)
        both = theirs["T_STAT"].notna() & mine["t"].notna()
        if not (len(theirs) == len(mine) and both.all()):
            raise RuntimeError(f"{name}: {len(mine)} rows, plink2 has {len(theirs)}")
        log_p = np.log10(mine["p_value"]) - np.log10(theirs["P"])
        worst["log10_p"] = max(worst["log10_p"], float(log_p.abs().max()))
        size = mine["t"].abs() - theirs["T_STAT"].abs()
        worst["t"] = max(worst["t"], float(size.abs().max()))
        worst["n"] = max(worst["n"], int((mine["n"] - theirs["OBS_CT"]).abs().max()))
    return worst


def measured(
    case: str, rate: float, own: bool, size: dict[str, int], threads: int
) -> dict[str, Any]:
    """Both programs on one cohort."""
    count = 10 if own else size["phenotypes"]
    names = [f"own{i}" if own else f"y{i}" for i in range(count)]
    # plink2 takes minutes where calls are missing
    repeats = REPEATS if rate == 0 else 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_cohort(folder, **size, missing_rate=rate, seed=1)
        run_genodl(folder, names[:1], folder / "first.tsv")  # compiles once for good
        ours = [run_genodl(folder, names, folder / "ours.tsv") for _ in range(REPEATS)]
        found: dict[str, Any] = {"phenotypes": count, "genodl": ours}
        if shutil.which("plink2") is None:
            return {**found, "skipped": "plink2 is not installed"}
        theirs = [run_plink(folder, names, threads) for _ in range(repeats)]
        least = [
            {unit: min(r[unit] for r in runs) for unit in ("seconds", "cpu_seconds")}
            for runs in (ours, theirs)
        ]
        return {
            **found,
            "plink2": theirs,
            "ratio": round(least[0]["seconds"] / least[1]["seconds"], 3),
            "ratio_of_cpu": round(least[0]["cpu_seconds"] / least[1]["cpu_seconds"], 3),
            "greatest_difference": agreement(folder, names[:10], folder / "ours.tsv"),
        }


def main() -> None:
    given = options(__doc__)
    threads = len(os.sched_getaffinity(0))
    small = given.quick
    size = {"samples": 500, "variants": 2000, "phenotypes": 10} if small else {
        "samples": SAMPLES, "variants": VARIANTS, "phenotypes": PHENOTYPES}  # fmt: skip
    found = {name: measured(name, rate, own, size, threads) for name, rate, own in CASES}
    criteria = {
        f"{case}_{name}": at_most(entry["greatest_difference"][name], most)
        for case, entry in found.items()
        if "plink2" in entry
        # plink2 prints six digits
        for name, most in (("log10_p", 1e-3), ("n", 0))
    }
    if not small and "plink2" in found["missing_calls"]:
        criteria["seconds_beside_plink2"] = at_most(found["missing_calls"]["ratio"], 1.0)
    show("scan", quick=small, criteria=criteria, size=size, threads=threads, **found)


if __name__ == "__main__":
    main()
