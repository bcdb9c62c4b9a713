"""A made-up result folder with the files, columns and oddities of a real one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm

ODD = "gain<b>:cna_13 & (CDK6,HGF), $x_1$"
VERSIONS = {"jax": "0.10.2", "numpy": "2.1.0", "python": "3.12.4"}


def write_result(
    folder: Path,
    *,
    phenotypes: tuple[str, ...] = ("response",),
    variants: int = 400,
    expression: int = 150,
    hits: int = 3,
    fdr: float = 0.1,
    passed: bool = True,
    predictions: bool = False,
    seed: int = 0,
) -> Path:
    """Write markers, loci, performance, calibration and run files; the first `hits` are found."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    tables = [_markers(rng, name, variants, expression, hits) for name in phenotypes]
    markers = pd.concat(tables)
    loci = pd.concat([_loci(table) for table in tables])
    markers.to_csv(folder / "markers.tsv", sep="\t", index=False)
    loci.to_csv(folder / "loci.tsv", sep="\t", index=False)
    performance = {name: _performance(rng, name) for name in phenotypes}
    calibration = {
        name: {
            "n_tested": len(table),
            "n_loci": table["locus"].nunique(),
            "lambda": 1.03,
            "n_discoveries": int((_loci(table)["q_value"] < fdr).sum()),
        }
        for name, table in zip(phenotypes, tables, strict=True)
    }
    _dump(folder / "performance.json", performance)
    _dump(folder / "calibration.json", calibration | {"self_check": _self_check(rng, passed)})
    _dump(folder / "run.json", _run(variants, expression, fdr))
    if predictions:
        _predictions(rng, phenotypes).to_csv(folder / "predictions.tsv", sep="\t", index=False)
    return folder


def _markers(rng, phenotype, variants, expression, hits):
    """One phenotype: `hits` strong markers among null ones, 20 neighbours a locus."""
    total = variants + expression
    z = rng.normal(size=total)
    if hits:
        chosen = rng.choice(total, hits, replace=False)
        z[chosen] = np.linspace(8.5, 5.5, hits)
    contig = np.sort(rng.integers(1, 23, variants)).astype(str)
    pos = np.sort(rng.integers(1, 200_000_000, variants))
    names = [f"{c}:{p}:A:G" for c, p in zip(contig, pos, strict=True)]
    genes = [ODD, *(f"GENE{i}" for i in range(1, expression))][:expression]
    blank = [""] * expression
    frame = pd.DataFrame(
        {
            "phenotype": phenotype,
            "rank": 0,
            "marker": names + genes,
            "modality": ["variants"] * variants + ["expression"] * expression,
            "contig": [*contig, *blank],
            "pos": [*pos.astype(str), *blank],
            "ref": ["A"] * variants + blank,
            "alt": ["G"] * variants + blank,
            "locus": [f"L{c}_{i // 4}" for i, c in enumerate(contig)] + genes,
            "score": z,
            "effect": z * 0.05,
            "p_value": norm.sf(z),
            "q_value": np.minimum(1, norm.sf(z) * total),
            "stability": np.clip(0.4 + 0.07 * z + rng.normal(0, 0.08, total), 0, 1),
            "marginal_p": norm.sf(z * 0.9),
        }
    ).sort_values("score", ascending=False)
    frame["rank"] = np.arange(1, total + 1)
    return frame


def _loci(markers):
    """The best marker of each locus, Bonferroni within it, q by Benjamini and Hochberg."""
    size = markers.groupby("locus")["marker"].transform("size")
    lead = markers.assign(n_markers=size).drop_duplicates("locus").copy()
    lead["p_value"] = np.minimum(1, lead["p_value"] * lead["n_markers"])
    lead = lead.sort_values("p_value")
    order = np.arange(1, len(lead) + 1)
    scaled = lead["p_value"].to_numpy() * len(lead) / order
    lead["q_value"] = np.minimum.accumulate(scaled[::-1])[::-1].clip(max=1)
    lead["rank"] = order
    lead = lead.assign(start=lead["pos"], end=lead["pos"], lead_marker=lead["marker"])
    columns = "phenotype rank locus contig start end lead_marker n_markers p_value q_value modality"
    return lead[columns.split()]


def _performance(rng, phenotype):
    """Three models with intervals; AUC for a phenotype named after a class."""
    binary = phenotype.startswith("case")
    floor = 0.55 if binary else 0.04
    linear = floor + 0.25 + rng.normal(0, 0.02)
    values = {"covariates": floor, "linear": linear, "deep": linear - 0.01}
    return {
        "kind": "binary" if binary else "quantitative",
        "metric": "auc" if binary else "r2",
        "n": 812,
        **{k: {"value": v, "low": v - 0.06, "high": v + 0.06} for k, v in values.items()},
        "network_adds": False,
        "gate": 0.0,
        "statement": "The network adds nothing over the linear model.",
    }


def _self_check(rng, passed):
    """Permuted phenotypes: uniform p-values, or too small ones where it failed."""
    p = np.sort(rng.uniform(size=4_000) ** (1.0 if passed else 1.6))
    index = np.unique(np.geomspace(1, len(p), 80).astype(int))
    return {
        "replicates": 20,
        "n_p_values": len(p),
        "below": {str(level): float((p < level).mean()) for level in (0.05, 0.01, 0.001)},
        "runs_with_discovery": 1 if passed else 11,
        "quantiles": {
            "expected_log10p": (-np.log10((index - 0.5) / len(p))).tolist(),
            "observed_log10p": (-np.log10(p[index - 1])).tolist(),
        },
        "passed": passed,
        "statement": "p-values hold." if passed else "11 of 20 permuted runs found something.",
    }


def _run(variants, expression, fdr):
    """Provenance with every field."""
    return {
        "genodl": "0.1.0",
        "versions": VERSIONS,
        "device": "cpu",
        "seed": 0,
        "created": "2026-01-02T03:04:05Z",
        "inputs": [{"path": "cohort & co.vcf.gz", "sha256": "ab" * 32, "bytes": 7_340_032}],
        "config": {"model": "mlp", "fdr": fdr, "covariates": ["age", "site"], "screen": {"k": 200}},
        "losses": [
            {"what": "markers", "count": 1203, "reason": "call rate < 0.9", "modality": "variants"},
            {"what": "samples", "count": 7, "reason": "no phenotype", "modality": ""},
        ],
        "samples": 812,
        "markers": {"variants": variants, "expression": expression},
        "folds": 10,
        "members": 8,
    }


def _predictions(rng, phenotypes):
    """Out-of-fold predictions of 200 samples."""
    frames = []
    for name in phenotypes:
        deep = rng.normal(size=200)
        observed = 0.5 * deep + rng.normal(size=200)
        if name.startswith("case"):
            observed = (observed > 0).astype(float)
        frame = {"phenotype": name, "sample": [f"s{i}" for i in range(200)], "fold": 0}
        frame |= {"observed": observed, "covariates": 0.0, "linear": deep * 0.9, "deep": deep}
        frames.append(pd.DataFrame(frame))
    return pd.concat(frames)


def _dump(path, value):
    path.write_text(json.dumps(value), encoding="utf-8")
