"""A cohort on disk for measuring speed: variants in LD as VCF, and many simulated phenotypes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

import genodl as gd
from genodl.simulate.files import write

CAUSES, H2 = 15, 0.3
LEAST_MAF = 0.05  # of a cause


def write_cohort(folder: Path, *, samples: int, variants: int, phenotypes: int, seed: int) -> None:
    """variants.vcf.gz, samples.tsv with the phenotypes y0, y1, ..., and the dosages for a peer.

    Every phenotype is the sum of `CAUSES` additive variants of its own, of variance `H2`, and
    normal noise. `dosage.npy` is int8, (samples, variants), -1 = missing.
    """
    made = gd.simulate.cohort(
        seed=seed, samples=samples, variants=variants, genes=0, markers={"additive": CAUSES}
    )
    dosage = np.asarray(made.cohort.modalities["variants"].X)
    rng = np.random.default_rng([seed, samples])
    frequency = np.where(dosage >= 0, dosage, 0).mean(0) / 2
    common = np.flatnonzero(np.minimum(frequency, 1 - frequency) >= LEAST_MAF)
    columns = {}
    for number in range(phenotypes):
        chosen = np.maximum(dosage[:, rng.choice(common, CAUSES, replace=False)], 0).astype(float)
        scaled = (chosen - chosen.mean(0)) / chosen.std(0)
        signal = scaled @ rng.choice([-1.0, 1.0], CAUSES)
        noise = rng.standard_normal(samples)
        columns[f"y{number}"] = signal / signal.std() * np.sqrt(H2) + noise * np.sqrt(1 - H2)
    samples_table = made.cohort.samples.assign(**columns)
    cohort = gd.Cohort(made.cohort.modalities, samples_table)
    write(replace(made, cohort=cohort), folder)
    np.save(folder / "dosage.npy", dosage)
