"""Linkage disequilibrium, kinship and principal components of genotypes.

Missing dosages are set to the mean of their variant, so a sample missing throughout changes no
correlation of two variants and stands at the centre of the others. Variants are visited in
blocks, so memory grows with the samples and with the answer, not with the number of variants.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
import scipy.linalg
import scipy.sparse
import scipy.sparse.linalg

from genodl.errors import InputError
from genodl.values import MISSING

BLOCK = 1024
# from here on a few leading eigenvectors are found faster by iteration than by a full reduction
ITERATE_ABOVE = 5_000


def ld_neighbours(
    dosage: np.ndarray,
    contig: np.ndarray,
    pos: np.ndarray,
    *,
    r2: float = 0.1,
    window: int = 1_000_000,
) -> scipy.sparse.csr_matrix:
    """The squared correlation of each pair of variants that are near each other and in LD.

    Parameters
    ----------
    dosage : int8, (samples, variants), ALT allele count, MISSING = -1; or float, nan = missing
    contig : (variants,), label
    pos : int, (variants,), base pairs, in any order
    r2 : the least squared correlation that counts
    window : the largest distance of two variants, base pairs

    Returns
    -------
    csr_matrix, float32, (variants, variants), symmetric, in the order given; r2 where two
    variants of one contig are at most `window` apart and r2 reaches the threshold. The diagonal
    is empty; a variant that does not vary has no neighbours.
    """
    variants = dosage.shape[1]
    code = np.unique(np.asarray(contig).astype(str), return_inverse=True)[1]
    order = np.lexsort((pos, code))
    place, contig_code = np.asarray(pos, dtype=np.int64)[order], code[order]
    pairs = list(_pairs(dosage, order, contig_code, place, r2=r2, window=window))
    one, two, value = (
        np.concatenate([p[part] for p in pairs] or [np.zeros(0)]) for part in range(3)
    )
    upper = scipy.sparse.coo_matrix(
        (value.astype(np.float32), (one.astype(np.int32), two.astype(np.int32))),
        shape=(variants, variants),
    ).tocsr()
    return (upper + upper.T).tocsr()


def prune(
    dosage: np.ndarray,
    contig: np.ndarray,
    pos: np.ndarray,
    *,
    r2: float = 0.2,
    window: int = 1_000_000,
    priority: np.ndarray | None = None,
) -> np.ndarray:
    """Variants of which no two are in LD, chosen greedily by priority.

    Parameters
    ----------
    dosage, contig, pos, r2, window : as for `ld_neighbours`
    priority : float, (variants,), the highest is chosen first; by default the variance of the
        dosage, so the more frequent of two variants in LD stays

    Returns
    -------
    int64, (kept,), ascending columns of `dosage`; variants that do not vary are left out
    """
    neighbours = ld_neighbours(dosage, contig, pos, r2=r2, window=window)
    spread = _variance(dosage)
    rank = spread if priority is None else np.asarray(priority, dtype=float)
    open_ = spread > 0
    kept = []
    for variant in np.argsort(-rank, kind="stable"):
        if open_[variant]:
            kept.append(variant)
            start, stop = neighbours.indptr[variant : variant + 2]
            open_[neighbours.indices[start:stop]] = False
            open_[variant] = False
    return np.sort(np.array(kept, dtype=np.int64))


def kinship(dosage: np.ndarray | Iterable[np.ndarray]) -> np.ndarray:
    """The genomic relationship matrix: mean product of standardised dosages.

    Each variant is scaled by its own standard deviation, so haploid, diploid and imputed dosages
    need no ploidy; under Hardy-Weinberg proportions this is the usual matrix.

    Parameters
    ----------
    dosage : int8 or float, (samples, variants), as for `ld_neighbours`, or blocks of it

    Returns
    -------
    float64, (samples, samples); mean diagonal 1 over the samples with a known dosage. The row and
    column of a sample without any are 0, and the others are as if it were not there.

    Source
    ------
    Yang et al. 2011, GCTA, equation 3.
    """
    total, variants = np.zeros(()), 0
    for block in _blocks(dosage):
        z = _unit(block)
        total = total + (z @ z.T).astype(np.float64)
        variants += int(z.any(axis=0).sum())
    if not variants:
        raise InputError(
            "no variant varies", where="kinship", mend="give variants that differ between samples"
        )
    present = int((np.diag(total) > 0).sum())
    return total * present / variants


def principal_components(
    dosage: np.ndarray | Iterable[np.ndarray],
    k: int,
    *,
    seed: int = 0,
    contig: np.ndarray | None = None,
    pos: np.ndarray | None = None,
    r2: float = 0.2,
    window: int = 1_000_000,
) -> np.ndarray:
    """The leading principal components of the samples' genotypes.

    With `contig` and `pos` the variants are thinned for LD first; without, give thinned ones, or
    components may describe a few long haplotypes in place of ancestry.

    Parameters
    ----------
    dosage : int8 or float, (samples, variants), as for `ld_neighbours`, or blocks of it
    k : how many, below the number of samples with a known dosage
    seed : start of the iteration used above 5,000 samples
    contig, pos : (variants,), label and base pairs, with a whole array of dosages
    r2, window : of the thinning, see `prune`

    Returns
    -------
    float64, (samples, k), each column with mean 0 and standard deviation 1, by falling
    eigenvalue; the largest entry of a column, by size, is positive. A sample without any known
    dosage is at 0, the mean: nothing is adjusted for its ancestry.

    Raises
    ------
    InputError : k is not below that number of samples, or no variant varies

    Source
    ------
    Patterson, Price and Reich 2006, with the empirical standard deviation as scale.
    """
    if k == 0 and isinstance(dosage, np.ndarray):
        return np.zeros((len(dosage), 0))
    if contig is not None and pos is not None and isinstance(dosage, np.ndarray):
        dosage = dosage[:, prune(dosage, contig, pos, r2=r2, window=window)]
    relationship = kinship(dosage)
    present = int((np.diag(relationship) > 0).sum())
    if not 0 <= k < present:
        raise InputError(
            f"{k} components of {present} samples",
            where="principal components",
            mend=f"ask for 0 to {present - 1}",
        )
    vectors = _leading(relationship, k, seed=seed)
    return _signed(vectors) * np.sqrt(len(relationship))


def loadings(dosage: np.ndarray, components: np.ndarray) -> np.ndarray:
    """What a unit of each variant's dosage, less its mean, adds to each principal component.

    A new sample's component is the sum over the variants. Components of few samples draw new
    samples towards the centre.

    Parameters
    ----------
    dosage : int8 or float, (samples, variants), those the components were made of
    components : float64, (samples, k), of `principal_components`

    Returns
    -------
    float32, (variants, k)
    """
    parts = []
    for block in _blocks(dosage):
        scaled = _unit(block)
        spread = np.sqrt(_variance(block) * len(block))
        unit = np.divide(1, spread, out=np.zeros_like(spread), where=spread > 0)
        parts.append((unit[:, None] * (scaled.T @ components), scaled))
    total = sum(scaled @ (scaled.T @ components) for _, scaled in parts)
    size = np.square(components).sum(0) / np.maximum((components * total).sum(0), 1e-12)
    return np.concatenate([part * size for part, _ in parts]).astype(np.float32)


def _leading(matrix: np.ndarray, k: int, *, seed: int) -> np.ndarray:
    """The k leading eigenvectors, (samples, k), of a symmetric matrix."""
    samples = len(matrix)
    if k == 0:
        return np.zeros((samples, 0))
    if samples <= ITERATE_ABOVE:
        subset = (samples - k, samples - 1)
        return scipy.linalg.eigh(matrix, subset_by_index=subset)[1][:, ::-1]
    start = np.random.default_rng(seed).standard_normal(samples)
    values, vectors = scipy.sparse.linalg.eigsh(matrix, k=k, v0=start)
    return vectors[:, np.argsort(-values)]


def _signed(vectors: np.ndarray) -> np.ndarray:
    """Eigenvectors with their largest entry positive."""
    largest = np.abs(vectors).argmax(axis=0)
    return vectors * np.sign(vectors[largest, np.arange(vectors.shape[1])])


def _pairs(
    dosage: np.ndarray,
    order: np.ndarray,
    contig: np.ndarray,
    pos: np.ndarray,
    *,
    r2: float,
    window: int,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Columns of `dosage` and r2 of the pairs in LD, block by block along each contig."""
    for start, stop in _runs(contig):
        for a in range(start, stop, BLOCK):
            b = min(a + BLOCK, stop)
            rows = _unit(dosage[:, order[a:b]])
            reach = start + int(np.searchsorted(pos[start:stop], pos[b - 1] + window, "right"))
            for c in range(a, reach, BLOCK):
                d = min(c + BLOCK, reach)
                columns = rows if c == a and d == b else _unit(dosage[:, order[c:d]])
                squared = np.square(rows.T @ columns)
                i, j = np.nonzero(squared >= r2)
                near = (j + c > i + a) & (pos[j + c] - pos[i + a] <= window)
                i, j = i[near], j[near]
                yield order[i + a], order[j + c], np.minimum(squared[i, j], 1.0)


