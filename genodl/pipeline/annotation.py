"""What is known of genes beforehand, read and checked before anything large is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import pandas as pd

from genodl.errors import InputError
from genodl.io.tables import GENE_COLUMNS, read_gene_sets, read_genes

AnyPath = str | PathLike[str]


@dataclass(frozen=True, eq=False)
class Annotation:
    """Genes, and sets of them.

    Attributes
    ----------
    genes : DataFrame, columns contig start end gene, 1-based and closed
    sets : name of a set -> its genes
    """

    genes: pd.DataFrame
    sets: Mapping[str, Sequence[str]]


def annotation(
    genes: AnyPath | pd.DataFrame | None,
    pathways: AnyPath | Mapping[str, Sequence[str]] | None,
    *,
    window: int,
) -> Annotation | None:
    """The annotation that files or values give; None where there are no genes.

    Parameters
    ----------
    genes : gene table, GTF or GFF3, or a DataFrame with the columns contig start end gene
    pathways : GMT, or the genes of each set by its name
    window : bp around a gene, which says nothing without genes

    Raises
    ------
    InputError : a file is absent or damaged, or pathways or a window come without genes
    """
    if genes is None:
        given = "pathways" if pathways is not None else "gene-window" if window else ""
        if given:
            raise InputError(
                f"is given without genes, whose {'sets' if pathways else 'bodies'} it concerns",
                where=f"--{given}",
                mend="give --genes too, or leave it out",
            )
        return None
    table = genes if isinstance(genes, pd.DataFrame) else read_genes(Path(genes))
    if absent := [c for c in GENE_COLUMNS if c not in table]:
        raise InputError(
            f"no column {absent[0]!r}", where="genes", mend=f"give {' '.join(GENE_COLUMNS)}"
        )
    if pathways is None:
        return Annotation(table, {})
    return Annotation(table, _sets(pathways, set(table["gene"])))


def _sets(
    pathways: AnyPath | Mapping[str, Sequence[str]], known: set[str]
) -> Mapping[str, Sequence[str]]:
    """The gene sets, once at least one of their genes is known."""
    sets = pathways if isinstance(pathways, Mapping) else read_gene_sets(Path(pathways))
    if not any(gene in known for genes in sets.values() for gene in genes):
        raise InputError(
            f"none of the genes of its {len(sets)} sets is in the gene table",
            where="--pathways" if isinstance(pathways, Mapping) else f"--pathways {pathways}",
            mend="name genes alike in both, such as by symbol",
        )
    return sets
