"""The variance that relatives and groups add to a score.

Samples that resemble each other in the genotype and in the residual make a score vary more than
independent samples do. The residuals of samples i and j are taken to have the correlation
`share[0] * K_ij + share[1] * G_ij`, where K is the relationship of relatives and G is 1 within a
group. The variance of the score of a direction u is then that of independent samples times

    1 + share[0] * u'Ku / u'u + share[1] * u'Gu / u'u .
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.optimize
import scipy.sparse


class Kin(NamedTuple):
    """Samples that resemble each other.

    Attributes
    ----------
    related : csr_matrix, (samples, samples), relationship of relatives, the diagonal empty
    member : csr_matrix, (groups, samples), 1 where a sample is of a group of two or more
    """

    related: scipy.sparse.csr_matrix
    member: scipy.sparse.csr_matrix

    @property
    def empty(self) -> bool:
        """Whether all samples are independent."""
        return self.related.nnz + self.member.nnz == 0

    def among(self, known: np.ndarray) -> Kin:
        """The same of some samples, bool (samples,), the others unlike all."""
        chosen = scipy.sparse.diags(known.astype(np.float32))
        return Kin((chosen @ self.related @ chosen).tocsr(), (self.member @ chosen).tocsr())

    def only(self, chosen: np.ndarray) -> Kin:
        """The same of some samples, bool (samples,), without the others."""
        return Kin(self.related[chosen][:, chosen], self.member[:, chosen])

    def moments(self) -> np.ndarray:
        """Sums over ordered pairs of samples of K K, K G and G G, float64, (2, 2)."""
        related, member = self.related.astype(np.float64), self.member.astype(np.float64)
        both = (member @ related).multiply(member).sum()
        size = np.asarray(member.sum(1)).ravel()
        squares = related.multiply(related).sum()
        return np.array([[squares, both], [both, (size**2 - size).sum()]])

    def products(self, directions: np.ndarray) -> np.ndarray:
        """u'Ku and u'Gu of each direction u, float64, (2, directions), u (samples, directions)."""
        u = directions.astype(np.float64)
        grouped = np.asarray(self.member.sum(0)).ravel() > 0
        within = ((self.member @ u) ** 2).sum(0) - (u[grouped] ** 2).sum(0)
        return np.stack([(u * (self.related @ u)).sum(0), within])


def membership(group: np.ndarray) -> scipy.sparse.csr_matrix:
    """The `member` of `Kin` from the group of each sample, int (samples,), -1 = of none."""
    size = np.bincount(group[group >= 0], minlength=1)
    shared = np.flatnonzero(group >= 0)
    shared = shared[size[group[shared]] > 1]
    row = np.unique(group[shared], return_inverse=True)[1]
    shape = (int(row.max(initial=-1)) + 1, len(group))
    return scipy.sparse.csr_matrix((np.ones(len(shared), np.float32), (row, shared)), shape=shape)


def resemblance(directions: np.ndarray, kin: Kin) -> np.ndarray:
    """u'Ku / u'u and u'Gu / u'u of each direction u, float64, (2, directions).

    Parameters
    ----------
    directions : float, (samples, directions)
    """
    power = (directions.astype(np.float64) ** 2).sum(0)
    return kin.products(directions) / np.maximum(power, 1e-30)


def shares(residual: np.ndarray, known: np.ndarray, kin: Kin) -> np.ndarray:
    """How far the residual follows relationship and group, float64, (2,), 0 or more.

    Least squares of the products of two samples' residuals on what the two share, times the part
    of the pairs that is left among the samples that are known.

    Parameters
    ----------
    residual : float, (samples,)
    known : bool, (samples,), samples that count

    Source
    ------
    Haseman and Elston 1972, in its form for products.
    """
    e = np.where(known, residual - residual[known].mean(), 0.0).astype(np.float64)
    e *= np.sqrt(known.sum() / np.maximum((e**2).sum(), 1e-30))
    left = kin.among(known)
    moments, products = left.moments(), left.products(e[:, None])[:, 0]
    found = np.zeros(2)
    used = np.flatnonzero(np.diag(moments) > 0)
    if len(used):
        # where groups are families the two say the same: a little ridge shares it out
        some = moments[np.ix_(used, used)] + np.diag(np.diag(moments)[used] * 1e-3)
        root = scipy.linalg.cholesky(some, lower=True)
        right = scipy.linalg.solve_triangular(root, products[used], lower=True)
        found[used] = scipy.optimize.nnls(root.T, right)[0]
    kept = np.diag(moments) / np.maximum(np.diag(kin.moments()), 1e-30)
    present = len(known) / known.sum()
    return np.minimum(found, 1.0) * kept * present


def variance_ratio(share: np.ndarray, likeness: np.ndarray) -> np.ndarray:
    """What the variance of a score of independent samples is to be multiplied by, at least 1.

    Parameters
    ----------
    share : float, (2,) or (2, markers), see `shares`
    likeness : float, (2, ..., markers), see `resemblance`
    """
    between = tuple(range(1, 1 + likeness.ndim - share.ndim))
    return np.maximum(1 + (np.expand_dims(share, between) * likeness).sum(0), 1.0)
