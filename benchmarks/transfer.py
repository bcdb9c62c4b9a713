"""What networks gain from a cohort of a related trait, and from genotypes alone.

3,150 simulated samples with LD. Trait A (heritability .5) of 2,000 trains an ensemble; trait B,
whose effects on the same 15 variants correlate .8 with those of A, is known in 150 others, and is
predicted in the last 1,000. An ensemble on trait B alone, one that begins with the networks of
A (all layers, or the first one frozen), and one that begins with networks trained to tell hidden
genotypes of the 2,000 are compared by out-of-sample R2, beside a lasso on the same 150 and the
networks of A as they are (by the squared correlation, as they are in the unit of A).

    python benchmarks/transfer.py [--quick] [--replicates 10]
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from _record import at_least, options, show
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LassoCV

from genodl import simulate
from genodl.train import described, fit_ensemble, predict, pretrain, transfer
from genodl.train.checkpoint import save
from genodl.values import Cohort

FULL = {"source": 2_000, "target": 150, "test": 1_000, "variants": 300, "members": 8}
QUICK = {"source": 300, "target": 60, "test": 200, "variants": 60, "members": 2}
CAUSAL, RELATED, H2 = 15, 0.8, 0.5


def traits(dosage: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Traits A and B of all samples."""
    z = (dosage - dosage.mean(0)) / np.maximum(dosage.std(0), 1e-6)
    causal = rng.choice(z.shape[1], CAUSAL, replace=False)
    first = rng.standard_normal(CAUSAL)
    second = RELATED * first + np.sqrt(1 - RELATED**2) * rng.standard_normal(CAUSAL)
    made = []
    for effect in (first, second):
        signal = z[:, causal] @ effect
        noise = rng.standard_normal(len(z)) * signal.std() * np.sqrt((1 - H2) / H2)
        made.append((signal + noise).astype(np.float32))
    return made[0], made[1]


def taken(cohort: Cohort, rows: np.ndarray) -> Cohort:
    """Some samples."""
    kept = {name: modality[rows].copy() for name, modality in cohort.modalities.items()}
    return Cohort(kept, cohort.samples.iloc[rows])


def r2(told: np.ndarray, truth: np.ndarray) -> float:
    """Share of the variance that a prediction explains; below 0 where the mean does better."""
    return float(1 - np.square(truth - told).sum() / np.square(truth - truth.mean()).sum())


def learnt(x: np.ndarray, y: np.ndarray, seed: int, **more: Any) -> Any:
    """An ensemble of one task."""
    members = more.pop("members")
    weight = np.ones((1, len(y)), np.float32)
    return fit_ensemble("mlp", {}, x[None], y[None], weight, members=members, seed=seed, **more)


def replicate(seed: int, size: dict[str, int]) -> dict[str, float]:
    """R2 of each way in the samples that none has seen."""
    counts = [size["source"], size["target"], size["test"]]
    drawn = simulate.cohort(seed=seed, samples=sum(counts), variants=size["variants"], genes=8)
    cohort = Cohort({"variants": drawn.cohort.modalities["variants"]}, drawn.cohort.samples)
    rng = np.random.default_rng((seed, 1))
    dosage = np.maximum(np.asarray(cohort.modalities["variants"].X, np.float32), 0)
    first, second = traits(dosage, rng)
    source, target, test = np.split(rng.permutation(sum(counts)), np.cumsum(counts)[:2])
    more = {"members": size["members"]}
    columns = range(dosage.shape[1])
    held, truth = dosage[test], second[test]
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        kept = described(cohort, "variants", columns)
        of_first = learnt(dosage[source], first[source], seed, **more)
        save(of_first, Path(scratch, "first"), extra=kept)
        blind = pretrain("mlp", {}, dosage[source], seed=seed, **more)
        save(blind, Path(scratch, "blind"), extra=kept)
        as_it_is = predict(of_first, held[None])[0]
        found["networks of A as they are"] = float(np.corrcoef(as_it_is, truth)[0, 1] ** 2)
        alone = learnt(dosage[target], second[target], seed, **more)
        found["alone"] = r2(predict(alone, held[None])[0], truth)
        for name, start, freeze in (
            ("from A", "first", ()),
            ("from A, first layer frozen", "first", ("dense0",)),
            ("from hidden genotypes", "blind", ()),
        ):
            moved = transfer(Path(scratch, start), taken(cohort, target), freeze=freeze, **more)
            fit = learnt(
                moved.x, second[target], seed, start=moved.start, config=moved.config, **more
            )
            found[name] = r2(predict(fit, held[None])[0], truth)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        lasso = LassoCV(cv=5, random_state=0).fit(dosage[target], second[target])
    found["lasso alone"] = r2(lasso.predict(held), truth)
    return found


def main() -> None:
    """Replicates, means and the gain of each way over training alone."""
    given = options(__doc__, replicates={"type": int, "help": "10, and 1 at toy size"})
    count = given.replicates or (1 if given.quick else 10)
    size = QUICK if given.quick else FULL
    each = [replicate(100 + i, size) for i in range(count)]
    ways = {
        name: {
            "r2": round(float(np.mean([e[name] for e in each])), 4),
            "gain": round(float(np.mean([e[name] - e["alone"] for e in each])), 4),
            "gain_error": round(
                float(np.std([e[name] - e["alone"] for e in each], ddof=1) / np.sqrt(count)), 4
            )
            if count > 1
            else None,
        }
        for name in each[0]
    }
    criteria = {}
    if count > 1:
        moved = ways["from A"]
        least = round(moved["gain"] - 2 * moved["gain_error"], 4)
        criteria = {"gain_of_transfer_less_two_errors": at_least(least, 0.0)}
    show("transfer", quick=given.quick, criteria=criteria, size=size, replicates=count, ways=ways)


if __name__ == "__main__":
    main()
