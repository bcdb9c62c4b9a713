"""Targets as the gene tests see them, and what one gene gives for one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from genodl.pipeline.members import Gene
from genodl.pipeline.study import Study
from genodl.rank import saddlepoint
from genodl.rank.fdr import cauchy_combination
from genodl.rank.forms import Basis, Form, basis, form
from genodl.rank.index import bends, index, strongest, strongest_tail
from genodl.rank.parts import Scores, form_tails, normal_scores, one_index, scores
from genodl.rank.resemblance import Kin, resemblance, shares, variance_ratio
from genodl.rank.test import SANDWICH_CARRIERS
from genodl.screen.residual import Target

BENDS_STRENGTH = 5.0  # noncentrality to which the weights of an index's bends are tuned
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
    design : float64, (samples, rank), the covariates, orthonormal there, whatever is known
    """

    known: np.ndarray
    residual: np.ndarray
    covariates: np.ndarray | None
    freedom: int
    law: saddlepoint.Law
    share: np.ndarray
    design: np.ndarray

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
    """What one gene gives for one target.

    Attributes
    ----------
    linear, bent : forms of its markers, and of their squares and products
    bends : form of what bends the index of the linear scores
    square : log p of the square of one sum of the markers
    burden, single : log p of the burden, and of the markers one by one
    """

    linear: Form
    bent: Form
    bends: Form
    square: float
    burden: float
    single: float


def views_of(study: Study, among: Kin) -> list[View]:
    """The targets of a study as the tests see them."""
    return [_view(study, target, among) for target in study.targets]


def _view(study: Study, target: Target, among: Kin) -> View:
    """The samples of a target."""
    known = target.known
    rank = study.basis.shape[1]
    design = study.basis[known].astype(np.float64)
    covariates = None
    if not known[study.folded.present > 0].all():
        design = covariates = np.linalg.qr(design)[0]
    residual = target.marginal[known].astype(np.float64)
    tamed = normal_scores(residual)
    if tamed is not residual:
        residual = less(tamed, design)
    share = np.zeros(2) if among.empty else shares(target.marginal, known, among)
    freedom = max(len(residual) - rank, 1)
    law = saddlepoint.empirical_law(residual)
    return View(known, residual, covariates, freedom, law, share, design)


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
    ratio = [_ratio(view, alike) for alike in likeness or [None] * 3]
    straight, curved, lone = (
        view.seen(values, given) for values in (gene.linear.values, gene.bent.values, _lone(gene))
    )

    def scored(values: np.ndarray, ratio: np.ndarray | float) -> Scores:
        return scores(values, residual, freedom=freedom, law=view.law, ratio=ratio)

    def formed(values: np.ndarray, basis: Basis, ratio: np.ndarray | float) -> Form:
        few = SANDWICH_CARRIERS
        return form(values, basis.weight, residual, variance, few=few, ratio=ratio)

    bent = less(bends(index(gene.linear, scored(straight, ratio[0]).z)[view.known]), view.design)
    along = strongest(gene.squares, scored(curved, ratio[1]).z[None])[0]
    # directions found from the phenotype are taken to run along kin as the most alike of the gene
    square = scored(curved @ along[:, None], np.max(ratio[1], initial=1.0)).z[0]
    each = scored(lone, ratio[2]).log_p
    single = cauchy_combination(each[1:], np.zeros(len(each) - 1, int), 1)
    return Parts(
        formed(straight, gene.linear, ratio[0]),
        formed(curved, gene.bent, ratio[1]),
        _apart(less(bent, given), straight, residual, freedom, np.max(ratio[0], initial=1.0)),
        float(strongest_tail(square, gene.squares)),
        float(each[0]),
        float(single[0]),
    )


def _lone(gene: Gene) -> np.ndarray:
    """The burden beside the markers."""
    return np.column_stack([gene.burden, gene.channels[0]])


def _apart(
    values: np.ndarray, others: np.ndarray, residual: np.ndarray, freedom: int, ratio: float
) -> Form:
    """The form of what some columns say beside others, which are taken out of the residual too."""
    given = np.linalg.qr(others)[0]
    found = basis(
        less(values, given).astype(np.float32), present=len(residual), strength=BENDS_STRENGTH
    )
    left = less(residual, given)
    variance = float(left @ left) / max(freedom - given.shape[1], 1)
    few = SANDWICH_CARRIERS
    return form(found.values, found.weight, left, variance, few=few, ratio=ratio)


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
    """log p of the parts of each gene, (6, genes), and which it has; no network yet."""
    straight, joint = form_tails([p.linear for p in collected], [p.bent for p in collected])
    one = one_index(straight, [p.bends for p in collected], np.array([p.square for p in collected]))
    burden = np.array([p.burden for p in collected])
    single = np.array([p.single for p in collected])
    parts = np.stack([straight, joint, burden, single, np.zeros(len(collected)), one])
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
