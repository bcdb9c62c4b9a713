"""Interactions: none where there are none, under LD and untyped variants; planted ones recovered.

Cohorts of 1,200 samples and 600 variants in strong LD (30 contigs of 20). Without interactions: ten
additive variants, one with dominance; the same ten not typed; one strong variant not typed whose
tags are imperfect; a skewed phenotype; sibships of four that nobody names, all variants with small
effects. With: three products of two variants beside additive
effects; and one with a measured covariate and one with a level of another. Of discovery the stages
up to the table of interactions are run: screen, sparse path, products. The memory of the scan of
all pairs of 50,000 markers is weighed in a process of its own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from _record import ROOT, at_least, at_most, options, show, weighed
from anndata import AnnData
from scipy import stats

import genodl as gd
from genodl.config import DiscoverConfig
from genodl.pipeline.candidates import screen
from genodl.pipeline.discovery import untracked
from genodl.pipeline.interact import interact, panel
from genodl.pipeline.interactions import interactions
from genodl.pipeline.kin import kin
from genodl.pipeline.learn import Deep, sparse
from genodl.pipeline.study import prepare

SAMPLES, VARIANTS, CONTIG, NEIGHBOURS_R = 1200, 600, 20, 0.9
SIBS = 4
FDR, LIMIT_GB = 0.1, 4.0


class Planted(NamedTuple):
    """A phenotype, the variants that are typed, and the true pairs (variant, variant or name)."""

    values: np.ndarray
    typed: np.ndarray
    pairs: list[tuple[int, int | str]]


class Drawn(NamedTuple):
    """Standardised dosages (samples, variants) and covariates of one cohort."""

    dosage: np.ndarray
    standard: np.ndarray
    exposure: np.ndarray
    site: np.ndarray
    rng: np.random.Generator

    @property
    def noise(self) -> np.ndarray:
        return self.rng.standard_normal(len(self.dosage))


def draw(seed: list[int], *, sibs: bool = False) -> Drawn:
    """Dosages whose haplotypes are cut from Gaussian chains along each contig."""
    rng = np.random.default_rng(seed)
    contigs = []
    for _ in range(VARIANTS // CONTIG):
        level = stats.norm.isf(rng.uniform(0.05, 0.5, CONTIG))
        chain = rng.standard_normal((2, SAMPLES, CONTIG))
        for j in range(1, CONTIG):
            kept = np.sqrt(1 - NEIGHBOURS_R**2)
            chain[..., j] = NEIGHBOURS_R * chain[..., j - 1] + kept * chain[..., j]
        chain = inherited(chain, rng) if sibs else chain
        contigs.append((chain > level).sum(0))
    dosage = np.concatenate(contigs, axis=1).astype(np.int8)
    standard = (dosage - dosage.mean(0)) / dosage.std(0)
    exposure, site = rng.standard_normal(SAMPLES), rng.choice(["a", "b", "c"], SAMPLES)
    return Drawn(dosage, standard, exposure, site, rng)


def inherited(chain: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Haplotypes, (2, samples, variants), of sibs of whose parents each gives one of its two."""
    parents = chain.reshape(2, -1, SIBS, chain.shape[-1])[:, :, :2]
    families = np.arange(parents.shape[1])[:, None]
    pick = rng.integers(0, 2, (2, len(families), SIBS))
    given = [parents[pick[side], families, side] for side in (0, 1)]
    return np.stack(given).reshape(chain.shape)


def additive(d: Drawn, noise: np.ndarray | None = None, *, typed: bool = True) -> Planted:
    chosen = d.rng.choice(VARIANTS, 10, replace=False)
    y = d.noise if noise is None else noise
    y = y + d.standard[:, chosen] @ d.rng.choice([-0.25, 0.25], 10)
    y = y + 0.3 * (d.dosage[:, chosen[0]] == 1)
    kept = np.ones(VARIANTS, bool)
    kept[chosen] = typed
    return Planted(y, kept, [])


def untyped(d: Drawn) -> Planted:
    return additive(d, typed=False)


def imperfect(d: Drawn) -> Planted:
    cause = d.rng.integers(VARIANTS)
    r = np.abs(d.standard.T @ d.standard[:, cause]) / SAMPLES
    return Planted(0.8 * d.standard[:, cause] + d.noise, r < 0.75, [])


def skewed(d: Drawn) -> Planted:
    noise = d.rng.exponential(1, SAMPLES) ** 1.5
    return additive(d, (noise - noise.mean()) / noise.std())


def sibships(d: Drawn) -> Planted:
    sums = d.standard @ d.rng.standard_normal(VARIANTS)
    y = np.sqrt(0.8) * sums / sums.std() + np.sqrt(0.2) * d.noise
    return Planted(y, np.ones(VARIANTS, bool), [])


