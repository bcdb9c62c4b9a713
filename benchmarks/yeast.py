"""Yeast: the causal locus of seven expression traits among 112 segregants comes first.

Two claims on a BY x RM cross (Brem and Kruglyak 2005), both through the command line: variants
alone, all traits in one run; then, trait by trait, expression added and the trait's own gene left
out.

    python benchmarks/yeast.py [--quick]
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from _record import Run, at_least, at_most, data_folder, genodl, options, show, table

FDR = 0.1
LIMIT_SECONDS = 120
MODALITIES = ("expression", "variants")
QUICK = ("--members", 0, "--folds", 5, "--checks", 0)


def expected_first(markers: pd.DataFrame, loci: pd.DataFrame) -> list[dict[str, Any]]:
    """Where the expected locus of each phenotype stands among the variants.

    Parameters
    ----------
    markers : of one run; the modality `variants` counts
    loci : phenotype contig start end causal_gene, positions 1-based and closed
    """
    found = []
    for want in loci.itertuples():
        chosen = (markers["phenotype"] == want.phenotype) & (markers["modality"] == "variants")
        ranked = markers[chosen].sort_values("rank").reset_index(drop=True)
        inside = (ranked["contig"] == want.contig) & ranked["pos"].between(want.start, want.end)
        if not inside.any():
            raise LookupError(f"no variant tested on {want.phenotype} lies in its expected locus")
        best = ranked[inside].iloc[0]
        found.append(
            {
                "phenotype": want.phenotype,
                "causal_gene": want.causal_gene,
                "rank": int(inside.to_numpy().argmax()) + 1,
                "marker": best["marker"],
                "p_value": float(best["p_value"]),
                "q_value": float(best["q_value"]),
                "stability": float(best["stability"]),
                "selected_loci": int(ranked.loc[ranked["q_value"] < FDR, "locus"].nunique()),
            }
        )
    return found


def discover(folder: Path, out: Path, names: list[str], *more: object) -> Run:
    """`genodl discover` on the cross."""
    files = ("--variants", folder / "variants.vcf.gz", "--samples", folder / "samples.tsv")
    return genodl("discover", *files, "--phenotype", ",".join(names), "--out", out, *more)


def variants_alone(folder: Path, out: Path, loci: pd.DataFrame, *more: object) -> dict[str, Any]:
    """The first claim."""
    run = discover(folder, out, list(loci["phenotype"]), *more)
    ranks = expected_first(table(out / "markers.tsv"), loci)
    return {**run.weight, "phenotypes": ranks}


def with_expression(
    folder: Path, out: Path, loci: pd.DataFrame, name: str, *more: object
) -> dict[str, Any]:
    """The second claim, for one trait: the gene of the same name is dropped."""
    extra = ("--expression", folder / "expression.h5ad", "--drop-markers", name)
    run = discover(folder, out, [name], *extra, *more)
    markers = table(out / "markers.tsv")
    report = (out / "report.html").read_text(encoding="utf-8")
    return {
        **run.weight,
        **expected_first(markers, loci[loci["phenotype"] == name])[0],
        "tested": markers["modality"].value_counts().sort_index().to_dict(),
        "own_gene_tested": bool((markers["marker"] == name).any()),
        "reported": [m for m in MODALITIES if f"markers: {m}" in report],
    }


def main() -> None:
    """Measure and print."""
    given = options(__doc__)
    folder = data_folder() / "yeast"
    loci = pd.read_csv(folder / "expected_loci.tsv", sep="\t")
    loci, more = (loci[:2], QUICK) if given.quick else (loci, ())
    with tempfile.TemporaryDirectory() as scratch:
        alone = variants_alone(folder, Path(scratch, "variants"), loci, *more)
        added = [
            with_expression(folder, Path(scratch, name), loci, name, *more)
            for name in (loci["phenotype"][:1] if given.quick else loci["phenotype"])
        ]
    first = sum(p["rank"] == 1 and p["q_value"] < FDR for p in alone["phenotypes"])
    both = sum(
        tuple(each["reported"]) == tuple(sorted(each["tested"])) == MODALITIES
        and not each["own_gene_tested"]
        for each in added
    )
    show(
        "yeast",
        quick=given.quick,
        criteria={
            "expected locus first and q < 0.1": at_least(first, len(loci)),
            "seconds": at_most(alone["seconds"], LIMIT_SECONDS),
            "both modalities reported, own gene dropped": at_least(both, len(added)),
        },
        variants=alone,
        with_expression=added,
    )


if __name__ == "__main__":
    main()
