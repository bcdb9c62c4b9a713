"""Simulated people: genotypes of a coalescent with recombination, expression, covariates.

One draw serves every regime of a replicate. Nothing here knows a phenotype.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

SAMPLES = 2_000
RECOMBINATION, MUTATION, POPULATION = 1e-8, 1.25e-8, 10_000  # a bp and generation; diploids
CONTIGS = 4
LENGTHS = {2_000: 2_500_000, 40_000: 8_000_000}  # variants asked for -> bp a contig
COMMON, RARE = 0.05, (0.005, 0.02)  # minor allele frequencies
HIDDEN = 1_000  # common variants that are not typed
GENES, CARRIED, GENE_SPAN = 100, 10, 25_000  # genes of rare variants, variants each, bp
TRANSCRIPTS, MODULES = 500, 20
TISSUES = ("breast", "colon", "lung", "skin")


class Variants(NamedTuple):
    """Variants of the samples, in the order of the genome.

    Attributes
    ----------
    dosage : int8, (samples, variants), ALT allele count
    contig : str, (variants,)
    pos : int64, (variants,), base pairs
    gene : int64, (variants,), the gene a variant lies in, -1 for none
    """

    dosage: np.ndarray
    contig: np.ndarray
    pos: np.ndarray
    gene: np.ndarray

    def take(self, columns: np.ndarray) -> Variants:
        """The chosen variants."""
        return Variants(
            self.dosage[:, columns], self.contig[columns], self.pos[columns], self.gene[columns]
        )

    @property
    def names(self) -> np.ndarray:
        """contig:pos:ref:alt of each."""
        return np.array([f"{c}:{p}:A:G" for c, p in zip(self.contig, self.pos, strict=True)])


class Draw(NamedTuple):
    """The people of one replicate.

    Attributes
    ----------
    typed : common variants that are read
    hidden : other common variants, which nobody reads
    rare : variants of a frequency in RARE within genes
    expression : float32, (samples, transcripts), correlated in modules
    samples : age (mean 0, sd 1), sex (0, 1), tissue (text)
    """

    typed: Variants
    hidden: Variants
    rare: Variants
    expression: np.ndarray
    samples: pd.DataFrame


def draw(replicate: int, *, variants: int = 2_000, cache: Path | None = None) -> Draw:
    """The people of a replicate, from its number alone; kept in `cache` once made.

    Parameters
    ----------
    variants : a key of LENGTHS, typed variants of MAF >= COMMON
    """
    rng = np.random.default_rng([replicate, variants])
    path = cache and cache / f"genotypes_{replicate}_{variants}.npz"
    if path and path.exists():
        with np.load(path) as held:
            parts = [Variants(*(held[f"{k}_{f}"] for f in Variants._fields)) for k in range(3)]
    else:
        parts = list(_genotypes(np.random.default_rng(rng.integers(2**31)), variants))
        if path:
            named = {
                f"{k}_{f}": getattr(part, f) for k, part in enumerate(parts) for f in part._fields
            }
            np.savez(path, **named)
    other = np.random.default_rng([replicate, variants, 1])
    return Draw(*parts, _expression(other), _samples(other))


def _genotypes(rng: np.random.Generator, variants: int) -> tuple[Variants, Variants, Variants]:
    """Typed, hidden and rare variants of all contigs."""
    pools = [_contig(rng, str(i + 1), LENGTHS[variants]) for i in range(CONTIGS)]
    pool = Variants(
        np.hstack([p.dosage for p in pools]),
        *(np.concatenate([getattr(p, f) for p in pools]) for f in ("contig", "pos", "gene")),
    )
    share = pool.dosage.mean(axis=0) / 2
    minor = np.minimum(share, 1 - share)
    common = rng.permutation(np.flatnonzero(minor >= COMMON))
    if len(common) < variants + HIDDEN:
        raise RuntimeError(f"{len(common)} common variants, {variants + HIDDEN} are needed")
    typed, hidden = common[:variants], common[variants : variants + HIDDEN]
    rare = np.flatnonzero((minor >= RARE[0]) & (minor <= RARE[1]))
    genes = _genes(rng, pool.take(rare))
    return pool.take(np.sort(typed)), pool.take(np.sort(hidden)), genes


def _contig(rng: np.random.Generator, name: str, length: int) -> Variants:
    """Biallelic variants of one contig above the frequency of the rare ones."""
    import msprime

    trees = msprime.sim_ancestry(
        SAMPLES,
        sequence_length=length,
        recombination_rate=RECOMBINATION,
        population_size=POPULATION,
        # the coalescent is off for the last generations of so large a sample
        model=[msprime.DiscreteTimeWrightFisher(duration=50), msprime.StandardCoalescent()],
        random_seed=int(rng.integers(1, 2**31)),
    )
    trees = msprime.sim_mutations(trees, rate=MUTATION, random_seed=int(rng.integers(1, 2**31)))
    allele = trees.genotype_matrix()
    share = allele.mean(axis=1)
    kept = (allele.max(axis=1) == 1) & (np.minimum(share, 1 - share) >= RARE[0])
    dosage = allele[kept].reshape(kept.sum(), SAMPLES, 2).sum(axis=2, dtype=np.int8)
    pos = trees.tables.sites.position[kept].astype(np.int64) + 1
    return Variants(
        np.ascontiguousarray(dosage.T), np.full(len(pos), name), pos, np.full(len(pos), -1)
    )


def _genes(rng: np.random.Generator, rare: Variants) -> Variants:
    """Variants of genes spread over the contigs, CARRIED in each."""
    columns, labels = [], []
    per_contig = -(-GENES // CONTIGS)
    for contig in np.unique(rare.contig):
        here = np.flatnonzero(rare.contig == contig)
        end = rare.pos[here].max()
        for start in np.linspace(GENE_SPAN, end - 2 * GENE_SPAN, per_contig).astype(int):
            inside = here[(rare.pos[here] >= start) & (rare.pos[here] < start + GENE_SPAN)]
            if len(inside) >= CARRIED and len(labels) < GENES:
                columns.append(np.sort(rng.choice(inside, CARRIED, replace=False)))
                labels.append(np.full(CARRIED, len(labels)))
    if not columns:
        raise RuntimeError(f"no stretch of {GENE_SPAN} bp holds {CARRIED} rare variants")
    return rare.take(np.concatenate(columns))._replace(gene=np.concatenate(labels))


def _expression(rng: np.random.Generator) -> np.ndarray:
    """Transcripts that share module and global factors, each of variance near 1."""
    modules = rng.standard_normal((SAMPLES, MODULES))
    broad = rng.standard_normal((SAMPLES, 5))
    module = np.arange(TRANSCRIPTS) % MODULES
    loading = rng.uniform(0.2, 0.75, TRANSCRIPTS) * rng.choice([-1, 1], TRANSCRIPTS)
    spread = rng.standard_normal((5, TRANSCRIPTS)) * 0.15
    noise = rng.standard_normal((SAMPLES, TRANSCRIPTS))
    own = np.sqrt(np.maximum(1 - loading**2 - (spread**2).sum(axis=0), 0.1))
    return (modules[:, module] * loading + broad @ spread + noise * own).astype(np.float32)


def _samples(rng: np.random.Generator) -> pd.DataFrame:
    """Covariates of the samples."""
    age = rng.standard_normal(SAMPLES)
    return pd.DataFrame(
        {
            "age": (age - age.mean()) / age.std(),
            "sex": rng.integers(0, 2, SAMPLES),
            "tissue": rng.choice(TISSUES, SAMPLES),
        },
        index=[f"s{i}" for i in range(SAMPLES)],
    )
