"""Sample tables, lists of names, gene tables and gene sets, from delimited text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd

from genodl.errors import InputError, nearest
from genodl.io.delimited import open_text, read_delimited, require_unique

GENE_COLUMNS = ["contig", "start", "end", "gene"]
GENE_FEATURES = {"gene", "ncRNA_gene", "pseudogene", "transposable_element_gene"}
GTF_PAIR = re.compile(r'(\w+) "([^"]*)"')
GFF3_PAIR = re.compile(r"(\w+)=([^;]*)")


def read_samples(path: str | Path) -> pd.DataFrame:
    """The sample table, one row a sample, index the sample id.

    Tab or comma separated, plain or gzipped. The first column is the sample id, kept as text, so
    `007` stays `007`. An empty field, `NA` and `nan` are missing.

    Parameters
    ----------
    path : .tsv, .txt or .csv, with .gz or without; another suffix is taken by its header line

    Returns
    -------
    DataFrame, index the sample ids (str) in the order of the file, columns as typed by pandas

    Raises
    ------
    InputError : the file is missing or no such table, a sample has no id or two rows
    """
    table = read_delimited(path)
    if table.shape[0] == 0:
        raise InputError("no rows below the header", where=str(path), mend="add one row a sample")
    require_unique(table.index, where=str(path), what="sample")
    return table


def read_names(specs: list[str], *, known: Iterable[str]) -> list[str]:
    """The names a user asked for, in the order given, each once.

    Parameters
    ----------
    specs : each is a known name, or `@FILE` with one name a line, or known names joined by commas.
        A known name that holds commas wins over splitting.
    known : the names there are, such as the columns of a sample table

    Raises
    ------
    InputError : a name is unknown (the nearest are shown), a file is missing or holds no name

    Examples
    --------
    >>> read_names(["b,c", "a"], known=["a", "b,c", "d"])
    ['b,c', 'a']
    """
    columns = list(dict.fromkeys(str(k) for k in known))
    chosen = [name for spec in specs for name in _names_of(spec, columns)]
    return list(dict.fromkeys(chosen))


def read_genes(path: str | Path) -> pd.DataFrame:
    """Genes with their positions, 1-based and closed.

    Parameters
    ----------
    path : a table with the header contig, start, end, gene; or GTF or GFF3, told by the suffix;
        plain or gzipped. Of a GTF without gene records, a gene spans all records of its gene_id.

    Returns
    -------
    DataFrame, columns contig (str), start, end (int64), gene (str), in the order of the file. A
    name that occurs at several places keeps a row for each.

    Raises
    ------
    InputError : a column is missing, or a row has no valid span
    """
    suffixes = {s.lower() for s in Path(path).suffixes}
    if suffixes & {".gtf", ".gff", ".gff3"}:
        return _genes_of_annotation(Path(path))
    table = read_delimited(path, id_column=False)
    for column in GENE_COLUMNS:
        if column not in table:
            raise InputError(
                f"no column {column!r} among {list(table.columns)[:6]}",
                where=str(path),
                mend="give the header: contig start end gene (1-based, closed)",
            )
    return _checked_genes(table[GENE_COLUMNS], where=str(path))


def read_gene_sets(path: str | Path) -> dict[str, list[str]]:
    """Gene sets of a GMT file: set name -> genes in the order of the file, each once.

    Raises
    ------
    InputError : a line has no gene, or a set name repeats
    """
    sets: dict[str, list[str]] = {}
    with open_text(path) as lines:
        for number, line in enumerate(lines, start=1):
            fields = line.rstrip("\r\n").split("\t")
            if not any(fields):
                continue
            genes = [gene.strip() for gene in fields[2:] if gene.strip()]
            where = f"{path}, line {number}"
            if not genes:
                raise InputError(
                    f"{len(fields)} tab-separated fields and no gene",
                    where=where,
                    mend="give a GMT line: set name, description, genes",
                )
            if fields[0] in sets:
                raise InputError(
                    f"the set {fields[0]!r} repeats", where=where, mend="name each set once"
                )
            sets[fields[0]] = list(dict.fromkeys(genes))
    if not sets:
        raise InputError("no gene set", where=str(path), mend="give a GMT file")
    return sets


def _names_of(spec: str, known: list[str]) -> list[str]:
    """The known names one specification stands for."""
    if spec in known:
        return [spec]
    if spec.startswith("@"):
        with open_text(spec[1:]) as lines:
            listed = [line.strip() for line in lines if line.strip()]
        if not listed:
            raise InputError("no name in the file", where=spec[1:], mend="give one name a line")
        for name in listed:
            _require_known(name, known, where=spec[1:])
        return listed
    return _split(spec, known)


def _split(spec: str, known: list[str]) -> list[str]:
    """A comma-joined list of names, the longest known name first, as names may hold commas."""
    pieces, chosen = spec.split(","), []
    while pieces:
        for width in range(len(pieces), 0, -1):
            name = ",".join(pieces[:width]).strip()
            if name in known:
                break
        if name:
            _require_known(name, known, where=spec)
            chosen.append(name)
        pieces = pieces[width:]
    if not chosen:
        raise InputError("no name given", where=repr(spec), mend=f"give some of {known[:3]}")
    return chosen


def _require_known(name: str, known: list[str], *, where: str) -> None:
    """Refuse an unknown name, showing the nearest."""
    if name not in known:
        raise InputError(
            f"no column named {name!r}",
            where=where,
            mend=f"the nearest of {len(known)} are {nearest(name, known)}",
        )


def _checked_genes(table: pd.DataFrame, *, where: str) -> pd.DataFrame:
    """The gene table in its types, refused where a row has no valid span."""
    start, end = (
        pd.to_numeric(table[c], errors="coerce").to_numpy(float) for c in ("start", "end")
    )
    named = (table["gene"].notna() & table["contig"].notna()).to_numpy()
    valid = named & (start >= 1) & (end >= start) & (start % 1 == 0) & (end % 1 == 0)
    if not valid.all():
        row = int(np.argmin(valid))
        shown = " ".join(str(v) for v in table.iloc[row])
        raise InputError(
            f"{int((~valid).sum())} gene(s) without a span 1 <= start <= end, such as '{shown}'",
            where=f"{where}, row {row + 2}",
            mend="give contig start end gene, 1-based and closed",
        )
    if not len(table):
        raise InputError("no gene", where=where, mend="give one row a gene")
    return pd.DataFrame(
        {
            "contig": table["contig"].astype(str).to_numpy(),
            "start": start.astype(np.int64),
            "end": end.astype(np.int64),
            "gene": table["gene"].astype(str).to_numpy(),
        }
    )


def _genes_of_annotation(path: Path) -> pd.DataFrame:
    """The genes of a GTF or GFF3 file."""
    records = [r for r in _annotation_records(path) if r[1] in GENE_FEATURES]
    if not records:
        # UCSC and StringTie write transcripts and exons alone: a gene spans them
        records = [r for r in _annotation_records(path) if r[4]]
    if not records:
        raise InputError("no gene record", where=str(path), mend="give GTF or GFF3 with genes")
    table = pd.DataFrame(records, columns=["contig", "feature", "start", "end", "gene_id", "gene"])
    if table["feature"].isin(GENE_FEATURES).all():
        return _checked_genes(table[GENE_COLUMNS], where=str(path))
    spans = table.groupby(["contig", "gene_id"], sort=False, as_index=False)
    whole = spans.agg(start=("start", "min"), end=("end", "max"), gene=("gene", "first"))
    return _checked_genes(whole[GENE_COLUMNS], where=str(path))


def _annotation_records(path: Path) -> Iterator[tuple[str, str, int, int, str, str]]:
    """contig, feature, start, end, gene id and gene name of each record."""
    with open_text(path) as lines:
        for number, line in enumerate(lines, start=1):
            if line.startswith("##FASTA"):
                return
            if line.startswith("#") or not line.strip():
                continue
            fields = line.rstrip("\r\n").split("\t")
            if len(fields) != 9 or not (fields[3].isdigit() and fields[4].isdigit()):
                raise InputError(
                    f"{len(fields)} fields, 9 with whole numbers in the 4th and 5th are expected",
                    where=f"{path}, line {number}",
                    mend="give GTF or GFF3",
                )
            gene_id, name = _gene_names(fields[8])
            yield fields[0], fields[2], int(fields[3]), int(fields[4]), gene_id, name


def _gene_names(attributes: str) -> tuple[str, str]:
    """The id and the name of a record's gene; GTF writes `key "value"`, GFF3 `key=value`."""
    pairs = GTF_PAIR.findall(attributes) or GFF3_PAIR.findall(attributes)
    values = {key: unquote(value) for key, value in pairs}
    gene_id = values.get("gene_id") or values.get("ID", "").removeprefix("gene:")
    return gene_id, values.get("gene_name") or values.get("Name") or values.get("gene") or gene_id