def _runs(contig: np.ndarray) -> Iterator[tuple[int, int]]:
    """Start and stop of each run of one contig."""
    edges = np.flatnonzero(np.diff(contig)) + 1
    bounds = [0, *(int(e) for e in edges), len(contig)]
    yield from pairwise(bounds)


def _blocks(dosage: np.ndarray | Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Blocks of variants of an array, or the blocks given."""
    if not isinstance(dosage, np.ndarray):
        yield from dosage
        return
    for start in range(0, dosage.shape[1], BLOCK):
        yield dosage[:, start : start + BLOCK]


def _unit(block: np.ndarray) -> np.ndarray:
    """float32, (samples, variants): centred, mean imputed, norm 1; zero where it does not vary."""
    missing = block == MISSING if block.dtype.kind == "i" else np.isnan(block)
    called = np.maximum(len(block) - missing.sum(axis=0), 1)
    values = np.where(missing, 0, block).astype(np.float32)
    mean = values.sum(axis=0, dtype=np.float64) / called
    centred = np.where(missing, np.float32(0), values - mean.astype(np.float32))
    norm = np.sqrt(np.einsum("ij,ij->j", centred, centred))
    # a constant float column leaves rounding error behind, not variance
    varies = norm > 1e-6 * np.sqrt(len(block)) * np.maximum(np.abs(mean), 1e-3)
    scale = np.divide(1, norm, out=np.zeros_like(norm), where=varies)
    return centred * scale


def _variance(dosage: np.ndarray) -> np.ndarray:
    """float64, (variants,), of the mean imputed dosage; 0 where it does not vary."""
    found = []
    for block in _blocks(dosage):
        missing = block == MISSING if block.dtype.kind == "i" else np.isnan(block)
        values = np.where(missing, np.nan, block)
        called = np.maximum((~missing).sum(axis=0), 1)
        mean = np.where(missing, 0, block).sum(axis=0) / called
        found.append(
            np.nan_to_num(np.square(values - mean)).mean(axis=0) * _unit(block).any(axis=0)
        )
    return np.concatenate(found or [np.zeros(0)])
