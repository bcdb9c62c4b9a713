"""Reading variants beside cyvcf2, pysam and plink2: whole processes, the same files, two threads.

A simulated cohort of 2,504 samples and 100,000 variants (msprime) as VCF.gz, BCF, an indexed
VCF.gz, a VCF.gz of GT:AD:DP:GQ:PL and a store; the memory of ingest at ten times the variants; and
how time grows with samples and variants.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from _record import at_least, at_most, genodl, options, show, weighed, weighed_program

READER = Path(__file__).with_name("_variant_reader.py")
WRITER = Path(__file__).with_name("_variant_files.py")
SAMPLES, VARIANTS, RICH, TIMES, LOOP = 2504, 100_000, 10_000, 10, 1000
QUICK_SAMPLES, QUICK_VARIANTS, QUICK_RICH, QUICK_TIMES, QUICK_LOOP = 100, 1000, 300, 2, 100
REPEATS = 3
# file, peer, least ratio of its time to ours
RATIOS = (
    ("vcf", "cyvcf2", 6.0),
    ("vcf", "pysam", 40.0),
    ("vcf", "plink2", 1.0),
    ("bcf", "cyvcf2", 3.0),
    ("bcf", "plink2", 1.0),
    ("rich", "cyvcf2", 3.0),
)


def read(name: str, path: Path, records: int = 0) -> dict[str, Any]:
    """One contender's costs on one file."""
    run = weighed(READER, name, path, records)
    return {**run.weight, **json.loads(run.stdout)}


def plink2(path: Path, folder: Path) -> dict[str, Any]:
    """plink2's import of a file."""
    kind = "--bcf" if path.suffix == ".bcf" else "--vcf"
    out = folder / "plink"
    return weighed_program("plink2", kind, path, "--make-pgen", "--threads", 2, "--out", out).weight


def bed_bytes(path: Path, folder: Path) -> int:
    """Size of the PLINK 1 file of the same calls."""
    out = folder / "plink"
    weighed_program("plink2", "--vcf", path, "--make-bed", "--threads", 2, "--out", out)
    return out.with_suffix(".bed").stat().st_size


def least(runs: list[dict[str, Any]]) -> dict[str, float]:
    """The least wall and processor time of some runs."""
    return {unit: min(r[unit] for r in runs) for unit in ("seconds", "cpu_seconds")}


def beside_peers(
    files: dict[str, Path], folder: Path, *, loop: int, records: int, repeats: int
) -> dict[str, Any]:
    """Every contender on every file, turn by turn, so that all share the machine's moods."""
    runs: dict[str, dict[str, list]] = {}
    for _ in range(repeats):
        for kind, path in files.items():
            turns = {"genodl": lambda p=path: read("genodl", p)}
            turns["blocks"] = lambda p=path: read("blocks", p)
            if kind != "indexed" and find_spec("cyvcf2"):
                turns["cyvcf2"] = lambda p=path: read("cyvcf2", p)
            if kind in ("vcf", "bcf") and shutil.which("plink2"):
                turns["plink2"] = lambda p=path: plink2(p, folder)
            if kind == "vcf":
                turns["pysam"] = lambda p=path: scaled(read("pysam", p, loop), records / loop)
            for name, turn in turns.items():
                runs.setdefault(kind, {}).setdefault(name, []).append(turn())
    return runs


def scaled(run: dict[str, Any], times: float) -> dict[str, Any]:
    """A run of a stretch as if it were of the whole: the reading so many times longer."""
    start = run["seconds"] - run["read_seconds"]
    start_cpu = run["cpu_seconds"] - run["read_cpu_seconds"]
    return {
        **run,
        "seconds": round(start + times * run["read_seconds"], 2),
        "cpu_seconds": round(start_cpu + times * run["read_cpu_seconds"], 2),
        "scaled_by": times,
    }


def store_of(path: Path, folder: Path, repeats: int) -> dict[str, Any]:
    """Writing the store by the command, reading it again, and its size."""
    store = folder / "cohort.zarr"
    writes = []
    for _ in range(repeats):
        shutil.rmtree(store, ignore_errors=True)
        writes.append(genodl("ingest", path, "--out", store).weight)
    genodl("ingest", path, "--out", store, "--verify")
    found = {
        "ingest": writes,
        "reading": [read("loaded", store) for _ in range(repeats)],
        "reading_vcf": [read("loaded", path) for _ in range(repeats)],
        "bytes": sum(f.stat().st_size for f in store.rglob("*") if f.is_file()),
        "bytes_of_calls": sum(f.stat().st_size for f in (store / "X").iterdir()),
    }
    if shutil.which("plink2"):
        found["bed_bytes"] = bed_bytes(path, folder)
    return found


