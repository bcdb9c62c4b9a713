"""The main job on a simulated cohort whose markers are known."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from genodl.cli.progress import display
from genodl.cli.run import Inputs, discover
from genodl.config import DiscoverConfig

COVARIATES = ["age", "sex", "site"]
PHENOTYPE = "response"


def run_demo(out: Path, *, seed: int) -> list[str]:
    """Simulate, write, discover, report; the lines that compare planted with found."""
    from genodl import simulate
    from genodl.pipeline.found import writable

    results = out / "results"
    writable(results)
    with display() as shown, shown.step("simulating"):
        simulated = simulate.cohort(seed=seed)
        paths = simulate.write(simulated, out / "cohort")
    inputs = Inputs(
        samples=paths["samples"],
        variants=(paths["variants"],),
        expression=paths["expression"],
        features={},
    )
    config = DiscoverConfig(pcs=2, seed=seed)
    lines = discover(
        inputs, results, phenotypes=[PHENOTYPE], covariates=COVARIATES, drop=[], config=config
    )
    markers = pd.read_csv(results / "markers.tsv", sep="\t", dtype={"contig": str})
    loci = pd.read_csv(results / "loci.tsv", sep="\t", dtype={"contig": str})
    return [*lines, "", *compare(simulated.truth, markers, loci, fdr=config.fdr)]


def compare(
    truth: pd.DataFrame, markers: pd.DataFrame, loci: pd.DataFrame, *, fdr: float
) -> list[str]:
    """Planted markers with the rank and q-value of their locus, and the realised FDR."""
    locus_of = dict(zip(markers["marker"], markers["locus"], strict=True))
    keys = zip(loci["modality"], loci["locus"], strict=True)
    place = dict(zip(keys, zip(loci["rank"], loci["q_value"], strict=True), strict=True))
    lines = [f"{'planted':<20} {'modality':<11} {'role':<22} {'locus rank':>10} {'q':>9}  found"]
    hit: set[tuple[str, str]] = set()
    for row in truth.itertuples():
        if row.marker not in locus_of:
            lines.append(f"{row.marker:<20} {row.modality:<11} {row.role:<22} filtered out")
            continue
        key = (str(row.modality), str(locus_of[row.marker]))
        rank, q = place[key]
        found = q < fdr
        hit |= {key} if found else set()
        lines.append(
            f"{row.marker:<20} {row.modality:<11} {row.role:<22} {rank:>10} {q:>9.2g}"
            f"  {'yes' if found else 'no'}"
        )
    selected = loci[loci["q_value"] < fdr]
    chosen = set(zip(selected["modality"], selected["locus"], strict=True))
    false = len(chosen - hit)
    realised = false / len(chosen) if chosen else 0.0
    lines.append(
        f"{len(chosen)} loci at FDR {fdr:g}: {len(chosen) - false} hold a planted marker, "
        f"{false} do not; realised false discovery proportion {realised:.2f}"
    )
    return lines