def products(d: Drawn) -> Planted:
    contigs = d.rng.choice(VARIANTS // CONTIG, 6, replace=False) * CONTIG
    chosen = contigs + d.rng.integers(0, CONTIG, 6)
    pairs = [(int(chosen[i]), int(chosen[i + 3])) for i in range(3)]
    y = d.noise + sum(0.3 * d.standard[:, a] * d.standard[:, b] for a, b in pairs)
    y = y + 0.2 * d.standard[:, d.rng.choice(VARIANTS, 5)].sum(1)
    return Planted(y, np.ones(VARIANTS, bool), list(pairs))


def with_covariates(d: Drawn) -> Planted:
    a, b = (int(v) for v in d.rng.choice(VARIANTS, 2, replace=False))
    y = d.noise + (0.3 * d.standard[:, a] + 0.5) * d.exposure
    y = y + 0.8 * d.standard[:, b] * (d.site == "a")
    return Planted(y, np.ones(VARIANTS, bool), [(a, "exposure"), (b, "site=a")])


WITHOUT: dict[str, Callable[[Drawn], Planted]] = {
    f.__name__: f for f in (additive, untyped, imperfect, skewed, sibships)
}
WITH: dict[str, Callable[[Drawn], Planted]] = {f.__name__: f for f in (products, with_covariates)}


def found_in(d: Drawn, planted: Planted, *, covariates: bool) -> pd.DataFrame:
    """The table of interactions of a cohort."""
    ids = [f"S{i}" for i in range(SAMPLES)]
    samples = pd.DataFrame({"y": planted.values, "exposure": d.exposure, "site": d.site}, index=ids)
    place = np.arange(VARIANTS)
    var = pd.DataFrame(
        {"contig": (place // CONTIG).astype(str), "pos": 10_000 * (place % CONTIG) + 1},
        index=[str(i) for i in place],
    ).assign(ref="A", alt="C")
    variants = AnnData(d.dosage[:, planted.typed], obs=samples[[]].copy(), var=var[planted.typed])
    chosen = ["exposure", "site"] if covariates else []
    config = DiscoverConfig(members=0, checks=0)
    study = prepare(gd.Cohort({"variants": variants}, samples), ["y"], chosen, config)
    path = sparse(study, [screen(study, "variants", config, untracked)], 0, config)
    scanned = panel(study, config)
    part = interact(study, scanned, path, 0, config)
    deep = Deep(part, part, np.zeros(config.folds), None)
    return interactions(study, scanned, [path], [deep], kin(study, None), config)


def is_true(a: str, b: str, d: Drawn, pairs: list[tuple[int, int | str]]) -> bool:
    """Whether two factors stand for a planted pair: itself, or variants with r2 of 0.1 to it."""

    def near(name: str, factor: int | str) -> bool:
        if isinstance(factor, str) or not name.isdigit():
            # what is special to one level is also seen from the others
            return isinstance(factor, str) and name.partition("=")[0] == factor.partition("=")[0]
        return (d.standard[:, int(name)] @ d.standard[:, factor] / SAMPLES) ** 2 >= 0.1

    return any((near(a, x) and near(b, y)) or (near(a, y) and near(b, x)) for x, y in pairs)


def replicate(name: str, make: Callable[[Drawn], Planted], number: int) -> dict[str, int]:
    """Discoveries, false ones and planted pairs recovered in one cohort."""
    d = draw([number, sum(map(ord, name))], sibs=name == "sibships")
    planted = make(d)
    table = found_in(d, planted, covariates=name == "with_covariates")
    table = table[table["q_value"] < FDR]
    rows = list(zip(table["marker_a"], table["marker_b"], strict=True))
    false = sum(not is_true(a, b, d, planted.pairs) for a, b in rows)
    recovered = sum(any(is_true(a, b, d, [pair]) for a, b in rows) for pair in planted.pairs)
    return {
        "found": len(rows),
        "false": false,
        "recovered": recovered,
        "planted": len(planted.pairs),
    }


def summary(runs: list[dict[str, int]]) -> dict[str, Any]:
    """Shares over replicates; the false discovery rate is the mean proportion, 0 where none."""
    proportion = np.array([r["false"] / max(r["found"], 1) for r in runs])
    planted = sum(r["planted"] for r in runs)
    at_once = stats.binomtest(int((proportion > 0).sum()), len(runs)).proportion_ci(0.95)
    return {
        "replicates": len(runs),
        "runs_with_a_false_discovery": int((proportion > 0).sum()),
        "false_discovery_rate": round(float(proportion.mean()), 4),
        "interval_of_runs": [round(at_once.low, 4), round(at_once.high, 4)],
        "recovered": sum(r["recovered"] for r in runs) / planted if planted else None,
    }


def scan_memory(markers: int) -> dict[str, Any]:
    """What the shortlist of all pairs of so many markers of 2,500 samples costs."""
    run = weighed(ROOT / "benchmarks" / "_pair_memory.py", "--markers", markers)
    return {"markers": markers, **run.weight, **json.loads(run.stdout)}


def main() -> None:
    given = options(__doc__, replicates={"type": int, "default": None})
    count = given.replicates or (2 if given.quick else 60)
    found: dict[str, Any] = {}
    began = time.perf_counter()
    for name, make in (WITHOUT | WITH).items():
        found[name] = summary([replicate(name, make, i) for i in range(count)])
    criteria = {
        # the rate is at most the nominal one unless its interval lies above
        f"{name}_false_discoveries": at_most(entry["interval_of_runs"][0], FDR)
        for name, entry in found.items()
    }
    memory = scan_memory(2_000 if given.quick else 50_000)
    criteria["memory_gb_of_scan"] = at_most(memory["memory_gb"], LIMIT_GB)
    criteria |= {f"{name}_recovered": at_least(found[name]["recovered"], 0.7) for name in WITH}
    seconds = round(time.perf_counter() - began, 1)
    show(
        "interactions",
        quick=given.quick,
        criteria=criteria,
        seconds=seconds,
        regimes=found,
        scan=memory,
    )


if __name__ == "__main__":
    main()