def growth(files: list[tuple[int, str]]) -> dict[str, Any]:
    """Reading time of some sizes, and its exponent: 1 is linear."""
    sizes = [size for size, _ in files]
    seconds = [
        min(read("loaded", Path(path))["read_cpu_seconds"] for _ in range(2)) for _, path in files
    ]
    slope = float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])
    return {"sizes": sizes, "read_cpu_seconds": seconds, "exponent": round(slope, 3)}


def ratio(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> dict[str, float]:
    """How many times our wall and processor time theirs is, of the best run of each."""
    one, other = least(ours), least(theirs)
    return {unit: round(other[unit] / one[unit], 2) for unit in one}


def measure(given: Any, work: Path, folder: Path) -> tuple[dict[str, Any], dict[str, dict]]:
    """Everything that was measured, and the criteria."""
    quick = given.quick
    samples, variants = (QUICK_SAMPLES, QUICK_VARIANTS) if quick else (SAMPLES, VARIANTS)
    rich, loop = (QUICK_RICH, QUICK_LOOP) if quick else (RICH, LOOP)
    times, repeats = (QUICK_TIMES, 1) if quick else (TIMES, REPEATS)
    made = json.loads(weighed(WRITER, work, samples, variants, rich, times).stdout)
    files = {kind: Path(made[kind][0][1]) for kind in ("vcf", "bcf", "indexed", "rich")}
    vcf = files["vcf"]
    for path in files.values():
        read("genodl", path)  # compiles once for good
    runs = beside_peers(files, folder, loop=loop, records=variants, repeats=repeats)
    store = store_of(vcf, folder, repeats)
    memory = {
        "1": genodl("ingest", vcf, "--out", folder / "one.zarr").weight,
        str(times): genodl("ingest", made["longer"][0][1], "--out", folder / "more.zarr").weight,
    }
    ratios = {
        f"{kind}_{peer}": ratio(runs[kind]["genodl"], runs[kind][peer])
        for kind, peer, _ in RATIOS
        if peer in runs[kind]
    }
    found = {
        "size": {"samples": samples, "variants": variants, "rich_variants": rich},
        "ratios": ratios,
        "runs": runs,
        "store": store,
        "ingest_memory": memory,
        "growth": {axis: growth(made[axis]) for axis in ("samples", "variants")},
        "skipped": [f"{k} {p}" for k, p, _ in RATIOS if p not in runs[k]],
    }
    return found, {} if quick else judged(found, times)


def judged(found: dict[str, Any], times: int) -> dict[str, dict]:
    """The criteria of the whole size."""
    runs, store = found["runs"], found["store"]
    criteria = {
        f"{kind}_times_{peer}": at_least(found["ratios"][f"{kind}_{peer}"]["seconds"], bound)
        for kind, peer, bound in RATIOS
        if f"{kind}_{peer}" in found["ratios"]
    }
    reading = least(runs["vcf"]["genodl"])["seconds"]
    again = min(r["read_seconds"] for r in store["reading"])
    once = min(r["read_seconds"] for r in store["reading_vcf"])
    criteria["ingest_over_reading"] = at_most(
        round(least(store["ingest"])["seconds"] / reading, 2), 1.5
    )
    criteria["store_again_times_faster"] = at_least(round(once / again, 2), 5.0)
    if "bed_bytes" in store:
        criteria["store_over_bed"] = at_most(round(store["bytes"] / store["bed_bytes"], 3), 1.0)
    memory = found["ingest_memory"][str(times)]["memory_gb"]
    criteria["ingest_memory_gb"] = at_most(memory, 0.6)
    for axis, entry in found["growth"].items():
        criteria[f"exponent_in_{axis}"] = at_most(entry["exponent"], 1.1)
    return criteria


def main() -> None:
    given = options(__doc__, work={"type": Path, "help": "folder that keeps the files"})
    with tempfile.TemporaryDirectory(dir=given.work) as name:
        folder = Path(name)
        found, criteria = measure(given, given.work or folder, folder)
    show("ingest", quick=given.quick, criteria=criteria, **found)


if __name__ == "__main__":
    main()
