"""Which markers belong to which gene: by position for variants, by name for everything else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from genodl.cohort.match import plain_contig
from genodl.errors import InputError

WORDS = re.compile(r"[^A-Za-z0-9.\-]+")


class Membership(NamedTuple):
    """The markers of each gene; a marker may belong to several, or to none.

    Attributes
    ----------
    genes : DataFrame, one row a gene with a marker, columns gene, contig, start, end (1-based,
        closed), n_markers; ordered as the annotation is. A name at several places of one contig
        is one gene, with the markers of all of them
    modality : object, (pairs,), modality of the marker, pairs sorted by gene
    column : int, (pairs,), its column in the modality
    gene : int, (pairs,), row of `genes`
    notes : one sentence each on what was reconciled or left out, with its count
    """

    genes: pd.DataFrame
    modality: np.ndarray
    column: np.ndarray
    gene: np.ndarray
    notes: tuple[str, ...]


def membership(
    genes: pd.DataFrame, markers: Mapping[str, pd.DataFrame], *, window: int = 0
) -> Membership:
    """Markers within a gene's body and a window around it, or named after the gene.

    A marker with a contig and a position belongs to every gene it lies in or near; another belongs
    to the gene of its name, or to the genes that its name mentions: `TP53_mut`, `gain_(MDM2)`.

    Parameters
    ----------
    genes : columns contig, start, end (1-based, closed), gene; see `genodl.io.tables.read_genes`
    markers : modality -> its `var`: with `contig` and `pos` (1-based), or names alone
    window : bp added at both ends of a gene

    Raises
    ------
    InputError : no marker belongs to a gene
    """
    if window < 0:
        raise InputError(f"is {window}", where="--gene-window", mend="give 0 or more bp")
    genes = genes.reset_index(drop=True)
    whole, gene = _merged(genes)
    found: list[tuple[str, np.ndarray, np.ndarray]] = []
    notes: list[str] = []
    for name, var in markers.items():
        by_name = "pos" not in var or "contig" not in var
        row, column = _by_name(whole, var) if by_name else _by_place(genes, var, window, notes)
        pairs = np.unique(np.stack([row if by_name else gene[row], column]), axis=1)
        row, column = pairs[0], pairs[1]
        found.append((name, row, column))
        lone = len(var) - len(np.unique(column))
        if lone:
            notes.append(f"{lone:,} of {len(var):,} markers of {name} belong to no gene")
    return _assembled(whole, found, notes)


def _merged(genes: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """One row a name and contig, with the outermost ends of its places; the row of each place."""
    spans = genes.groupby(["gene", "contig"], sort=False)
    whole = spans.agg(start=("start", "min"), end=("end", "max")).reset_index()
    return whole, spans.ngroup().to_numpy()


def _by_place(
    genes: pd.DataFrame, var: pd.DataFrame, window: int, notes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of a gene and a marker that lies in it or within the window."""
    contig = var["contig"].astype(str).to_numpy()
    mapped = _reconciled(genes["contig"].astype(str).to_numpy(), contig, notes)
    pos = var["pos"].to_numpy(np.int64)
    start, end = genes["start"].to_numpy() - window, genes["end"].to_numpy() + window
    rows, columns = [np.zeros(0, int)], [np.zeros(0, int)]
    for name in dict.fromkeys(mapped.tolist()):
        members, here = np.flatnonzero(mapped == name), np.flatnonzero(contig == name)
        ordered = here[np.argsort(pos[here], kind="stable")]
        low = np.searchsorted(pos[ordered], start[members], side="left")
        high = np.searchsorted(pos[ordered], end[members], side="right")
        size = high - low
        rows.append(np.repeat(members, size))
        within = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
        columns.append(ordered[np.repeat(low, size) + within])
    return np.concatenate(rows), np.concatenate(columns)


def _reconciled(genes: np.ndarray, markers: np.ndarray, notes: list[str]) -> np.ndarray:
    """The contigs of genes as the markers spell them: chr1 and 1, chrM and MT are one."""
    spelt = {plain_contig(c): c for c in dict.fromkeys(markers)}
    mapped = np.array([spelt.get(plain_contig(c), c) for c in genes], object)
    changed = len({c for c, m in zip(genes, mapped, strict=True) if c != m})
    if changed:
        notes.append(f"{changed} contigs of the genes are spelt as those of the variants")
    return mapped


def _by_name(genes: pd.DataFrame, var: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of a gene and a marker whose name is the gene's, or mentions it."""
    # a name at several contigs counts once
    known = {str(g): i for i, g in reversed(list(enumerate(genes["gene"])))}
    pairs = [
        (known[gene], column)
        for column, name in enumerate(map(str, var.index))
        for gene in _mentioned(name, known)
    ]
    both = np.array(pairs, int).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _mentioned(name: str, known: Mapping[str, int]) -> list[str]:
    """The genes that a marker's name mentions, each once."""
    if name in known:
        return [name]
    words = [w for w in WORDS.split(name) if w]
    split = [[w] if w in known else w.split("-") for w in words]
    return list(dict.fromkeys(w for part in split for w in part if w in known))


def _assembled(
    genes: pd.DataFrame, found: list[tuple[str, np.ndarray, np.ndarray]], notes: list[str]
) -> Membership:
    """The pairs of all modalities by gene, the genes without any left out."""
    row = np.concatenate([r for _, r, _ in found])
    column = np.concatenate([c for _, _, c in found])
    modality = np.concatenate([np.full(len(r), name, object) for name, r, _ in found])
    if not len(row):
        raise InputError(
            f"no marker lies in one of the {len(genes)} genes or carries the name of one",
            where="--genes",
            mend="check that contigs, genome build and gene names are those of the markers",
        )
    used, gene = np.unique(row, return_inverse=True)
    order = np.argsort(gene, kind="stable")
    kept = genes.iloc[used].reset_index(drop=True)
    kept["n_markers"] = np.bincount(gene)
    if len(kept) < len(genes):
        notes.append(f"{len(genes) - len(kept):,} of {len(genes):,} genes have no marker")
    return Membership(kept, modality[order], column[order], gene[order], tuple(notes))
