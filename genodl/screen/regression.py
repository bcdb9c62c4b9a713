"""Linear regression of many phenotypes on one marker at a time, exact where calls are missing.

The samples that lack a marker's call are left out of its regressions, as PLINK does, and those that
lack a phenotype out of that phenotype's. Both are taken out of sums over all samples, so most of
the work is one matrix product a block of markers.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from genodl.screen.student import p_values

SINGULAR = 1e-4  # share of its variance that a marker must keep beside the covariates


class Prepared(NamedTuple):
    """Phenotypes freed of the covariates, in groups of those known in the same samples.

    Attributes
    ----------
    order : int, (phenotypes,), the phenotype of each column of `residual`
    start : int, (groups + 1,), first column of `residual` of each group
    known : float32, (samples, groups), 1 where the phenotypes of the group are known
    basis : float64, (groups, samples, columns), orthonormal covariates over those samples, 0
        elsewhere and in the columns beyond `rank`
    rank : int, (groups,), covariates, the intercept among them
    residual : float64, (samples, phenotypes), of the phenotypes in `order` on the basis
    """

    order: np.ndarray
    start: np.ndarray
    known: np.ndarray
    basis: np.ndarray
    rank: np.ndarray
    residual: np.ndarray


class Fitted(NamedTuple):
    """Regressions of a block, each (markers, phenotypes), nan where there is nothing to fit.

    Attributes
    ----------
    n : int64, samples with phenotype and call
    effect, se : float64, of the marker, phenotype unit a unit of the marker
    t, p_value : float64, of n less covariates less one degrees of freedom, two-sided
    """

    n: np.ndarray
    effect: np.ndarray
    se: np.ndarray
    t: np.ndarray
    p_value: np.ndarray


def prepare(phenotypes: np.ndarray, covariates: np.ndarray) -> Prepared:
    """Free phenotypes of the covariates, each over the samples where it is known.

    Parameters
    ----------
    phenotypes : float, (samples, phenotypes), nan = missing
    covariates : float, (samples, columns), finite, without an intercept
    """
    observed = np.isfinite(phenotypes)
    patterns, group = np.unique(observed.T, axis=0, return_inverse=True)
    group = group.reshape(-1)
    order = np.argsort(group, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(group, minlength=len(patterns)))])
    design = np.column_stack([np.ones(len(phenotypes)), covariates])
    basis = np.zeros((len(patterns), *design.shape))
    rank = np.zeros(len(patterns), np.int64)
    residual = np.where(observed, phenotypes, 0)[:, order].astype(float)
    for g, rows in enumerate(patterns):
        left, size, _ = np.linalg.svd(design[rows], full_matrices=False)
        kept = size > size[0] * 1e-8
        rank[g] = kept.sum()
        basis[g, rows, : rank[g]] = left[:, kept]
        mine = slice(start[g], start[g + 1])
        # twice is enough: what the first pass leaves of the covariates is rounding
        for _ in range(2):
            residual[:, mine] -= basis[g] @ (basis[g].T @ residual[:, mine])
    known = patterns.T.astype(np.float32)
    return Prepared(order, start, known, basis, rank, residual)


def regress(dosage: np.ndarray, prepared: Prepared) -> Fitted:
    """Regressions of every phenotype on the covariates and one marker of a block at a time.

    Parameters
    ----------
    dosage : int8, (markers, samples), ALT allele count, MISSING = -1; or float32, nan = missing
    """
    groups, samples, columns = prepared.basis.shape
    values, begin, absent = _called(dosage)
    right = np.concatenate(
        [prepared.basis.transpose(1, 0, 2).reshape(samples, -1), prepared.residual], axis=1
    )
    product = values @ right.astype(values.dtype)
    squares = (values * values) @ prepared.known.astype(values.dtype)
    n, effect, se, t = (np.full((len(dosage), len(prepared.order)), np.nan) for _ in range(4))
    for g in range(groups):
        mine = slice(prepared.start[g], prepared.start[g + 1])
        _fit(
            product[:, g * columns : (g + 1) * columns],
            product[:, groups * columns :][:, mine],
            squares[:, g],
            begin,
            absent,
            prepared.known[:, g] > 0,
            np.ascontiguousarray(prepared.basis[g][:, : prepared.rank[g]]),
            np.ascontiguousarray(prepared.residual[:, mine]),
            n[:, mine],
            effect[:, mine],
            se[:, mine],
            t[:, mine],
        )
    freedom = n - np.repeat(prepared.rank, np.diff(prepared.start)) - 1
    found = Fitted(n.astype(np.int64), effect, se, t, p_values(t, freedom.astype(np.int64)))
    if groups == 1:
        return found
    back = np.argsort(prepared.order)
    return Fitted(*(column[:, back] for column in found))


def _called(dosage: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values near 0, and 0 where missing; first missing call of each marker, their samples.

    A constant taken from a marker changes no slope beside an intercept, and keeps sums small: calls
    are counted from the nearest whole number to their mean, which single precision holds exactly.
    """
    if dosage.dtype.kind != "i":
        missing = np.isnan(dosage)
        called = np.maximum((~missing).sum(1), 1)
        mean = np.where(missing, 0, dosage).sum(1, dtype=np.float64) / called
        values = np.where(missing, 0, dosage - mean[:, None])
        rows, absent = np.nonzero(missing)
        return values, np.searchsorted(rows, np.arange(len(dosage) + 1)), absent
    values = np.empty(dosage.shape, np.float32)
    begin = np.zeros(len(dosage) + 1, np.int64)
    _count_missing(dosage, values, begin)
    absent = np.empty(begin[-1], np.int64)
    _list_missing(dosage, begin, absent)
    return values, begin, absent


