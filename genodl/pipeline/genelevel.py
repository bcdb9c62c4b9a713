"""The gene and pathway tables of a discovery."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse as sp
from scipy.special import expit

from genodl.config import DiscoverConfig
from genodl.pipeline.annotation import Annotation
from genodl.pipeline.branches import Branches
from genodl.pipeline.genes import Tests, clusters, gene_tests
from genodl.pipeline.learn import Deep, Linear, Part
from genodl.pipeline.pathways import pathway_table, pathway_tests, usable_sets
from genodl.pipeline.study import Study
from genodl.rank.annotate import Membership, membership
from genodl.rank.calibration import inflation, self_check
from genodl.rank.combine import deviate
from genodl.rank.fdr import benjamini_hochberg, cauchy_combination
from genodl.rank.loci import clump
from genodl.screen.residual import Target
from genodl.train.stacking import gate

Track = Callable[[Iterable, str, int], Iterable]
PARTS = ("p_linear", "p_forms", "p_burden", "p_single", "p_network")
GENES = [
    *("phenotype", "rank", "gene", "contig", "start", "end", "n_markers"),
    *("score", "p_value", "q_value", "cluster", *PARTS, "probability"),
]


class GeneLevel(NamedTuple):
    """Genes and pathways of every phenotype and permuted replicate.

    Attributes
    ----------
    members : the markers of each gene
    tests : of every target
    genes, pathways : a table a family, best first; no pathways where no sets were given
    notes : on the annotation, one sentence each
    """

    members: Membership
    tests: list[Tests]
    genes: list[pd.DataFrame]
    pathways: list[pd.DataFrame]
    notes: tuple[str, ...]

    @property
    def record(self) -> dict[str, Any]:
        """What goes into the provenance."""
        return {"tested": len(self.genes[0]), "notes": list(self.notes)}

    def tables(self, real: int) -> dict[str, pd.DataFrame]:
        """The tables of the first so many families, those that are no replicates."""
        tables = {"genes": self.genes[:real], "pathways": self.pathways[:real]}
        return {name: pd.concat(each, ignore_index=True) for name, each in tables.items() if each}

    def calibrate(self, calibration: dict[str, Any], names: Sequence[str], *, fdr: float) -> None:
        """Add what concerns genes to the calibration of the named phenotypes."""
        for name, table in zip(names, self.genes, strict=False):
            calibration[name]["n_genes"] = len(table)
            calibration[name]["genes_lambda"] = inflation(table["p_value"].to_numpy())
            calibration[name]["n_genes_found"] = int((table["q_value"] < fdr).sum())
        null = self.genes[len(names) :]
        calibration["self_check"]["genes"] = self_check(
            [table["p_value"].to_numpy() for table in null],
            [float(table["q_value"].min()) for table in null],
            fdr=fdr,
        )


def members_of(study: Study, known: Annotation, config: DiscoverConfig) -> Membership:
    """The markers of each gene; `InputError` where no gene has any."""
    var = {name: m.var for name, m in study.cohort.modalities.items()}
    return membership(known.genes, var, window=config.gene_window)


def gene_level(
    study: Study,
    known: Annotation,
    near: Mapping[str, sp.csr_matrix],
    config: DiscoverConfig,
    track: Track,
) -> GeneLevel:
    """Every gene, and every gene set, tested for every phenotype."""
    members = members_of(study, known, config)
    tests = gene_tests(study, members, config, track)
    links = clusters(members, near)
    joined = [_together([tests[i] for i in family]) for family in study.families]
    names = [study.targets[family[0]].name for family in study.families]
    genes = [
        gene_table(name, members, parts, log_p, _likeliest([tests[i] for i in family]), links)
        for name, (parts, log_p), family in zip(names, joined, study.families, strict=True)
    ]
    sets, notes = usable_sets(known.sets, members)
    pathways: list[pd.DataFrame] = []
    if sets:
        log_p = pathway_tests(study, members, sets, tests, config.group, track)
        pathways = [
            pathway_table(name, members, sets, _cauchy(log_p[family]), own)
            for name, family, (_, own) in zip(names, study.families, joined, strict=True)
        ]
    return GeneLevel(members, tests, genes, pathways, (*members.notes, *notes))


def _together(tests: Sequence[Tests]) -> tuple[np.ndarray, np.ndarray]:
    """log p of the parts, nan where a gene lacks one, and of the whole, of one phenotype."""
    parts = _cauchy(np.stack([t.parts for t in tests]))
    parts[~np.any([t.used for t in tests], axis=0)] = np.nan
    return parts, _cauchy(np.stack([t.log_p for t in tests]))


def _likeliest(tests: Sequence[Tests]) -> np.ndarray:
    """log odds that each gene acts on the class it acts on most, nan of no candidates."""
    odds = np.stack([t.log_odds for t in tests])
    most = np.where(np.isnan(odds), -np.inf, odds).max(0)
    return np.where(np.isinf(most), np.nan, most)


def _cauchy(log_p: np.ndarray) -> np.ndarray:
    """The Cauchy combination along the first axis, that of the classes of a phenotype."""
    if len(log_p) == 1:
        return log_p[0].copy()
    flat = log_p.reshape(len(log_p), -1)
    group = np.tile(np.arange(flat.shape[1]), len(flat))
    return cauchy_combination(flat.ravel(), group, flat.shape[1]).reshape(log_p.shape[1:])


def gene_table(
    name: str,
    members: Membership,
    parts: np.ndarray,
    log_p: np.ndarray,
    log_odds: np.ndarray,
    links: sp.csr_matrix,
) -> pd.DataFrame:
    """The genes of one phenotype, the likeliest first; those in LD share the cluster of the best.

    Rank follows the probability that a gene itself acts, then its p-value: a neighbour of a gene
    that explains as much has the p-value of an association, but not the rank.

    Parameters
    ----------
    parts : float, (5, genes), log p, nan where a gene lacks a part
    log_p : float, (genes,)
    log_odds : float, (genes,), nan of those that are no candidates
    links : (genes, genes), nonzero where two genes are in LD
    """
    table = members.genes[["gene", "contig", "start", "end", "n_markers"]].copy()
    table["phenotype"] = name
    table["score"] = deviate(log_p)
    table["p_value"] = np.exp(log_p)
    table["q_value"] = benjamini_hochberg(np.exp(log_p))
    order = np.lexsort([log_p, -np.where(np.isnan(log_odds), -np.inf, log_odds)])
    table["cluster"] = table["gene"].to_numpy()[clump(np.argsort(order) - len(order), links)]
    for column, values in zip(PARTS, np.exp(parts), strict=True):
        table[column] = values
    table["probability"] = expit(log_odds)
    table = table.iloc[order].reset_index(drop=True)
    table["rank"] = np.arange(1, len(table) + 1)
    return table[GENES]


def with_branches(study: Study, number: int, linear: Linear, deep: Deep, tests: Tests) -> Deep:
    """The prediction of the branches as the network part of a target, weighed by stacking.

    The weight in a fold is learnt on what the other folds' networks say of their held-out samples,
    beside what the sparse path and the products say of them.
    """
    if tests.branches is None:
        return deep
    target, fold = study.targets[number], study.folded.fold
    straight = linear.prediction[np.arange(len(fold)), fold] + deep.products.prediction
    added = _centred(tests.branches, target) - straight
    gates = np.zeros(len(study.folded.rows))
    for k in range(len(gates)):
        weight = (target.known & (fold != k)).astype(float)
        left = target.residual[np.arange(len(fold)), fold] - straight
        gates[k] = gate(added, left - np.average(left, weights=weight), weight)
    network = Part(gates[fold].astype(np.float32) * added, deep.network.inner, {})
    grown = tests.branches
    return deep._replace(
        network=network, gate=gates, ensemble=grown.ensemble, inputs=None, branches=grown
    )


def _centred(branches: Branches, target: Target) -> np.ndarray:
    """What all branches together predict of the held-out residual, float32, (places,)."""
    return branches.attribution.sum(1) * target.known
