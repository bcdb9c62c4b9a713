"""The plain linear scan: every phenotype on every marker and the covariates, row by row to a file.

Nothing heavier than pandas and numba is loaded for variants, so that the scan of a small cohort
does not wait for the start of programs it has no use for.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from genodl.cohort.normalise import covariates as covariate_columns
from genodl.cohort.normalise import phenotype as read_phenotype
from genodl.errors import InputError
from genodl.io.formats import open_all, stream
from genodl.io.gather import unique_names
from genodl.io.rows import rows_of_tests
from genodl.screen.regression import Prepared, prepare, regress

if TYPE_CHECKING:
    from anndata import AnnData

COLUMNS = (
    *("phenotype", "marker", "modality", "contig", "pos", "ref", "alt"),
    *("n", "effect", "se", "t", "p_value"),
)
BLOCK = 1024
AnyPath = str | PathLike[str]
Block = tuple[list[str], np.ndarray]


class Markers(NamedTuple):
    """The markers of a modality, not read yet.

    Attributes
    ----------
    modality : name
    samples : ids, in file order
    blocks : of the columns of `samples` wanted, blocks of leading fields (marker to alt, tab
        separated, one text a marker) and values, (markers, samples)
    """

    modality: str
    samples: Sequence[str]
    blocks: Callable[[np.ndarray], Iterable[Block]]


def linear_scan(
    out: IO[bytes],
    *,
    table: pd.DataFrame,
    phenotypes: Sequence[str],
    variants: Sequence[AnyPath] = (),
    expression: AnyPath | None = None,
    features: Mapping[str, AnyPath] | None = None,
    covariates: Sequence[str] = (),
    pcs: int = 0,
    kind: Any = "auto",
    max_p: float = 1.0,
) -> list[str]:
    """Regress every phenotype on every marker, given the covariates; rows of `COLUMNS` as text.

    A row is one ordinary least-squares regression of the phenotype on the intercept, the
    covariates and one marker, over the samples that have both the phenotype and the marker's call.
    A binary phenotype is taken as 0 and 1: the test is that of the linear probability model, which
    close to the null is the score test. Markers are not filtered; one that does not vary beside
    the covariates has no effect, and its fields stay empty.

    Parameters
    ----------
    out : binary stream
    table : sample table, index the sample ids, see `genodl.io.read_samples`
    phenotypes, covariates : columns of it; covariates are coded as in `discover`
    variants, expression, features : files of the markers, as for `read_cohort`
    pcs : principal components of the variants among the covariates
    kind : of the phenotypes: auto, quantitative or binary
    max_p : rows with a greater p-value are left out; with 1 none are

    Returns
    -------
    What was analysed, and the samples and covariates left out or filled in, one line each

    Raises
    ------
    InputError : a file or column cannot be used, or no sample is in both table and markers
    """
    table = table.set_axis(table.index.astype(str), axis=0)
    modalities, components = _modalities(table, variants, expression, features or {}, pcs)
    out.write(("\t".join(COLUMNS) + "\n").encode())
    said = []
    for markers in modalities:
        place = {s: i for i, s in enumerate(markers.samples)}
        kept = [s for s in table.index if s in place]
        if not kept:
            raise InputError(
                f"no sample in common: {markers.modality} has {markers.samples[0]!r}, ..., the "
                f"table has {table.index[0]!r}, ...",
                where=f"the sample table, {markers.modality}",
                mend="make the ids the same in both",
            )
        rows = table.loc[kept]
        found = [read_phenotype(rows, name, kind=kind) for name in phenotypes]
        for each in found:
            _check_kind(each.name, each.kind)
        design, _, losses = covariate_columns(rows, list(covariates))
        design = np.hstack([design, components.loc[kept].to_numpy()])
        ready = prepare(np.column_stack([p.values for p in found]), design)
        columns = np.array([place[s] for s in kept])
        names = [_field(p.name) for p in found]
        count = _write(out, markers.blocks(columns), ready, names, max_p)
        said.append(
            f"{markers.modality}: {count:,} markers in {len(kept):,} of the {len(table):,} samples "
            f"of the table; {len(place) - len(kept):,} samples are not in the table"
        )
        said += [f"{loss.count:,} {loss.what}: {loss.reason}" for loss in losses]
    return said


def _write(
    out: IO[bytes], blocks: Iterable[Block], ready: Prepared, names: list[str], max_p: float
) -> int:
    """Regress and write block after block, some in work at a time; the number of markers."""

    def work(block: Block) -> bytes:
        fields, values = block
        found = regress(values, ready)
        numbers = np.stack([found.effect, found.se, found.t, found.p_value])
        return rows_of_tests(fields, names, found.n, numbers, most=max_p)

    count, waiting = 0, deque[Future[bytes]]()
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with ThreadPoolExecutor(workers) as pool:
        for block in chain.from_iterable(map(_cut, blocks)):
            waiting.append(pool.submit(work, block))
            count += len(block[0])
            if len(waiting) > 2 * (workers or 1):
                out.write(waiting.popleft().result())
        for future in waiting:
            out.write(future.result())
    return count


def _cut(block: Block) -> Iterator[Block]:
    """Pieces of at most `BLOCK` markers."""
    fields, values = block
    for start in range(0, len(fields), BLOCK):
        yield fields[start : start + BLOCK], values[start : start + BLOCK]


def _modalities(
    table: pd.DataFrame,
    variants: Sequence[AnyPath],
    expression: AnyPath | None,
    features: Mapping[str, AnyPath],
    pcs: int,
) -> tuple[list[Markers], pd.DataFrame]:
    """The markers of every file, and the components of the samples of the table."""
    components = pd.DataFrame(np.zeros((len(table), pcs)), index=table.index)
    found = []
    if variants and not pcs:
        found.append(_variants(variants))
    elif variants:
        from genodl.io.variants import read_variants

        whole = read_variants(list(variants))
        shared = [s for s in table.index if s in whole.obs_names]
        components.loc[shared] = _components(whole[shared], pcs) if shared else 0
        found.append(_matrix("variants", whole))
    elif pcs:
        raise InputError(
            f"{pcs} principal components are asked for and there are no variants",
            where="--pcs",
            mend="give --variants or leave it out",
        )
    named = {**({"expression": expression} if expression else {}), **features}
    for name, path in named.items():
        from genodl.io.expression import read_expression, read_features

        read = read_expression if name == "expression" else read_features
        found.append(_matrix(name, read(Path(path))))
    if not found:
        raise InputError(
            "no markers were given",
            where="scan",
            mend="give at least one of --variants, --expression, --features",
        )
    return found, components


def _components(variants: AnnData, pcs: int) -> np.ndarray:
    """Principal components of the samples."""
    from genodl.cohort.structure import principal_components

    return principal_components(
        np.asarray(variants.X),
        pcs,
        contig=variants.var["contig"].to_numpy(),
        pos=variants.var["pos"].to_numpy(),
    )


def _variants(paths: Sequence[AnyPath]) -> Markers:
    """Variants of any format, streamed."""
    sources = open_all(list(paths))
    samples = sources[0].samples
    name = unique_names()

    def blocks(columns: np.ndarray) -> Iterator[Block]:
        wanted = [samples[i] for i in columns]
        for block in stream(sources, samples=wanted)[1]:
            var = pd.DataFrame({c: block.variants[c] for c in ("contig", "pos", "ref", "alt")})
            yield _fields("variants", name(var), var), np.ascontiguousarray(block.dosage)

    return Markers("variants", samples, blocks)


def _matrix(modality: str, markers: AnnData) -> Markers:
    """A modality that was read as a whole."""

    def blocks(columns: np.ndarray) -> Iterator[Block]:
        names = markers.var_names.astype(str).tolist()
        for start in range(0, markers.n_vars, BLOCK):
            here = slice(start, start + BLOCK)
            values = markers.X[:, here]
            values = values.toarray() if hasattr(values, "toarray") else np.asarray(values)
            whole = modality == "variants" and values.dtype.kind == "i"
            laid = values[columns].T.astype(np.int8 if whole else np.float64)
            yield (
                _fields(modality, names[here], markers.var.iloc[here]),
                np.ascontiguousarray(laid),
            )

    return Markers(modality, list(markers.obs_names.astype(str)), blocks)


def _fields(modality: str, names: Sequence[str], var: pd.DataFrame) -> list[str]:
    """marker, modality, contig, pos, ref and alt of each marker, tab separated, blank if absent."""
    pos = "pos" if "pos" in var else "start"
    blank = [""] * len(var)
    others = [var[c].tolist() if c in var else blank for c in ("contig", pos, "ref", "alt")]
    rows = zip(names, *others, strict=True)
    return [
        f"{_field(m)}\t{modality}\t{c}\t{'' if p != p else p}\t{r}\t{a}" for m, c, p, r, a in rows
    ]


def _field(text: str) -> str:
    """A name without what would break a row."""
    return text.replace("\t", " ").replace("\n", " ")


def _check_kind(name: str, kind: str) -> None:
    """Refuse a phenotype that one regression cannot take."""
    if kind not in ("quantitative", "binary"):
        raise InputError(
            f"is {kind}, expected quantitative or binary",
            where=f"phenotype {name!r}",
            mend="code it as numbers or two classes, or use genodl discover",
        )