@numba.njit(cache=True, nogil=True)
def _count_missing(dosage, values, begin):
    """Copy the calls, and say where the missing ones of each marker begin in a list of all."""
    samples = dosage.shape[1]
    for v in range(len(dosage)):
        count, total = 0, 0
        for i in range(samples):
            count += dosage[v, i] < 0
            total += max(dosage[v, i], 0)
        begin[v + 1] = begin[v] + count
        middle = np.rint(total / max(samples - count, 1))
        for i in range(samples):
            values[v, i] = 0 if dosage[v, i] < 0 else dosage[v, i] - middle


@numba.njit(cache=True, nogil=True)
def _list_missing(dosage, begin, absent):
    """The samples of the missing calls, marker by marker."""
    for v in range(len(dosage)):
        k = begin[v]
        if begin[v + 1] == k:
            continue
        for i in range(dosage.shape[1]):
            if dosage[v, i] < 0:
                absent[k] = i
                k += 1


@numba.njit(cache=True, nogil=True)
def _fit(on_basis, on_residual, square, begin, absent, known, basis, residual, n, effect, se, t):
    """Fill n, effect, se and t, (markers, phenotypes), of one group of phenotypes."""
    columns, phenotypes = basis.shape[1], residual.shape[1]
    samples = 0
    for i in range(len(known)):
        samples += known[i]
    power = np.zeros(phenotypes)
    for i in range(len(known)):
        for p in range(phenotypes):
            power[p] += residual[i, p] ** 2
    root = np.empty((columns, columns))
    shift = np.empty((columns, phenotypes))
    left = np.empty(phenotypes)
    w = np.empty(columns)
    for v in range(len(square)):
        root[:] = 0
        shift[:] = 0
        for a in range(columns):
            root[a, a] = 1
        for p in range(phenotypes):
            left[p] = power[p]
        count = samples
        gone = absent[begin[v] : begin[v + 1]]
        count -= _take_out(gone, known, basis, residual, root, shift, left)
        freedom = count - columns - 1
        sound = _cholesky(root) and freedom > 0
        spread = square[v] - _solve(root, on_basis[v], shift, w)
        sound = sound and spread > SINGULAR * square[v]
        for p in range(phenotypes):
            n[v, p] = count
            if not sound:
                continue
            product = on_residual[v, p]
            rest = left[p]
            for a in range(columns):
                product -= w[a] * shift[a, p]
                rest -= shift[a, p] ** 2
            slope = product / spread
            rest -= slope * product
            if rest <= 1e-12 * power[p]:
                continue
            effect[v, p] = slope
            se[v, p] = np.sqrt(rest / freedom / spread)
            t[v, p] = slope / se[v, p]


@numba.njit(cache=True, nogil=True)
def _take_out(gone, known, basis, residual, root, shift, left):
    """Take what samples without a call add out of the sums; how many of them are known."""
    columns, phenotypes = basis.shape[1], residual.shape[1]
    count = 0
    for i in gone:
        if not known[i]:
            continue
        count += 1
        for a in range(columns):
            for b in range(a + 1):
                root[a, b] -= basis[i, a] * basis[i, b]
            for p in range(phenotypes):
                shift[a, p] -= basis[i, a] * residual[i, p]
        for p in range(phenotypes):
            left[p] -= residual[i, p] ** 2
    return count


@numba.njit(cache=True, nogil=True)
def _solve(root, on_basis, shift, w):
    """Solve the lower factor for the marker, in w, and the phenotypes, in shift; w squared."""
    square = 0.0
    for a in range(len(root)):
        total = on_basis[a]
        for c in range(a):
            total -= root[a, c] * w[c]
            for p in range(shift.shape[1]):
                shift[a, p] -= root[a, c] * shift[c, p]
        w[a] = total / root[a, a]
        for p in range(shift.shape[1]):
            shift[a, p] /= root[a, a]
        square += w[a] ** 2
    return square


@numba.njit(cache=True, nogil=True)
def _cholesky(root):
    """Put the lower factor of a matrix in its place; whether it is sound."""
    sound = True
    for a in range(len(root)):
        for b in range(a + 1):
            total = root[a, b]
            for c in range(b):
                total -= root[a, c] * root[b, c]
            if a == b:
                sound = sound and total > 1e-9
                root[a, a] = np.sqrt(max(total, 1e-300))
            else:
                root[a, b] = total / root[b, b]
    return sound
