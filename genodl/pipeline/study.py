"""A cohort made ready: filtered, laid out in folds, phenotypes freed of covariates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse
from anndata import AnnData

from genodl.cohort.normalise import covariates as covariate_columns
from genodl.cohort.normalise import phenotype as read_phenotype
from genodl.cohort.presence import VARIANTS
from genodl.cohort.qc import filter_markers
from genodl.cohort.split import folds as assign_folds
from genodl.cohort.structure import principal_components
from genodl.config import DiscoverConfig
from genodl.errors import InputError
from genodl.screen.channels import WINSOR, Channels, covariate_projection, encode
from genodl.screen.layout import Folded, lay_folds
from genodl.screen.residual import LEAST_TRAINING_ROWS, Target, permuted, target
from genodl.values import MISSING, Cohort, Phenotype

BLOCK = 2048


@dataclass(frozen=True, eq=False)
class Study:
    """What every stage of a discovery works on.

    Attributes
    ----------
    cohort : filtered
    folded : the layout of its samples
    covariates : float64, (places, columns), laid out, the first column the intercept
    covariate_names : of the other columns
    basis : float32, (places, rank), orthonormal covariates
    targets : the phenotypes, then their permuted replicates
    """

    cohort: Cohort
    folded: Folded
    covariates: np.ndarray
    covariate_names: tuple[str, ...]
    basis: np.ndarray
    targets: tuple[Target, ...]

    def blocks(self, modality: str, *, size: int = BLOCK) -> Iterator[tuple[int, int, Channels]]:
        """First marker, number of markers and channels of each block, padded to one size."""
        markers = self.cohort.modalities[modality].n_vars
        size = min(size, -(-markers // 128) * 128)
        for start in range(0, markers, size):
            stop = min(start + size, markers)
            yield start, stop - start, self.channels(modality, slice(start, stop), size=size)

    def channels(self, modality: str, columns: slice | np.ndarray, *, size: int) -> Channels:
        """Channels of some markers, padded to `size` of them."""
        markers = self.cohort.modalities[modality]
        chosen = as_float(markers, columns, variants=modality == VARIANTS)
        dosage = np.full((len(markers), size), np.nan, np.float32)
        dosage[:, : chosen.shape[1]] = chosen
        return encode(self.folded.lay(dosage), self.folded.present, self.basis, WINSOR)


def as_float(markers: AnnData, columns: slice | np.ndarray, *, variants: bool) -> np.ndarray:
    """Columns of a modality, float32, (samples, columns), nan = missing.

    -1 is a missing genotype, and a value like any other (a deletion) outside the variants.
    """
    values = markers.X[:, columns]
    values = values.toarray() if scipy.sparse.issparse(values) else np.asarray(values)
    if variants and values.dtype.kind in "iu":
        return np.where(values == MISSING, np.nan, values).astype(np.float32)
    return values.astype(np.float32)


def prepare(
    cohort: Cohort,
    phenotypes: Sequence[str],
    covariates: Sequence[str],
    config: DiscoverConfig,
) -> Study:
    """Filter the cohort, lay out the folds, and free the phenotypes of the covariates."""
    cohort = filter_markers(
        cohort,
        call_rate=config.call_rate,
        maf=config.maf,
        min_carriers=config.min_carriers,
    )
    read = [_phenotype(cohort, name, config) for name in phenotypes]
    design, names, losses = covariate_columns(cohort.samples, list(covariates))
    components = _components(cohort, config)
    names = [*names, *(f"PC{i + 1}" for i in range(components.shape[1]))]
    folded = lay_folds(_folds(cohort, read, config))
    ones = np.ones((len(design), 1))
    laid = folded.lay(np.hstack([ones, design, components]))
    cohort = Cohort(cohort.modalities, cohort.samples, (*cohort.losses, *losses))
    targets = [target(p, laid, folded) for p in read]
    for i in range(config.checks):
        chosen = read[i % len(read)]
        targets.append(permuted(chosen, laid, folded, seed=config.seed * 1_000 + i + 1))
    basis = covariate_projection(laid)
    return Study(cohort, folded, laid, tuple(names), basis, tuple(targets))


def _phenotype(cohort: Cohort, name: str, config: DiscoverConfig) -> Phenotype:
    """A phenotype of a kind that can be analysed."""
    found = read_phenotype(cohort.samples, name, kind=config.kind)
    if found.kind not in ("quantitative", "binary"):
        raise InputError(
            f"is {found.kind}, expected quantitative or binary",
            where=f"phenotype {name!r}",
            mend="code it as numbers or as two classes",
        )
    least = max(5 * config.folds, LEAST_TRAINING_ROWS)
    if found.observed.sum() < least:
        raise InputError(
            f"is known in {int(found.observed.sum())} samples, {config.folds} folds need {least}",
            where=f"phenotype {name!r}",
            mend="ask for fewer --folds or add samples",
        )
    return found


def _components(cohort: Cohort, config: DiscoverConfig) -> np.ndarray:
    """Principal components of the variants, (samples, pcs)."""
    if not config.pcs:
        return np.zeros((len(cohort.samples), 0))
    if "variants" not in cohort.modalities:
        raise InputError(
            f"{config.pcs} principal components are asked for and there are no variants",
            where="--pcs",
            mend="give --variants or leave it out",
        )
    variants = cohort.modalities["variants"]
    return principal_components(
        np.asarray(variants.X),
        config.pcs,
        seed=config.seed,
        contig=variants.var["contig"].to_numpy(),
        pos=variants.var["pos"].to_numpy(),
    )


def _folds(cohort: Cohort, read: Sequence[Phenotype], config: DiscoverConfig) -> np.ndarray:
    """The fold of each sample; classes are spread evenly, groups stay whole."""
    group = None
    if config.group:
        if config.group not in cohort.samples:
            raise InputError(
                f"no column {config.group!r} in the sample table",
                where="--group",
                mend=f"use one of {', '.join(map(str, cohort.samples.columns[:8]))}",
            )
        group = cohort.samples[config.group].to_numpy()
    strata = next((p.values for p in read if p.kind == "binary"), None)
    return assign_folds(
        len(cohort.samples), k=config.folds, seed=config.seed, strata=strata, group=group
    )
