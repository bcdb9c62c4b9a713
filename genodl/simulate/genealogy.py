"""Genotypes with the linkage disequilibrium and allele frequencies of admixed populations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from genodl.errors import InputError

BLOCK = 10_000  # bp that share one genealogy
FOUNDERS = 120  # haplotypes an ancestry
GENERATIONS = 180
SPLIT = 6  # generations since the ancestries parted: Fst near SPLIT / FOUNDERS
CROSSOVER = 7e-8  # a bp and generation: r2 halves over about 1 / (2 FOUNDERS CROSSOVER) = 60 kb
SEGMENT = 1e6  # mean bp a sample copies from one founder
FIRST = 10_000  # 1-based position before the first variant of a contig


def genotypes(
    rng: np.random.Generator,
    *,
    variants: int,
    proportion: np.ndarray,
    contigs: Sequence[str],
    spacing: float,
    maf: float,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Variants and the ALT dosages of admixed samples.

    Founder haplotypes come from a Wright-Fisher genealogy with recombination, on whose lineages
    mutations fall; a sample's two haplotypes are mosaics of the founders of its ancestries.

    Parameters
    ----------
    proportion : float, (samples, ancestries), rows sum to 1
    spacing : mean bp between neighbouring variants
    maf : least minor allele frequency, in the samples

    Returns
    -------
    DataFrame, (variants,), index contig:pos:ref:alt, columns contig, pos (1-based), ref, alt, id
    int8, (samples, variants), ALT allele count

    Raises
    ------
    InputError : no draw held enough variants of that frequency

    Source
    ------
    Hudson 1990 for mutations on a genealogy; Li and Stephens 2003 for the mosaic.
    """
    length = int(np.ceil(variants / len(contigs) * spacing / BLOCK))  # blocks a contig
    genealogy = _genealogy(rng, len(contigs), length, proportion.shape[1])
    for excess in (1.25, 2.0, 4.0, 8.0):
        block, contig, pos = _sites(rng, len(contigs), length, int(excess * variants) + 20)
        allele, arisen = _mutate(rng, genealogy, block, maf)
        block, contig, pos = block[arisen], contig[arisen], pos[arisen]
        dosage = _mosaic(rng, allele, block, len(contigs), length, proportion)
        frequency = dosage.mean(axis=1) / 2
        common = np.flatnonzero(np.minimum(frequency, 1 - frequency) >= maf)
        if len(common) >= variants:
            break
    else:
        raise InputError(
            f"{len(common)} of {variants} variants reach a frequency of {maf}",
            where="simulate maf",
            mend="give a lower maf, fewer variants or more samples",
        )
    kept = np.sort(rng.choice(common, variants, replace=False))
    var = _name(rng, np.asarray(contigs, dtype=object)[contig[kept]], pos[kept])
    return var, np.ascontiguousarray(dosage[kept].T)


