"""From files to a joined cohort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

from anndata import AnnData

from genodl.cohort.join import join
from genodl.errors import InputError
from genodl.io.expression import read_expression, read_features
from genodl.io.tables import read_samples
from genodl.io.variants import read_variants
from genodl.values import Cohort

AnyPath = str | PathLike[str]


def read_cohort(
    *,
    samples: AnyPath,
    variants: AnyPath | Sequence[AnyPath] | None = None,
    expression: AnyPath | None = None,
    features: Mapping[str, AnyPath] | None = None,
) -> Cohort:
    """The samples that a table and every given modality have in common.

    Parameters
    ----------
    samples : delimited table, one row a sample, the sample id in the first column
    variants : VCF, BCF, PLINK or a store of genodl, or several such files of the same samples
    expression : AnnData (.h5ad) or a delimited matrix, samples in rows
    features : name -> path of further modalities, read as expression is

    Raises
    ------
    InputError : a file is absent or damaged, no modality is given, or no sample is in all
    """
    table = read_samples(Path(samples))
    modalities: dict[str, AnnData] = {}
    if variants:
        modalities["variants"] = read_variants(variants)
    if expression:
        modalities["expression"] = read_expression(Path(expression))
    for name, path in (features or {}).items():
        if name in modalities:
            raise InputError(
                f"two modalities are named {name!r}", where="--features", mend="rename one"
            )
        modalities[name] = read_features(Path(path))
    if not modalities:
        raise InputError(
            "no markers were given",
            where="read_cohort",
            mend="give at least one of --variants, --expression, --features",
        )
    return join(modalities, table)
