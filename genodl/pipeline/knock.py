"""Loci selected by group knockoffs of the markers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse as sp

from genodl.cohort.presence import VARIANTS
from genodl.config import DiscoverConfig
from genodl.errors import InputError
from genodl.pipeline.permute import Ranked
from genodl.pipeline.study import Study
from genodl.rank.knockoffs import coefficient_differences, gaussian_knockoffs, q_values
from genodl.rank.loci import clump

BLOCK = 512  # variants whose joint covariance is estimated
REPRESENTED_R2 = 0.3  # LD with a representative above which a variant has no knockoff of its own
LARGEST = 8_000  # markers without positions, which are one block


class Groups(NamedTuple):
    """The groups of a modality, found without the phenotypes.

    Attributes
    ----------
    group : int, (markers,), from 0
    blocks : columns of the representatives of the groups in each block; no group lies in two
    """

    group: np.ndarray
    blocks: list[np.ndarray]


def groups(study: Study, modality: str, near: sp.csr_matrix) -> Groups:
    """Loci of a modality, their representatives, and the blocks of LD that hold these.

    Knockoffs of variants in strong LD are nearly copies, which nothing can be told from: a variant
    is left to a representative in LD with it, and representatives form loci among themselves.

    Parameters
    ----------
    near : (markers, markers), r2 of markers that may be of one locus

    Raises
    ------
    InputError : too many markers without positions
    """
    markers = study.cohort.modalities[modality]
    every = np.arange(markers.n_vars)
    if modality != VARIANTS:
        if markers.n_vars > LARGEST:
            raise InputError(
                f"knockoffs of {markers.n_vars} markers of {modality} are asked for, "
                f"at most {LARGEST} are made jointly",
                where="--null",
                mend="leave markers out or use permutation",
            )
        return Groups(every, [every])
    represented = _widest(near.multiply(near >= REPRESENTED_R2).tocsr())
    kept = np.unique(represented)
    among = near[kept][:, kept].tocsr()
    var = markers.var.iloc[kept]
    parts = cut(var["contig"].to_numpy(), var["pos"].to_numpy(), among)
    block = np.zeros(len(kept), int)
    for number, part in enumerate(parts):
        block[part] = number
    locus = np.unique(_widest(among) + block * len(kept), return_inverse=True)[1]
    return Groups(locus[np.searchsorted(kept, represented)], [kept[part] for part in parts])


def _widest(near: sp.csr_matrix) -> np.ndarray:
    """The lead of each marker, int (markers,), those with most neighbours leading."""
    near.eliminate_zeros()
    return clump(-np.diff(near.indptr), near)


def cut(contig: np.ndarray, pos: np.ndarray, near: sp.csr_matrix) -> list[np.ndarray]:
    """Columns of each of the blocks of at most `BLOCK` variants, cut where least LD is cut."""
    order = np.lexsort((pos, contig.astype(str)))
    place = np.argsort(order)
    pairs = near.tocoo()
    low, high = np.sort([place[pairs.row], place[pairs.col]], axis=0)
    # pairs of variants that a cut before each place would part
    crossing = np.cumsum(np.bincount(low + 1, minlength=len(order) + 1)[: len(order)])
    crossing = crossing - np.cumsum(np.bincount(high + 1, minlength=len(order) + 1)[: len(order)])
    ends = [*(np.flatnonzero(np.diff(pd.factorize(contig[order])[0])) + 1), len(order)]
    cuts = [0]
    for end in ends:
        while end - cuts[-1] > BLOCK:
            first = cuts[-1] + BLOCK // 2
            cuts.append(first + int(crossing[first : cuts[-1] + BLOCK].argmin()))
        cuts.append(end)
    return np.split(order, cuts[1:-1])


def cliques(group: np.ndarray) -> sp.csr_matrix:
    """Neighbours that make each group a locus: all its other markers."""
    member = sp.csr_matrix((np.ones(len(group), np.float32), (np.arange(len(group)), group)))
    return (member @ member.T - sp.eye(len(group), dtype=np.float32)).tocsr()


def from_knockoffs(
    study: Study, ranked: Ranked, grouped: dict[str, Groups], config: DiscoverConfig
) -> Ranked:
    """The tables with q-values from the knockoff filter, and W of each locus in `w_knockoff`.

    The lasso sees the representatives of the strongest groups and their knockoffs, `candidates`
    of them; strength is blind to which is the marker and which the knockoff.

    Parameters
    ----------
    ranked : the marker and the locus table of each phenotype and replicate, whose loci are the
        groups; the W of several classes add up
    """
    strength = {m: _strength(study, m, g, config.seed) for m, g in grouped.items()}
    chosen = [
        _strongest({m: s[:, t] for m, s in strength.items()}, grouped, config.candidates)
        for t in range(len(study.targets))
    ]
    union = {m: np.unique(np.concatenate([each[m] for each in chosen])) for m in grouped}
    pairs = {m: _pairs(study, m, g, union[m], config.seed) for m, g in grouped.items()}
    tables = []
    for family, (markers, loci) in zip(study.families, ranked, strict=True):
        each = [_w(study, t, grouped, chosen[t], union, pairs) for t in family]
        w = {m: np.sum([one[m] for one in each], axis=0) for m in grouped}
        tables.append(_replaced(study, markers, loci, grouped, w))
    return tables


def _made(
    study: Study, modality: str, grouped: Groups, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Columns of each block, and markers and knockoffs, float32 (2, places, columns)."""
    present = study.folded.present > 0
    basis = study.basis[present]
    for number, columns in enumerate(grouped.blocks):
        size = -(-len(columns) // 128) * 128
        channels = study.channels(modality, columns, size=size)
        x = np.asarray(channels.values[0])[:, : len(columns)]
        rng = np.random.default_rng([seed, sum(map(ord, modality)), number])
        noise = rng.standard_normal((int(present.sum()), len(columns)))
        # free of the covariates like the markers, and of the same length as before
        noise -= basis @ (basis.T @ noise)
        noise *= np.sqrt(len(basis) / max(len(basis) - basis.shape[1], 1))
        pair = np.stack([x, np.zeros_like(x)])
        pair[1, present] = gaussian_knockoffs(x[present], grouped.group[columns], noise)
        yield columns, pair


def _strength(study: Study, modality: str, grouped: Groups, seed: int) -> np.ndarray:
    """The greater association of marker and knockoff with each target, (markers, targets)."""
    response = np.stack([t.marginal for t in study.targets], axis=1)
    known = np.stack([t.known for t in study.targets], axis=1).astype(np.float32)
    found = np.zeros((len(grouped.group), len(study.targets)))
    for columns, pair in _made(study, modality, grouped, seed):
        product = np.abs(np.einsum("cpm,pt->cmt", pair, response, optimize=True))
        length = np.einsum("cpm,pt->cmt", pair**2, known, optimize=True)
        found[columns] = (product / np.sqrt(np.maximum(length, 1e-9))).max(0)
    return found


def _strongest(
    strength: dict[str, np.ndarray], grouped: dict[str, Groups], most: int
) -> dict[str, np.ndarray]:
    """Representatives of the strongest groups: columns, ascending, by modality."""
    columns = {m: np.sort(np.concatenate(g.blocks)) for m, g in grouped.items()}
    tables = [
        pd.DataFrame({"m": m, "column": c, "group": grouped[m].group[c], "z": strength[m][c]})
        for m, c in columns.items()
    ]
    table = pd.concat(tables, ignore_index=True)
    by = table.groupby(["m", "group"], sort=False)["z"]
    table["best"], table["size"] = by.transform("max"), by.transform("size")
    # whole groups, the strongest first, as many as `most` markers hold
    table = table.sort_values(["best", "m", "group"], ascending=[False, True, True], kind="stable")
    table = table[np.arange(len(table)) < most]
    whole = table.groupby(["m", "group"])["size"].transform("size") == table["size"]
    table = table[whole]
    return {m: np.sort(table.loc[table["m"] == m, "column"].to_numpy()) for m in columns}


def _pairs(
    study: Study, modality: str, grouped: Groups, wanted: np.ndarray, seed: int
) -> np.ndarray:
    """Markers and knockoffs, float32 (2, places, wanted), of the wanted columns."""
    found = np.zeros((2, len(study.basis), len(wanted)), np.float32)
    for columns, pair in _made(study, modality, grouped, seed):
        here = np.flatnonzero(np.isin(columns, wanted))
        found[:, :, np.searchsorted(wanted, columns[here])] = pair[:, :, here]
    return found


def _w(
    study: Study,
    number: int,
    grouped: dict[str, Groups],
    chosen: dict[str, np.ndarray],
    union: dict[str, np.ndarray],
    pairs: dict[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """W of each group of each modality, 0 where the lasso did not see it."""
    target = study.targets[number]
    parts = [pairs[m][:, :, np.searchsorted(union[m], chosen[m])] for m in grouped]
    values, knockoffs = np.concatenate(parts, axis=2)[:, target.known]
    response = target.marginal[target.known].astype(float)
    fold = study.folded.fold[target.known]
    found = coefficient_differences(values, knockoffs, response - response.mean(), fold)
    ends = np.cumsum([len(chosen[m]) for m in grouped])[:-1]
    w = {}
    for (modality, each), part in zip(grouped.items(), np.split(found, ends), strict=True):
        w[modality] = np.zeros(int(each.group.max(initial=-1)) + 1)
        np.add.at(w[modality], each.group[chosen[modality]], part)
    return w


def _replaced(
    study: Study,
    markers: pd.DataFrame,
    loci: pd.DataFrame,
    grouped: dict[str, Groups],
    w: dict[str, np.ndarray],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of one target with the filter's q-values; loci best first by these."""
    every = q_values(np.concatenate(list(w.values())))
    ends = np.cumsum([len(each) for each in w.values()])[:-1]
    q = dict(zip(w, np.split(every, ends), strict=True))
    markers, loci = markers.copy(), loci.assign(w_knockoff=0.0)
    for modality, each in grouped.items():
        names = study.cohort.modalities[modality].var_names.astype(str)
        group = pd.Series(each.group, names)
        here = markers["modality"] == modality
        markers.loc[here, "q_value"] = q[modality][group[markers.loc[here, "marker"]]]
        here = loci["modality"] == modality
        leads = group[loci.loc[here, "lead_marker"]]
        loci.loc[here, "q_value"] = q[modality][leads]
        loci.loc[here, "w_knockoff"] = w[modality][leads]
    by = loci.assign(least=-loci["w_knockoff"])
    order = by.sort_values(["q_value", "least", "p_value"], kind="stable").index
    loci = loci.loc[order].reset_index(drop=True)
    return markers, loci.assign(rank=np.arange(1, len(loci) + 1))
