"""Cohorts in which genes act on a trait, for the benchmark of the gene level."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SIZE = 10  # variants of a gene
CAUSAL = 6
NONLINEAR = ("u_shaped", "threshold")


class Genes(NamedTuple):
    """A cohort of annotated variants, a trait and the truth.

    Attributes
    ----------
    dosage : int8, (samples, variants), ALT allele count, the genes side by side
    gene : int, (variants,), the gene that the annotation gives each variant
    pos : int, (variants,), 1-based; the genes follow each other without overlap
    trait : float, (samples,)
    causal : bool, (genes,)
    block : int, (genes,), genes that share one genealogy
    sets : gene sets, int arrays, none where the regime has no pathway
    causal_sets : bool, (sets,)
    """

    dosage: np.ndarray
    gene: np.ndarray
    pos: np.ndarray
    trait: np.ndarray
    causal: np.ndarray
    block: np.ndarray
    sets: list[np.ndarray]
    causal_sets: np.ndarray


class Regime(NamedTuple):
    """What is simulated: how a gene's burden acts, and how hard it is to see."""

    shape: str = "linear"
    h2: float = 0.1
    weights: str = "normal"
    low: float = 0.05
    high: float = 0.5
    neighbours: int = 10
    span: int = 30_000
    misplaced: float = 0.0
    pathway: bool = False


REGIMES = {
    **{
        f"{shape}_{h2}": Regime(shape, h2)
        for shape in ("linear", "u_shaped", "threshold")
        for h2 in (0.1, 0.2, 0.4)
    },
    "equal_burden_0.1": Regime("linear", 0.1, "equal"),
    "rare_0.1": Regime("linear", 0.1, low=0.005, high=0.02, span=60_000),
    "rare_threshold_0.1": Regime("threshold", 0.1, low=0.005, high=0.02, span=60_000),
    "isolated_linear_0.1": Regime("linear", 0.1, neighbours=1),
    "isolated_u_shaped_0.1": Regime("u_shaped", 0.1, neighbours=1),
    "strong_ld_linear_0.1": Regime("linear", 0.1, span=8_000),
    "strong_ld_u_shaped_0.1": Regime("u_shaped", 0.1, span=8_000),
    "misplaced_linear_0.1": Regime("linear", 0.1, misplaced=0.2),
    "misplaced_u_shaped_0.1": Regime("u_shaped", 0.1, misplaced=0.2),
    "pathway_linear_0.05": Regime("linear", 0.05, pathway=True),
    "pathway_u_shaped_0.05": Regime("u_shaped", 0.05, pathway=True),
}


def simulate(regime: Regime, *, seed: int, samples: int = 2504, genes: int = 200) -> Genes:
    """A cohort from msprime genealogies: one for each gene, or for each run of neighbours."""
    rng = np.random.default_rng((seed, 1))
    dosage, pos, block = _genotypes(rng, regime, samples=samples, genes=genes)
    truth = np.repeat(np.arange(genes), SIZE)
    sets, causal_sets, causal = _truth(rng, regime, genes)
    signal = np.zeros(samples)
    for gene in np.flatnonzero(causal):
        signal += _effect(rng, dosage[:, truth == gene], regime)
    signal *= np.sqrt(regime.h2) / signal.std()
    trait = signal + np.sqrt(1 - regime.h2) * rng.standard_normal(samples)
    given = truth.copy()
    wrong = rng.random(len(given)) < regime.misplaced
    given[wrong] = rng.integers(0, genes, wrong.sum())
    return Genes(dosage, given, pos, trait, causal, block, sets, causal_sets)


def _truth(
    rng: np.random.Generator, regime: Regime, genes: int
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Gene sets, the causal ones, and the causal genes."""
    causal = np.zeros(genes, bool)
    if not regime.pathway:
        causal[rng.choice(genes, CAUSAL, replace=False)] = True
        return [], np.zeros(0, bool), causal
    order = rng.permutation(genes)
    sets = [order[i : i + 10] for i in range(0, genes, 10)]
    # two sets of ten genes, five of each acting weakly
    for chosen in sets[:2]:
        causal[chosen[:5]] = True
    return sets, np.arange(len(sets)) < 2, causal


def _effect(rng: np.random.Generator, dosage: np.ndarray, regime: Regime) -> np.ndarray:
    """What one gene adds to the trait, variance 1."""
    minor = np.where(dosage.mean(0) > 1, 2 - dosage, dosage).astype(float)
    weight = np.ones(SIZE) if regime.weights == "equal" else rng.standard_normal(SIZE)
    if regime.high < 0.05:
        weight = weight / minor.std(0)  # rarer variants act more strongly
    burden = minor @ weight
    burden = (burden - burden.mean()) / burden.std()
    if regime.shape == "u_shaped":
        burden = burden**2
    if regime.shape == "threshold":
        beyond = burden > np.quantile(burden, 0.8)
        # of a gene whose rare alleles all lower the burden, nobody is above
        beyond = beyond if beyond.any() else burden < np.quantile(burden, 0.2)
        burden = beyond.astype(float)
    return (burden - burden.mean()) / burden.std()


def _genotypes(
    rng: np.random.Generator, regime: Regime, *, samples: int, genes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Dosages, positions and blocks of variants within the regime's allele frequencies."""
    parts, places = [], []
    for number in range(-(-genes // regime.neighbours)):
        wanted = SIZE * regime.neighbours
        length = regime.span * regime.neighbours
        while True:
            haplotypes, found = _sites(int(rng.integers(1, 2**31)), samples, length)
            frequency = haplotypes.mean(1)
            minor = np.minimum(frequency, 1 - frequency)
            usable = np.flatnonzero((minor >= regime.low) & (minor <= regime.high))
            if len(usable) >= wanted:
                break
            length *= 2
        kept = np.sort(rng.choice(usable, wanted, replace=False))
        parts.append((haplotypes[kept, ::2] + haplotypes[kept, 1::2]).T.astype(np.int8))
        places.append(found[kept] + 1 + number * 10_000_000)
    count = genes * SIZE
    block = np.repeat(np.arange(len(parts)), regime.neighbours)[:genes]
    return np.hstack(parts)[:, :count], np.concatenate(places)[:count].astype(int), block


def _sites(seed: int, samples: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Haplotypes, (variants, 2 samples), and positions of one stretch of genome."""
    import msprime

    trees = msprime.sim_ancestry(
        samples,
        sequence_length=length,
        recombination_rate=1e-8,
        population_size=10_000,
        random_seed=seed,
    )
    trees = msprime.sim_mutations(
        trees, rate=1.25e-8, random_seed=seed, model=msprime.BinaryMutationModel()
    )
    positions = np.array([site.position for site in trees.sites()])
    return trees.genotype_matrix(), positions
