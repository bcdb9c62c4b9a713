"""From files to a joined cohort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

import pandas as pd
from anndata import AnnData

from genodl.cohort.join import join
from genodl.errors import InputError
from genodl.io.expression import read_expression, read_features
from genodl.io.tables import read_samples
from genodl.io.variants import read_variants
from genodl.pipeline.place import placed
from genodl.values import Cohort

AnyPath = str | PathLike[str]
RESERVED = ("variants", "expression")


def read_cohort(
    *,
    samples: AnyPath | None = None,
    variants: AnyPath | Sequence[AnyPath] | None = None,
    expression: AnyPath | None = None,
    features: Mapping[str, AnyPath] | None = None,
) -> Cohort:
    """The samples of a table that at least one of the given modalities has.

    A sample's values are missing in a modality that lacks it; see `genodl.cohort.join`.

    Parameters
    ----------
    samples : delimited table, one row a sample, the sample id in the first column; None for all
        samples of the modalities, of which nothing else is known
    variants : VCF, BCF, PLINK or a store of genodl, or several such files of the same samples
    expression : AnnData (.h5ad) or a delimited matrix, samples in rows
    features : name -> path of further modalities, read as expression is

    Raises
    ------
    InputError : a file is absent or damaged, no modality is given, or one shares no sample with
        the table
    """
    files = _files(variants, expression, features or {})
    # a long read should not end in the absence of the next file
    for path in (
        *([samples] if samples else []),
        *(path for paths in files.values() for path in paths),
    ):
        if not Path(path).exists():
            raise InputError("no such file", where=str(path), mend="check the path")
    table = read_samples(Path(samples)) if samples else None
    modalities: dict[str, AnnData] = {}
    for name, paths in files.items():
        modalities[name] = _read(name, paths)
    listed = [f"{name} {', '.join(map(str, paths))}" for name, paths in files.items()]
    if table is None:
        names = [name for modality in modalities.values() for name in modality.obs_names]
        table = pd.DataFrame(index=list(dict.fromkeys(map(str, names))))
    with placed("; ".join([*listed, *([f"samples {samples}"] if samples else [])])):
        return join(modalities, table)


def _files(
    variants: AnyPath | Sequence[AnyPath] | None,
    expression: AnyPath | None,
    features: Mapping[str, AnyPath],
) -> dict[str, list[AnyPath]]:
    """The files of each modality, in the order they are analysed."""
    files: dict[str, list[AnyPath]] = {}
    if variants:
        files["variants"] = [variants] if isinstance(variants, str | PathLike) else list(variants)
    if expression:
        files["expression"] = [expression]
    for name, path in features.items():
        if name in RESERVED:
            raise InputError(
                f"{name!r} is the name of what --{name} reads",
                where="--features",
                mend="choose another name",
            )
        files[name] = [path]
    if not files:
        raise InputError(
            "no markers were given",
            where="read_cohort",
            mend="give at least one of --variants, --expression, --features",
        )
    return files


def _read(name: str, paths: Sequence[AnyPath]) -> AnnData:
    """One modality, each name by its reader."""
    if name == "variants":
        return read_variants(paths)
    read = read_expression if name == "expression" else read_features
    return read(Path(paths[0]))