def _genealogy(
    rng: np.random.Generator, contigs: int, length: int, ancestries: int
) -> list[tuple[int, np.ndarray]]:
    """Snapshots back in time: generations each stands for, and the ancestor, (founders, blocks)."""
    blocks = contigs * length
    column = np.arange(blocks)
    ancestor = np.repeat(np.arange(ancestries * FOUNDERS)[:, None], blocks, axis=1)
    snapshots, last = [], 0
    for generation in range(1, GENERATIONS + 1):
        split = ancestries if generation < SPLIT else 1
        size = FOUNDERS * (ancestries if generation <= SPLIT else 1)
        home = np.arange(size) * split // size * FOUNDERS  # parents share the child's ancestry
        parent = _parents(rng, home, contigs, length)
        ancestor = parent.ravel()[ancestor * blocks + column]
        if generation - last >= max(1, last // 6):
            snapshots.append((generation - last, ancestor.astype(np.int16)))
            last = generation
    return snapshots


def _parents(rng: np.random.Generator, home: np.ndarray, contigs: int, length: int) -> np.ndarray:
    """The parent of each haplotype at each block, (haplotypes, blocks): a mosaic of two."""
    size = len(home)
    change = np.zeros((size, contigs, length), np.uint8)
    crossovers = rng.poisson(change.size * CROSSOVER * BLOCK)
    change.ravel()[rng.integers(change.size, size=crossovers)] = 1
    change[:, :, 0] = rng.integers(2, size=(size, contigs))  # contigs assort independently
    second = np.bitwise_xor.accumulate(change, axis=2).reshape(size, -1)
    pair = home[:, None] + rng.integers(FOUNDERS, size=(size, 2))
    return np.where(second, pair[:, 1:], pair[:, :1])


def _sites(
    rng: np.random.Generator, contigs: int, length: int, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Block, contig and 1-based position of random distinct sites, in order along the genome."""
    span = length * BLOCK
    place = np.sort(rng.choice(contigs * span, min(count, contigs * span), replace=False))
    return place // BLOCK, place // span, place % span + FIRST + 1


def _mutate(
    rng: np.random.Generator, genealogy: list[tuple[int, np.ndarray]], block: np.ndarray, maf: float
) -> tuple[np.ndarray, np.ndarray]:
    """Founders' alleles, bool (variants, founders), and which sites have a mutation, (sites,)."""
    founders = len(genealogy[0][1])
    least = max(2, int(np.ceil(maf * founders)))
    carried = [_descendants(ancestor) for _, ancestor in genealogy]
    eligible = [np.minimum(c, founders - c) >= least for c in carried]
    weight = np.array([g * e.sum(0) for (g, _), e in zip(genealogy, eligible, strict=True)])
    bound = np.cumsum(weight, axis=0)[:, block]
    arisen = bound[-1] > 0
    block, bound = block[arisen], bound[:, arisen]
    when = (rng.random(len(block)) * bound[-1] >= bound).sum(axis=0)
    allele = np.zeros((len(block), founders), bool)
    for snapshot, (_, ancestor) in enumerate(genealogy):
        own = np.flatnonzero(when == snapshot)
        if len(own):
            order = np.cumsum(eligible[snapshot][:, block[own]], axis=0)
            choice = (rng.random(len(own)) * order[-1]).astype(int)
            lineage = (order > choice).argmax(axis=0)
            allele[own] = (ancestor[:, block[own]] == lineage).T
    return allele, arisen


def _descendants(ancestor: np.ndarray) -> np.ndarray:
    """How many founders descend from each haplotype, (haplotypes, blocks)."""
    founders, blocks = ancestor.shape
    flat = ancestor.astype(np.int64) * blocks + np.arange(blocks)
    return np.bincount(flat.ravel(), minlength=founders * blocks).reshape(founders, blocks)


def _mosaic(
    rng: np.random.Generator,
    allele: np.ndarray,
    block: np.ndarray,
    contigs: int,
    length: int,
    proportion: np.ndarray,
) -> np.ndarray:
    """ALT dosage, int8 (variants, samples), of samples copied from founders in segments."""
    samples = len(proportion)
    chance = 1 - np.exp(-BLOCK / SEGMENT)
    bounds = np.cumsum(np.repeat(proportion, 2, axis=0), axis=1)[:, :-1]
    dosage = np.empty((len(block), samples), np.int8)
    first = np.searchsorted(block, np.arange(contigs + 1) * length)
    for contig in range(contigs):
        founder = _copied(rng, length, chance, bounds)
        for variant in range(first[contig], first[contig + 1]):
            copies = allele[variant].view(np.int8)[founder[block[variant] - contig * length]]
            dosage[variant] = copies[::2] + copies[1::2]
    return dosage


def _copied(rng: np.random.Generator, length: int, chance: float, bounds: np.ndarray) -> np.ndarray:
    """The founder each haplotype copies at each block of a contig, int16, (blocks, haplotypes)."""
    haplotypes = len(bounds)
    change = rng.random((length, haplotypes), np.float32) < chance
    change[0] = True
    start, haplotype = np.nonzero(change)
    ancestry = (rng.random(len(start))[:, None] >= bounds[haplotype]).sum(axis=1)
    drawn = np.zeros((length, haplotypes), np.int16)
    drawn[start, haplotype] = ancestry * FOUNDERS + rng.integers(FOUNDERS, size=len(start))
    since = np.maximum.accumulate(np.where(change, np.arange(length)[:, None], 0), axis=0)
    return np.take_along_axis(drawn, since, axis=0)


def _name(rng: np.random.Generator, contig: np.ndarray, pos: np.ndarray) -> pd.DataFrame:
    """The variant table, with transitions twice as frequent as transversions."""
    pairs = np.array(["AG", "CT", "GA", "TC", "AC", "AT", "CA", "CG", "GC", "GT", "TA", "TG"])
    chosen = pairs[rng.choice(12, len(pos), p=[1 / 6] * 4 + [1 / 24] * 8)]
    ref, alt = (np.array([p[i] for p in chosen], dtype=object) for i in (0, 1))
    names = [f"{c}:{p}:{r}:{a}" for c, p, r, a in zip(contig, pos, ref, alt, strict=True)]
    identity = [f"rs{i:07d}" for i in range(1, len(pos) + 1)]
    return pd.DataFrame(
        {"contig": contig, "pos": pos, "ref": ref, "alt": alt, "id": identity}, index=names
    )
