"""Gene sets tested as wholes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from genodl.pipeline.genes import Tests, attribution_test
from genodl.pipeline.geneviews import View, form_of, removal, views_of
from genodl.pipeline.kin import kin
from genodl.pipeline.members import genes_of
from genodl.pipeline.study import Study
from genodl.rank.annotate import Membership
from genodl.rank.combine import deviate
from genodl.rank.fdr import benjamini_hochberg, cauchy_combination
from genodl.rank.forms import Basis, Form
from genodl.rank.parts import form_tails

Track = Callable[[Iterable, str, int], Iterable]
LARGEST_SET = 500  # genes; larger sets are left out, and counted
DIRECTIONS = 256  # of a set, shared out among its genes
GENE_STRENGTH = 10.0  # noncentrality of a weak gene, which the weights of directions suit
WEIGHTS = (0.25, 0.25, 0.25, 0.25)  # linear form, both forms, its genes' p-values, networks
PATHWAYS = [
    *("phenotype", "rank", "pathway", "n_genes", "lead_gene", "score", "p_value", "q_value"),
    *("p_linear", "p_forms", "p_genes", "p_network"),
]


def usable_sets(
    sets: Mapping[str, Sequence[str]], members: Membership
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Rows of the genes of each set, of 2 to `LARGEST_SET` genes with markers, and notes."""
    row = {gene: i for i, gene in enumerate(members.genes["gene"])}
    found = {
        name: np.unique([row[g] for g in genes if g in row]).astype(int)
        for name, genes in sets.items()
    }
    kept = {n: g for n, g in found.items() if 2 <= len(g) <= LARGEST_SET}
    left = len(found) - len(kept)
    note = f"{left:,} of {len(found):,} gene sets have not 2 to {LARGEST_SET} genes with markers"
    return kept, [note] if left else []


def pathway_tests(
    study: Study,
    members: Membership,
    sets: Mapping[str, np.ndarray],
    tests: Sequence[Tests],
    group: str | None,
    track: Track,
) -> np.ndarray:
    """log p of each part of each set's test, (targets, 5, sets), the last row all together.

    The null of a set is that none of its genes is associated (self-contained), given the leading
    genes outside it, with which it may share LD. The forms of its genes are added up, all alike,
    so that many weak genes count together; the Cauchy combination of its genes' own
    p-values finds a few strong ones; and the networks' attributions are summed over the set.
    """
    views = views_of(study, kin(study, group))
    linear: list[list[Form]] = [[] for _ in views]
    bent: list[list[Form]] = [[] for _ in views]
    for rows in track(sets.values(), "testing pathways", len(sets)):
        straight, curved = _bases(study, members, rows)
        for number, (view, test) in enumerate(zip(views, tests, strict=True)):
            given = removal(test.leading, without=rows)
            linear[number].append(form_of(straight, view, given))
            bent[number].append(form_of(curved, view, given))
    found = np.zeros((len(views), 5, len(sets)))
    for number, (view, test) in enumerate(zip(views, tests, strict=True)):
        own = [
            cauchy_combination(test.log_p[g], np.zeros(len(g), int), 1)[0] for g in sets.values()
        ]
        network = _networks(test, view, sets)
        parts = np.stack([*form_tails(linear[number], bent[number]), np.array(own), network])
        used = np.ones(parts.shape, bool)
        used[3] = network != 0
        part, place = np.nonzero(used)
        weight = np.array(WEIGHTS)[part]
        whole = cauchy_combination(parts[used], place, len(sets), weight=weight)
        found[number] = np.vstack([parts, whole])
    return found


def _bases(study: Study, members: Membership, rows: np.ndarray) -> tuple[Basis, Basis]:
    """The leading directions of the genes of a set, all genes alike."""
    most = max(DIRECTIONS // len(rows), 1)
    genes = [gene for _, gene in genes_of(study, members, rows)]
    return _stacked([g.linear for g in genes], most), _stacked([g.bent for g in genes], most)


def _stacked(bases: Sequence[Basis], most: int) -> Basis:
    """Directions of several genes side by side, weighed within each as `forms.basis` has it."""
    shares = [b.share[:most] / max(b.share[:most].sum(), 1e-300) for b in bases]
    share = np.concatenate(shares)
    values = np.hstack([b.values[:, :most] for b in bases])
    return Basis(values, share / (1 + GENE_STRENGTH * share), share)


def _networks(test: Tests, view: View, sets: Mapping[str, np.ndarray]) -> np.ndarray:
    """log p of the attributions summed over each set, 0 where no branch says anything."""
    if test.branches is None:
        return np.zeros(len(sets))
    inside = np.stack([np.isin(test.branches.genes, rows) for rows in sets.values()], axis=1)
    summed = test.branches.attribution @ inside.astype(np.float32)
    given = [removal(test.leading, without=rows) for rows in sets.values()]
    tested = attribution_test(summed, test.branches.dimensions @ inside, given, view)
    return np.where(tested.z != 0, tested.log_p, 0.0)


def pathway_table(
    name: str,
    members: Membership,
    sets: Mapping[str, np.ndarray],
    log_p: np.ndarray,
    genes_log_p: np.ndarray,
) -> pd.DataFrame:
    """The pathways of one phenotype, best first.

    Parameters
    ----------
    log_p : float, (5, sets), as `pathway_tests` gives it
    genes_log_p : float, (genes,)
    """
    symbols = members.genes["gene"].to_numpy()
    parts = np.exp(log_p)
    table = pd.DataFrame(
        {
            "phenotype": name,
            "pathway": list(sets),
            "n_genes": [len(rows) for rows in sets.values()],
            "lead_gene": [symbols[rows[genes_log_p[rows].argmin()]] for rows in sets.values()],
            "score": deviate(log_p[4]),
            "p_value": parts[4],
            "q_value": benjamini_hochberg(parts[4]),
            "p_linear": parts[0],
            "p_forms": parts[1],
            "p_genes": parts[2],
            "p_network": np.where(log_p[3] == 0, np.nan, parts[3]),
            "log_p": log_p[4],
        }
    )
    table = table.sort_values("log_p", kind="stable", ignore_index=True)
    table["rank"] = np.arange(1, len(table) + 1)
    return table[PATHWAYS]
