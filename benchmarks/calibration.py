"""p-values of null markers are uniform, in every setting a geneticist is likely to bring.

Each setting makes cohorts in which some or all markers have nothing to do with the phenotype, runs
`genodl.discover`, and compares the share of their p-values below four levels with the level. The
standard error resamples phenotypes, which are independent draws given the genotypes of a
replicate; markers in LD and what a run has in common stay together in it. A setting passes where
no share is outside its bounds by more than twice that error; `within` says whether it is inside
them as it stands.

    python benchmarks/calibration.py [--quick] [--settings a,b] [--work DIR] [--collect]

With --work each finished replicate is kept in DIR, and a later run goes on from there.
"""

from __future__ import annotations

import inspect
import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import _nulls as nulls
import numpy as np
import pandas as pd
from _nulls import Case, Size
from _record import commit, options, show

import genodl as gd
from genodl.config import MODELS

# level -> least and greatest ratio of the share below it to the level
BOUNDS = {0.05: (0.8, 1.2), 0.01: (0.8, 1.25), 0.001: (0.7, 1.4), 0.0001: (0.5, 2.0)}
ERRORS = 2.0
FDR = 0.1
RESAMPLES = 1_000
SHARED = {"folds": 5, "members": 0, "checks": 0, "pair_markers": 500, "triple_markers": 128}
BASE, HALF, DEEP = Size(1_000, 4_000, 30), Size(1_000, 4_000, 60), Size(1_000, 14_000, 15)
SLOW = Size(1_000, 14_000, 3)  # of models that take many times as long
FEW = 24  # inputs of the networks of those that take longest
QUICK, QUICK_HALF, QUICK_DEEP = Size(600, 2_000, 10), Size(600, 2_000, 20), Size(700, 5_200, 8)


class Setting(NamedTuple):
    """A way to be wrong.

    Attributes
    ----------
    make : (seed, size) -> Case
    full, quick : sizes of a replicate; a setting without the second is left out of --quick
    replicates : with genotypes of their own, of the full size
    """

    make: Callable[[int, Size], Case]
    full: Size = BASE
    quick: Size | None = QUICK
    replicates: int = 1


def deep(
    *models: str,
    members: int,
    quick: Size | None = None,
    full: Size | None = None,
    **more: Any,
) -> Setting:
    """A threshold on odd contigs, and networks."""
    bent = partial(nulls.partial, h2=0.8, causal=4, bent=True)
    return Setting(partial(bent, models=models, members=members, **more), full or DEEP, quick)


SETTINGS: dict[str, Setting] = {
    "normal": Setting(nulls.normal),
    "permuted": Setting(nulls.permuted),
    "permuted cross": Setting(
        partial(nulls.shuffled, cohort="yeast"), Size(0, 0, 60), Size(0, 0, 8)
    ),
    "permuted cell lines": Setting(
        partial(nulls.shuffled, cohort="gdsc"), Size(0, 0, 160), Size(0, 0, 30)
    ),
    "partial null h2 0.2": Setting(partial(nulls.partial, h2=0.2), HALF, QUICK_HALF),
    "partial null h2 0.4": Setting(partial(nulls.partial, h2=0.4), HALF, QUICK_HALF),
    "populations 10 components": Setting(nulls.populations, Size(0, 0, 20), Size(0, 0, 2)),
    "populations 20 components": Setting(partial(nulls.populations, pcs=20), Size(0, 0, 20), None),
    "sibships in groups": Setting(partial(nulls.relatives, h2=0.5, grouped=True)),
    "sibships not told": Setting(partial(nulls.relatives, h2=0.5, grouped=False)),
    "outbred mice": Setting(partial(nulls.mice, h2=0.5, pcs=10), Size(0, 0, 24), Size(0, 0, 4)),
    "binary 5 %": Setting(
        partial(nulls.binary, prevalence=0.05), Size(2_000, 4_000, 30), Size(1_000, 2_000, 10)
    ),
    "survival 60 % censored": Setting(partial(nulls.survival, censored=0.6)),
    "heavy tails t3": Setting(nulls.student),
    "log-normal": Setting(nulls.log_normal),
    "outliers": Setting(nulls.with_outliers),
    "spread by covariates": Setting(nulls.with_covariates),
    "rare variants": Setting(nulls.rare),
    "strong LD": Setting(nulls.locus, Size(0, 0, 200), Size(0, 0, 35)),
    "200 samples": Setting(nulls.normal, Size(200, 4_000, 30), Size(200, 2_000, 10)),
    "expression": Setting(partial(nulls.expression, variants_too=False)),
    "expression and variants": Setting(
        partial(nulls.expression, variants_too=True), Size(1_000, 2_000, 30), Size(600, 1_000, 10)
    ),
    "linear": deep("linear", members=0, quick=QUICK_DEEP),
    "mlp 2 members": deep("mlp", members=2),
    "mlp 8 members": deep("mlp", members=8),
    "auto 8 members": deep("auto", members=8),
    "cnn 2 members": deep("cnn", members=2, full=SLOW),
    "lstm 2 members": deep("lstm", members=2, full=SLOW, network_inputs=FEW),
    "gru 2 members": deep("gru", members=2, full=SLOW, network_inputs=FEW),
    "attention 2 members": deep("attention", members=2, full=SLOW, network_inputs=FEW),
    "fusion 2 members": Setting(
        partial(nulls.expression, variants_too=True, models=("fusion",), members=2),
        Size(1_000, 2_000, 30),
        None,
    ),
    "pathway 2 members": Setting(
        partial(
            nulls.with_genes,
            made=partial(nulls.partial, h2=0.8, causal=4, bent=True),
            models=("pathway",),
            members=2,
        ),
        DEEP,
        None,
    ),
    "genes": Setting(
        partial(nulls.with_genes, made=nulls.normal, level="genes"),
        Size(600, 20_000, 25),
        Size(600, 20_000, 10),
        4,
    ),
    "model chosen by validation": deep("linear", "mlp", members=2, quick=QUICK_DEEP),
}


