"""Genes ranked: average precision beside other methods, realised FDR, and calibrated p-values.

Each replicate of a regime is a cohort of its own, with six causal genes of ten variants among 200
(or two causal sets of ten genes among 20), and every contender sees the same. What
--work holds of a replicate already, of genodl or of its peers, is not run again.

    python benchmarks/genes.py [--quick] [--work DIR] [--regimes A,B] [--replicates 10]
"""

from __future__ import annotations

import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _gene_cohorts import NONLINEAR, REGIMES, Genes, simulate
from _gene_peers import PEERS, Absent
from _record import at_least, at_most, kept, options, show
from sklearn.metrics import average_precision_score

FDR = 0.1
SETTINGS = {"folds": 5, "members": 4, "maf": 0.0, "min_carriers": 1}
OURS = ("genodl", "network_alone", "forms_alone")
HARD = tuple(f"{shape}_0.1" for shape in NONLINEAR)  # where the best peer is to be beaten clearly
QUICK = ("linear_0.1", "u_shaped_0.1", "threshold_0.1")
# name -> regime of the genotypes, samples, permuted traits, networks a fold
NULLS = {
    "common": ("linear_0.1", 2504, 100, 0),
    "rare": ("rare_0.1", 500, 100, 0),
    "rare_skewed": ("rare_0.1", 500, 100, 0),
    "strong_ld": ("strong_ld_linear_0.1", 500, 100, 0),
    "networks": ("strong_ld_linear_0.1", 500, 100, 2),
}
QUICK_NULLS = ("rare", "strong_ld")
PROBABILITIES = (0.0, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 1.0)  # ends of the bins of a gene's own
# level -> least and most share of p-values below it, over the level
BOUNDS = {0.05: (0.8, 1.2), 0.01: (0.8, 1.25), 0.001: (0.7, 1.4)}


def tested(cohort: Genes, traits: np.ndarray, sets: dict[str, list[str]], **settings: Any) -> Any:
    """genodl's gene level on a cohort: its tables, one a trait."""
    from anndata import AnnData

    from genodl.config import read
    from genodl.pipeline.annotation import Annotation
    from genodl.pipeline.genelevel import gene_level
    from genodl.pipeline.study import prepare
    from genodl.pipeline.tables import neighbours
    from genodl.values import Cohort

    ids = pd.Index([f"s{i}" for i in range(len(cohort.dosage))])
    # a place for each variant, so that membership is what the regime says it is
    places = np.arange(cohort.dosage.shape[1])
    var = pd.DataFrame({"contig": "1", "pos": cohort.pos, "ref": "A", "alt": "C", "id": "."})
    var.index = pd.Index([f"v{i}" for i in places])
    genes = pd.DataFrame(
        {
            "contig": "1",
            "start": cohort.pos,
            "end": cohort.pos,
            "gene": [f"G{g}" for g in cohort.gene],
        }
    )
    names = [f"y{i}" for i in range(traits.shape[1])]
    samples = pd.DataFrame(traits, index=ids, columns=names)
    modality = AnnData(cohort.dosage, obs=pd.DataFrame(index=ids), var=var)
    config = read(None, **(SETTINGS | {"checks": 0} | settings))
    study = prepare(Cohort({"variants": modality}, samples), names, [], config)
    near = {"variants": neighbours(study, "variants", config)}
    return gene_level(study, Annotation(genes, sets), near, config, lambda items, *_: items)


def said(probability: pd.Series, causal: np.ndarray) -> list[list[float]]:
    """Genes of each bin of the probability, the sum of it, and how many are causal.

    Genes that are no candidates have none, and are taken for 0.
    """
    probability = probability.fillna(0.0)
    place = np.searchsorted(PROBABILITIES[1:-1], probability, side="right")
    bins = len(PROBABILITIES) - 1
    sums = (np.bincount(place, w, bins) for w in (np.ones(len(place)), probability, causal))
    return np.stack(list(sums), axis=1).tolist()


