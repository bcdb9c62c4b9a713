"""Targets as the gene tests see them, and what one gene gives for one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from genodl.pipeline.members import Gene
from genodl.pipeline.study import Study
from genodl.rank import saddlepoint
from genodl.rank.fdr import cauchy_combination
from genodl.rank.forms import Basis, Form, form
from genodl.rank.parts import form_tails, normal_scores, scores
from genodl.rank.resemblance import Kin, resemblance, shares, variance_ratio
from genodl.rank.test import SANDWICH_CARRIERS
from genodl.screen.residual import Target

LEAST_LEFT = 0.01  # of a direction's variance, given the leading genes, for a test of it


class View(NamedTuple):
    """A target as the tests see it.

    Attributes
    ----------
    known : bool, (places,)
    residual : float64, (samples,), where the phenotype is known, as normal scores where its tails
        are long
    covariates : float64, (samples, rank), orthonormal there; None where all are known
    freedom : samples less covariates
    law : of the residual, for the tail of few carriers
    share : float64, (2,), how far the residual follows relatives and groups
    """

    known: np.ndarray
    residual: np.ndarray
    covariates: np.ndarray | None
    freedom: int
    law: saddlepoint.Law
    share: np.ndarray

    def seen(self, values: np.ndarray, given: np.ndarray | None) -> np.ndarray:
        """Columns, (places, columns), of the samples, free of the covariates and of what is given.

        A column of which next to nothing is left is 0.
        """
        whole = less(values[self.known].astype(np.float64), self.covariates)
        left = less(whole, given)
        kept = np.square(left).sum(0) > LEAST_LEFT * np.square(whole).sum(0)
        return np.where(kept, left, 0.0)


class Likeness(NamedTuple):
    """How far the directions of a gene run along kin, (2, directions) each; see `rank.test`."""

    linear: np.ndarray
    bent: np.ndarray
    lone: np.ndarray


class Parts(NamedTuple):
    """What one gene gives for one target."""

    linear: Form
    bent: Form
    burden: float
    single: float


def views_of(study: Study, among: Kin) -> list[View]:
    """The targets of a study as the tests see them."""
    return [_view(study, target, among) for target in study.targets]


def _view(study: Study, target: Target, among: Kin) -> View:
    """The samples of a target."""
    known = target.known
    rank = study.basis.shape[1]
    basis = study.basis[known].astype(np.float64)
    covariates = None
    if not known[study.folded.present > 0].all():
        basis = covariates = np.linalg.qr(basis)[0]
    residual = target.marginal[known].astype(np.float64)
    tamed = normal_scores(residual)
    if tamed is not residual:
        residual = less(tamed, basis)
    share = np.zeros(2) if among.empty else shares(target.marginal, known, among)
    freedom = max(len(residual) - rank, 1)
    return View(known, residual, covariates, freedom, saddlepoint.empirical_law(residual), share)


def likeness_of(gene: Gene, among: Kin) -> Likeness | None:
    """How far a gene's directions run along kin; None where all samples are independent."""
    if among.empty:
        return None
    lone = np.column_stack([gene.burden, gene.channels[0]])
    return Likeness(*(resemblance(v, among) for v in (gene.linear.values, gene.bent.values, lone)))


def parts_of(
    gene: Gene, view: View, likeness: Likeness | None, given: np.ndarray | None = None
) -> Parts:
    """The tests of one gene, given the directions of other genes where there are some."""
    residual, freedom, variance = _left(view, given)

    def tested(basis: Basis, alike: np.ndarray | None) -> Form:
        few, ratio = SANDWICH_CARRIERS, _ratio(view, alike)
        directions = view.seen(basis.values, given)
        return form(directions, basis.weight, residual, variance, few=few, ratio=ratio)

    ratio = _ratio(view, likeness and likeness.lone)
    directions = view.seen(np.column_stack([gene.burden, gene.channels[0]]), given)
    lone = scores(directions, residual, freedom=freedom, law=view.law, ratio=ratio).log_p
    single = cauchy_combination(lone[1:], np.zeros(len(lone) - 1, int), 1)
    return Parts(
        tested(gene.linear, likeness and likeness.linear),
        tested(gene.bent, likeness and likeness.bent),
        float(lone[0]),
        float(single[0]),
    )


def _left(view: View, given: np.ndarray | None) -> tuple[np.ndarray, int, float]:
    """The residual given some directions, its degrees of freedom and its variance."""
    residual = less(view.residual, given)
    freedom = max(view.freedom - (0 if given is None else np.square(given).sum()), 1)
    return residual, freedom, float(residual @ residual) / freedom


def form_of(basis: Basis, view: View, given: np.ndarray | None) -> Form:
    """The form of some directions, given others; samples taken as independent."""
    residual, _, variance = _left(view, given)
    directions = view.seen(basis.values, given)
    return form(directions, basis.weight, residual, variance, few=SANDWICH_CARRIERS)


def tabled(collected: list[Parts]) -> tuple[np.ndarray, np.ndarray]:
    """log p of the parts of each gene, (5, genes), and which it has; no network yet."""
    straight, joint = form_tails([p.linear for p in collected], [p.bent for p in collected])
    burden = np.array([p.burden for p in collected])
    single = np.array([p.single for p in collected])
    parts = np.stack([straight, joint, burden, single, np.zeros(len(collected))])
    used = np.ones(parts.shape, bool)
    used[4] = False
    return parts, used


def removal(
    leading: Mapping[int, np.ndarray], without: Sequence[int] | np.ndarray = ()
) -> np.ndarray | None:
    """What `less` takes out for the leading genes, less those of some, (samples, directions).

    With A their directions, each as long as its effect is large in units of the residual, the
    residual has the variance V = 1 + A A'. The columns q returned, orthogonal and of length at
    most 1, are such that x - q q'x is V^(-1/2) x: scores of what is left are those of generalised
    least squares. A direction of a strong effect is removed whole, one of none is left alone.

    Source
    ------
    Kang and others 2010, whitening by a variance component.
    """
    kept = [values for gene, values in leading.items() if gene not in without]
    if not kept:
        return None
    left, size, _ = np.linalg.svd(np.hstack(kept), full_matrices=False)
    return left * np.sqrt(1 - 1 / np.sqrt(1 + size**2))


def less(values: np.ndarray, given: np.ndarray | None) -> np.ndarray:
    """Columns without those that are given: orthogonal to them where these have length 1."""
    return values if given is None else values - given @ (given.T @ values)


def _ratio(view: View, likeness: np.ndarray | None) -> np.ndarray | float:
    """What kin multiply the variance of scores by."""
    return 1.0 if likeness is None else variance_ratio(view.share, likeness)
