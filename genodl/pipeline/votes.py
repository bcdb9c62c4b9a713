"""Which loci the folds and their networks select, and how alike two halves of them rank."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from genodl.cohort.presence import VARIANTS
from genodl.pipeline.candidates import Candidates, columns_of, steps_of
from genodl.pipeline.learn import Attributed, Deep, Linear
from genodl.pipeline.study import Study
from genodl.rank.stability import rank_correlation, share_selected
from genodl.rank.test import PROXY_R2


def with_stability(
    study: Study,
    markers: pd.DataFrame,
    family: Sequence[int],
    candidates: Sequence[Candidates],
    own: dict[str, list[Linear]],
    deeps: Sequence[Deep],
) -> pd.DataFrame:
    """The marker table of one phenotype with `stability`: how many select the marker's locus.

    Each network of a fold is a voter, one voter where a fold has none. It selects what the fold's
    sparse path or products have a coefficient for, and, where its gate is open, the inputs that
    stand out of its own attribution. A marker without a position counts as selected where a close
    proxy is. Of several classes the steadiest counts.

    Parameters
    ----------
    markers : with `locus`
    family : the targets of the phenotype
    candidates : of every modality
    own : sparse paths by modality and target
    deeps : of every target
    """
    stability = np.zeros(len(markers))
    for mine in candidates:
        rows = np.flatnonzero(markers["modality"] == mine.modality)
        names = study.cohort.modalities[mine.modality].var_names.astype(str)
        place = names.get_indexer(markers["marker"].iloc[rows])
        locus = np.empty(len(names), int)
        locus[place] = pd.factorize(markers["locus"].iloc[rows])[0]
        for number in family:
            columns, votes = _votes(study, mine, own[mine.modality][number], deeps[number])
            found = share_selected(votes, _near(study, mine, columns, locus))
            stability[rows] = np.maximum(stability[rows], found[locus[place]])
    return markers.assign(stability=stability)


def agreement(
    study: Study,
    markers: pd.DataFrame,
    family: Sequence[int],
    candidates: Sequence[Candidates],
    own: dict[str, list[Linear]],
    deeps: Sequence[Deep],
) -> dict[str, Any]:
    """Rank correlation over loci between two disjoint halves of what was learnt.

    Where networks have a say it is between two halves of the networks of all folds, by the
    covariance of what they attribute to a locus with the residual they were held out from;
    elsewhere between every other fold, by that of the sparse path and the products.

    Returns
    -------
    between ("networks" or "folds"), correlation (None where it is undefined), loci
    """
    parts = [p for n in family for p in deeps[n].network.attribution.values()]
    networks = any(part.halves is not None and part.halves.any() for part in parts)
    halves = []
    for mine in candidates:
        names = study.cohort.modalities[mine.modality].var_names.astype(str)
        table = markers[markers["modality"] == mine.modality].set_index("marker")
        locus = pd.factorize(table["locus"].reindex(names))[0]
        for number in family:
            deep, path = deeps[number], own[mine.modality][number]
            if networks:
                told = _by_networks(deep.network.attribution.get(mine.modality))
            else:
                told = _by_folds(study, mine, path, deep, number)
            total = np.zeros((2, int(locus.max(initial=-1)) + 1))
            for columns, values in told:
                for half, one in zip(total, values, strict=True):
                    np.add.at(half, locus[columns], one)
            halves.append(total)
    found = rank_correlation(np.concatenate(halves, axis=1))
    return {"between": "networks" if networks else "folds", **found}


def _votes(
    study: Study, mine: Candidates, linear: Linear, deep: Deep
) -> tuple[np.ndarray, np.ndarray]:
    """Columns of a modality that any voter selects, and bool (voters, columns), fold by fold."""
    fold, folds = study.folded.fold, len(study.folded.rows)
    columns = [mine.markers[linear.selected % mine.values.shape[2]]]
    parts = [(linear.coefficients != 0)[:, None]]
    for part in (deep.products, deep.network):
        found = part.attribution.get(mine.modality)
        if found is not None:
            used = [(found.values[fold == k] != 0).any(0) for k in range(folds)]
            columns.append(found.columns)
            parts.append(np.stack(used)[:, None] if found.votes is None else found.votes)
    networks = [p.votes.shape[1] for p in deep.network.attribution.values() if p.votes is not None]
    members = max(networks, default=1)
    every = [np.broadcast_to(p, (folds, members, p.shape[2])) for p in parts]
    votes = np.concatenate(every, axis=2)
    return np.concatenate(columns), votes.reshape(folds * members, votes.shape[2])


def _near(study: Study, mine: Candidates, columns: np.ndarray, locus: np.ndarray) -> np.ndarray:
    """Whether a column counts for a locus, bool (columns, loci)."""
    near = locus[columns][:, None] == np.arange(int(locus.max(initial=-1)) + 1)
    if mine.modality != VARIANTS and len(columns):
        chosen = np.searchsorted(mine.markers, columns).clip(max=len(mine.markers) - 1)
        known = mine.markers[chosen] == columns
        values = mine.values[0]
        product = values[:, chosen].T @ values
        length = np.square(values).sum(0)
        r2 = np.square(product) / np.maximum(length[chosen][:, None] * length, 1e-12)
        column, other = np.nonzero((r2 >= PROXY_R2) & known[:, None])
        near[column, locus[mine.markers[other]]] = True
    return near


Told = Iterable[tuple[np.ndarray, np.ndarray]]


def _by_networks(found: Attributed | None) -> Told:
    """Columns and covariances, (2, columns), of the two halves of the networks."""
    return [] if found is None or found.halves is None else [(found.columns, found.halves)]


def _by_folds(study: Study, mine: Candidates, linear: Linear, deep: Deep, number: int) -> Told:
    """Columns and covariances, (2, columns), of every other fold, by path and products."""
    target, fold = study.targets[number], study.folded.fold
    residual = target.residual[np.arange(len(fold)), fold] * target.known
    halves = np.stack([residual * (fold % 2 == h) for h in (0, 1)])
    values = columns_of(mine, linear.selected, steps_of(study, mine, linear.selected))
    column = mine.markers[linear.selected % mine.values.shape[2]]
    told = [(column, values * linear.coefficients[fold])]
    products = deep.products.attribution.get(mine.modality)
    if products is not None:
        told.append((products.columns, products.values))
    return [(columns, halves @ values) for columns, values in told]