def ours(cohort: Genes) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """genodl's evidence for genes, or for sets where the regime has some, and its discoveries."""
    sets = {f"S{i}": [f"G{g}" for g in rows] for i, rows in enumerate(cohort.sets)}
    level = tested(cohort, cohort.trait[:, None], sets)
    genes = level.genes[0].set_index("gene")
    causal = {f"G{g}" for g in np.flatnonzero(cohort.causal)}
    chosen = genes[genes["q_value"] < FDR]
    # a cluster says that one of its genes is causal; its found genes alone say more
    found_rows, all_rows = (t.groupby("cluster").groups for t in (chosen, genes))
    counts = {
        "clusters": len(found_rows),
        "true_clusters": sum(bool(causal & set(all_rows[c])) for c in found_rows),
        "true_by_found_genes": sum(bool(causal & set(rows)) for rows in found_rows.values()),
    }
    counts |= {"genes_found": len(chosen), "true_genes_found": len(causal & set(chosen.index))}
    counts["said"] = said(genes["probability"], genes.index.isin(causal))
    table = genes.reindex([f"G{g}" for g in range(len(cohort.causal))])
    if sets:
        table = level.pathways[0].set_index("pathway").reindex(list(sets))
    columns = {"genodl": "p_value", "network_alone": "p_network", "forms_alone": "p_forms"}
    found = {name: -np.log(table[c].fillna(1.0).clip(lower=1e-300)) for name, c in columns.items()}
    found["genodl"] = -table["rank"].fillna(len(table) + 1.0)
    return {name: values.to_numpy() for name, values in found.items()}, counts


def summed(cohort: Genes, evidence: np.ndarray) -> np.ndarray:
    """A peer's evidence for genes, or summed over each set; ties go to the weaker claim."""
    if not cohort.sets:
        return evidence
    return np.array([evidence[rows].sum() for rows in cohort.sets])


def genodl_on(cohort: Genes) -> dict[str, Any]:
    """Average precision of genodl on one cohort, what it discovered, and its time."""
    began = time.process_time()
    found, counts = ours(cohort)
    seconds = {"genodl": time.process_time() - began}
    return {"precision": precision(cohort, found), **counts, "cpu_seconds": seconds}


def peers_on(cohort: Genes) -> dict[str, Any]:
    """Average precision of every peer on one cohort, their times, and who is absent."""
    found: dict[str, np.ndarray] = {}
    absent, seconds = [], {}
    for peer, run in PEERS.items():
        began = time.process_time()
        try:
            found |= {n: summed(cohort, e) for n, e in run(cohort).items()}
        except Absent as missing:
            absent.append(str(missing))
        seconds[peer] = time.process_time() - began
    return {"precision": precision(cohort, found), "cpu_seconds": seconds, "absent": absent}


def precision(cohort: Genes, found: dict[str, np.ndarray]) -> dict[str, float]:
    """Average precision of each contender's evidence for genes, or for sets."""
    truth = cohort.causal_sets if cohort.sets else cohort.causal
    return {n: float(average_precision_score(truth, e)) for n, e in found.items()}


def replicate(work: Path, name: str, number: int, *, samples: int, genes: int) -> dict[str, Any]:
    """Average precision of every contender on one cohort, and what genodl discovered."""
    simulated = cache(lambda: simulate(REGIMES[name], seed=number, samples=samples, genes=genes))
    own, others = (
        kept(work / f"{name}-{number}-{genes}-{who}.json", lambda run=run: run(simulated()))
        for who, run in (("genodl", genodl_on), ("peers", peers_on))
    )
    both = {key: own[key] | others[key] for key in ("precision", "cpu_seconds")}
    return own | others | both


def calibration(name: str, *, traits: int, seed: int) -> dict[str, Any]:
    """Shares of the p-values of null genes below each level, over the level."""
    regime, samples, _, members = NULLS[name]
    cohort = simulate(REGIMES[regime], seed=seed, samples=samples, genes=200)
    rng = np.random.default_rng((seed, 7))
    noise = rng.standard_normal((samples, traits))
    noise = np.exp(1.5 * noise) if name.endswith("skewed") else noise
    level = tested(cohort, noise, {}, members=members)
    p = np.concatenate([table["p_value"].to_numpy() for table in level.genes])
    least = np.array([table["q_value"].min() for table in level.genes])
    ratio = {str(a): float((p < a).mean() / a) for a in BOUNDS}
    return {
        "n_p_values": len(p),
        "ratio": ratio,
        "share_with_discovery": float((least < FDR).mean()),
    }


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the replicates of a regime, with the standard error of genodl's."""
    names = runs[0]["precision"]
    mean = {n: float(np.mean([run["precision"][n] for run in runs])) for n in names}
    best = max((n for n in mean if n not in OURS), key=mean.__getitem__)
    spread = [run["precision"]["genodl"] for run in runs]
    error = float(np.std(spread, ddof=1) / len(runs) ** 0.5) if len(runs) > 1 else None
    return {
        "replicates": len(runs),
        "precision": mean,
        "standard_error": error,
        "best_peer": best,
        "ratio": mean["genodl"] / mean[best],
        "realised_fdr": _false(runs, "true_clusters"),
        "realised_fdr_by_found_genes": _false(runs, "true_by_found_genes"),
        "probability": reliability(runs),
        "cpu_seconds": float(np.mean([run["cpu_seconds"]["genodl"] for run in runs])),
    }