def replicate(setting: Setting, *, seed: int, quick: bool) -> dict[str, Any]:
    """Counts of the p-values of null markers of one run, phenotype by phenotype."""
    size = setting.quick if quick else setting.full
    if size is None:
        return {"skipped": "only at full size"}
    made = setting.make(seed, size)
    if reason := absent(made):
        return {"skipped": reason}
    began, worked = time.perf_counter(), time.process_time()
    asked = {} if "survival" in made.settings else {"phenotype": list(made.phenotypes)}
    runs = {
        model: gd.discover(
            made.cohort, **asked, **{**SHARED, "seed": seed, "model": model, **made.settings}
        )
        for model in made.models
    }
    counts = [
        {
            "phenotype": name,
            "model": best,
            "gate": runs[best].performance[name]["gate"],
            **counted(of(runs[best], name, made.level), made),
        }
        for name, best in chosen(runs).items()
    ]
    cost = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - worked}
    return {k: round(v, 1) for k, v in cost.items()} | {"commit": commit(), "counts": counts}


def absent(made: Case) -> str:
    """Why this version cannot run a case, or nothing."""
    if "survival" in made.settings and "survival" not in inspect.signature(gd.discover).parameters:
        return "this version does not analyse survival"
    unknown = [model for model in made.models if model not in MODELS]
    return f"this version has no model {unknown[0]!r}" if unknown else ""


def chosen(runs: dict[str, gd.Found]) -> dict[str, str]:
    """The model of greatest out-of-fold metric of each phenotype."""
    names = next(iter(runs.values())).performance
    return {
        name: max(runs, key=lambda model: runs[model].performance[name]["deep"]["value"])
        for name in names
    }


