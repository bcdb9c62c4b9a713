"""What hiding alleles, mixing rows, and rates chosen inside the fold bring to networks.

Simulated samples with LD; a trait of heritability .4 of 10 variants (additive, dominant, or
products of pairs) is learnt in few or many samples and predicted in 1,000 unseen. Each option of
training is beside the defaults on the same samples, seed and members, by out-of-sample R2.

    python benchmarks/regularise.py [--quick] [--replicates 10]
"""

from __future__ import annotations

from typing import Any

import numpy as np
from _record import options, show
from transfer import learnt, r2

from genodl import simulate
from genodl.train import TrainConfig, predict

TEST, VARIANTS, CAUSAL, H2 = 1_000, 200, 10, 0.4
TRAINED, SHAPES = (400, 1_600), ("additive", "dominant", "products")
OPTIONS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "masked .1": {"masked": 0.1},
    "masked .3": {"masked": 0.3},
    "mixup .2": {"mixup": 0.2},
    "mixup 1": {"mixup": 1.0},
    "three rates": {"tried": ((0.4, 1.0), (1.0, 1.0), (2.5, 1.0))},
    "three sparsities": {"tried": ((1.0, 0.4), (1.0, 1.0), (1.0, 2.5))},
}


def trait(dosage: np.ndarray, shape: str, rng: np.random.Generator) -> np.ndarray:
    """A phenotype of some variants, float32, (samples,)."""
    causal = rng.choice(dosage.shape[1], CAUSAL, replace=False)
    z = dosage[:, causal] == 1 if shape == "dominant" else dosage[:, causal]
    z = (z - z.mean(0)) / np.maximum(z.std(0), 1e-6)
    z = z[:, ::2] * z[:, 1::2] if shape == "products" else z
    signal = z @ rng.choice([-1.0, 1.0], z.shape[1])
    noise = rng.standard_normal(len(z)) * signal.std() * np.sqrt((1 - H2) / H2)
    return (signal + noise).astype(np.float32)


def replicate(seed: int, *, trained: int, test: int, members: int) -> dict[str, dict[str, float]]:
    """R2 of each option for each shape."""
    made = simulate.cohort(seed=seed, samples=trained + test, variants=VARIANTS, genes=8)
    dosage = np.maximum(np.asarray(made.cohort.modalities["variants"].X, np.float32), 0)
    found: dict[str, dict[str, float]] = {}
    for number, shape in enumerate(SHAPES):
        y = trait(dosage, shape, np.random.default_rng((seed, number)))
        found[shape] = {}
        for name, settings in OPTIONS.items():
            config = TrainConfig(**settings)
            fit = learnt(dosage[:trained], y[:trained], seed, members=members, config=config)
            found[shape][name] = r2(predict(fit, dosage[None, trained:])[0], y[trained:])
    return found


def main() -> None:
    """Means over the replicates, and the gain of each option over the defaults."""
    given = options(__doc__, replicates={"type": int, "help": "10, and 1 at toy size"})
    count = given.replicates or (1 if given.quick else 10)
    sizes = (120,) if given.quick else TRAINED
    more = {"test": 200, "members": 2} if given.quick else {"test": TEST, "members": 8}
    gains = []
    for trained in sizes:
        each = [replicate(700 + i, trained=trained, **more) for i in range(count)]
        for shape in SHAPES:
            for name in OPTIONS:
                r2s = np.array([e[shape][name] for e in each])
                gain = r2s - [e[shape]["defaults"] for e in each]
                error = float(gain.std(ddof=1) / np.sqrt(count)) if count > 1 else None
                row = {"trained": trained, "trait": shape, "option": name}
                gains.append({**row, "r2": r2s.mean(), "gain": gain.mean(), "gain_error": error})
    show("regularise", quick=given.quick, criteria={}, replicates=count, gains=gains)


if __name__ == "__main__":
    main()