def reliability(runs: list[dict[str, Any]]) -> list[dict[str, float]]:
    """In each bin of the probability: genes, the mean of it, and the share that is causal."""
    pooled = np.sum([run["said"] for run in runs if "said" in run] or [[]], axis=0)
    return [
        {"from": low, "genes": n, "mean": p / n, "causal": true / n}
        for low, (n, p, true) in zip(PROBABILITIES, pooled, strict=False)
        if n
    ]


def _false(runs: list[dict[str, Any]], true: str) -> float:
    """Mean share of false clusters among those found, 0 where none is."""
    shares = [1 - run[true] / run["clusters"] for run in runs if run["clusters"]]
    return sum(shares) / len(runs)


def criteria(regimes: dict[str, Any], nulls: dict[str, Any], *, quick: bool) -> dict[str, Any]:
    """What is promised of each regime and of the null."""
    promised: dict[str, Any] = {}
    ratios = {name: found["ratio"] for name, found in regimes.items()}
    if quick:
        # one replicate of each says little of one regime
        promised["mean over best peer"] = at_least(float(np.mean(list(ratios.values()))), 0.9)
        ratios = {}
    for name, ratio in ratios.items():
        promised[f"{name} over best peer"] = at_least(ratio, 1.1 if name in HARD else 0.98)
    rates = [found["realised_fdr"] for found in regimes.values()]
    if rates and not quick:
        promised["realised FDR of clusters"] = at_most(float(np.mean(rates)), FDR)
    for name, found in nulls.items():
        for level, (_, most) in BOUNDS.items():
            promised[f"{name}, p below {level}"] = at_most(found["ratio"][str(level)], most)
    return promised


def main() -> None:
    """Measure and print."""
    given = options(
        __doc__,
        work={"type": Path, "help": "folder that keeps finished replicates"},
        regimes={"default": "", "help": "names joined by commas; all where empty"},
        nulls={"default": "", "help": "settings of the null, joined by commas; all where empty"},
        replicates={"type": int, "default": 10, "help": "of each regime"},
        first={"type": int, "default": 0, "help": "seed of the first replicate"},
    )
    chosen = [n for n in given.regimes.split(",") if n] or list(QUICK if given.quick else REGIMES)
    settings = [n for n in given.nulls.split(",") if n]
    settings = settings or list(QUICK_NULLS if given.quick else NULLS)
    size = {"samples": 2504, "genes": 100 if given.quick else 200}
    count = 1 if given.quick else given.replicates
    with tempfile.TemporaryDirectory() as scratch:
        work = given.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        runs = {
            name: [
                replicate(work, name, number, **size)
                for number in range(given.first, given.first + count)
            ]
            for name in chosen
        }
        nulls = {
            name: kept(
                work / f"null-{name}-{given.first}.json",
                lambda name=name: calibration(
                    name, traits=20 if given.quick else NULLS[name][2], seed=given.first
                ),
            )
            for name in settings
            if name in NULLS
        }
    regimes = {name: summary(found) for name, found in runs.items()}
    absent = sorted({line for found in runs.values() for run in found for line in run["absent"]})
    show(
        "genes",
        quick=given.quick,
        criteria=criteria(regimes, nulls, quick=given.quick),
        size=size,
        settings=SETTINGS,
        regimes=regimes,
        probability=reliability([run for found in runs.values() for run in found]),
        nulls=nulls,
        absent=absent,
    )


if __name__ == "__main__":
    main()