def of(found: gd.Found, phenotype: str, level: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Markers and loci of one phenotype; or its genes, which are both."""
    genes = found.extras.get("genes")
    tables = (found.markers, found.loci) if level == "markers" else (genes, genes)
    return tuple(t[t["phenotype"] == phenotype] for t in tables)


def counted(tables: tuple[pd.DataFrame, pd.DataFrame], made: Case) -> dict[str, Any]:
    """How many p-values there are, and how many below each level; the least q if all are null."""
    markers, loci = tables
    if made.odd_are_signals:
        markers = markers[markers["contig"].astype(int) % 2 == 0]
    p = markers["p_value"].to_numpy()
    below = [int((p < level).sum()) for level in BOUNDS]
    least = None if made.odd_are_signals else float(loci["q_value"].min())
    return {"n": len(p), "below": below, "least_q": least}


def summary(name: str, replicates: list[dict[str, Any]]) -> dict[str, Any]:
    """Ratios of the shares to the levels with their standard errors."""
    counts = [each for r in replicates for each in r.get("counts", [])]
    if not counts:
        return {"setting": name, "skipped": replicates[0].get("skipped", "not run")}
    least = [c["least_q"] for c in counts]
    n = np.array([c["n"] for c in counts])
    below = np.array([c["below"] for c in counts])
    ratio, error = ratios(n, below)
    return {
        "setting": name,
        "phenotypes": len(counts),
        "n_p_values": int(n.sum()),
        "ratio": [round(float(r), 3) for r in ratio],
        "standard_error": [round(float(e), 3) for e in error],
        "within": [bool(lo <= r <= hi) for r, (lo, hi) in zip(ratio, BOUNDS.values(), strict=True)],
        "with_network": int(sum(c["gate"] > 0 for c in counts)),
        "with_discovery": None if None in least else int(sum(q < FDR for q in least)),
        "commits": sorted({str(r["commit"]) for r in replicates}),
        **{k: round(sum(r.get(k, 0) for r in replicates), 1) for k in ("seconds", "cpu_seconds")},
    }


def ratios(n: np.ndarray, below: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share below each level over the level, and its bootstrap standard error.

    Parameters
    ----------
    n : int, (phenotypes,), p-values of each
    below : int, (phenotypes, levels), those below each level
    """
    levels = np.array(list(BOUNDS))
    draws = np.random.default_rng(0).integers(len(n), size=(RESAMPLES, len(n)))
    resampled = below[draws].sum(1) / n[draws].sum(1)[:, None] / levels
    # none below a level does not mean that none was to be expected
    least = np.sqrt(levels / n.sum()) / levels if len(n) > 1 else np.inf
    return below.sum(0) / n.sum() / levels, np.maximum(resampled.std(0), least)


def judged(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The criteria of one setting."""
    rows = zip(BOUNDS.items(), found["ratio"], found["standard_error"], strict=True)
    return {
        f"{found['setting']}: p below {level:g} over {level:g}": {
            "found": ratio,
            "standard_error": error,
            "between": [low, high],
            "met": bool(low - ERRORS * error <= ratio <= high + ERRORS * error),
        }
        for (level, (low, high)), ratio, error in rows
    }


def kept(work: Path | None, name: str, setting: Setting, *, seed: int, quick: bool, run: bool):
    """The replicates of a setting, read where they were kept, else run and kept."""
    found = []
    for number in range(1 if quick else setting.replicates):
        path = work and work / f"{name} {seed + number}{' quick' * quick}.json"
        if path and path.exists():
            found.append(json.loads(path.read_text(encoding="utf-8")))
        elif run:
            found.append(replicate(setting, seed=seed + number, quick=quick))
            if path and "skipped" not in found[-1]:
                partly = path.with_suffix(".partial")
                partly.write_text(json.dumps(found[-1]), encoding="utf-8")
                os.replace(partly, path)
    return found or [{"skipped": "not run"}]


# what --quick leaves to the full size, since a like setting stands for it or it takes long
COSTLY = (
    *("outbred mice", "sibships not told", "partial null h2 0.2", "permuted", "log-normal"),
    *("permuted cell lines", "expression", "genes", "linear"),
)


def main() -> None:
    """Measure and print."""
    given = options(
        __doc__,
        seed={"type": int, "default": 0, "help": "of the first replicate"},
        settings={"default": "", "help": "names, comma separated; all by default"},
        work={"type": Path, "help": "folder that keeps finished replicates"},
        collect={"action": "store_true", "help": "run nothing, show what is kept"},
    )
    names = [part.strip() for part in given.settings.split(",")] if given.settings else [*SETTINGS]
    if given.quick and not given.settings:
        names = [name for name in names if name not in COSTLY]
    if given.work:
        given.work.mkdir(parents=True, exist_ok=True)
    results = []
    for name in names:
        made = {"seed": given.seed, "quick": given.quick, "run": not given.collect}
        results.append(summary(name, kept(given.work, name, SETTINGS[name], **made)))
    measured = [found for found in results if "ratio" in found]
    criteria = {key: value for found in measured for key, value in judged(found).items()}
    levels = list(BOUNDS)
    show("calibration", quick=given.quick, criteria=criteria, levels=levels, results=results)


if __name__ == "__main__":
    main()
