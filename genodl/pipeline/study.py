"""A cohort made ready: filtered, laid out in folds, phenotypes freed of covariates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from genodl.cohort.classes import SMALLEST_CLASS
from genodl.cohort.normalise import covariates as covariate_columns
from genodl.cohort.normalise import phenotype as read_phenotype
from genodl.cohort.presence import VARIANTS, as_float
from genodl.cohort.qc import filter_markers
from genodl.cohort.split import folds as assign_folds
from genodl.cohort.structure import principal_components, prune
from genodl.cohort.survival import survival as read_survival
from genodl.config import DiscoverConfig
from genodl.errors import InputError
from genodl.screen.channels import WINSOR, Channels, covariate_projection, encode, steps
from genodl.screen.layout import Folded, lay_folds
from genodl.screen.residual import LEAST_TRAINING_ROWS, Target, permuted, targets
from genodl.values import Cohort, Loss, Phenotype

BLOCK = 2048  # markers read at once
TILE = 512  # markers that programs see at once, whatever is read at once: sums come out alike


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
    targets : the phenotypes, then their permuted replicates; one for each class of a multiclass
    thinned : int, variants that the principal components are of
    """

    cohort: Cohort
    folded: Folded
    covariates: np.ndarray
    covariate_names: tuple[str, ...]
    basis: np.ndarray
    targets: tuple[Target, ...]
    thinned: np.ndarray

    @property
    def families(self) -> list[list[int]]:
        """Numbers of the targets of each phenotype, then of each permuted replicate."""
        count = 1 + max(t.family for t in self.targets)
        return [[i for i, t in enumerate(self.targets) if t.family == f] for f in range(count)]

    def blocks(self, modality: str, *, size: int = BLOCK) -> Iterator[tuple[int, int, Channels]]:
        """First marker, number of markers and channels of each tile, padded to one width.

        About `size` markers are read at once, in whole tiles. The tiles are the same whatever is
        read at once, and so is every bit of what is summed over a tile.
        """
        markers = self.cohort.modalities[modality]
        width = min(TILE, -(-markers.n_vars // 128) * 128)
        size = max(size // width, 1) * width
        for first in range(0, markers.n_vars, size):
            here = slice(first, min(first + size, markers.n_vars))
            read = as_float(markers, here, variants=modality == VARIANTS)
            for start in range(0, read.shape[1], width):
                tile = read[:, start : start + width]
                yield first + start, tile.shape[1], self._encoded(tile, width)

    def channels(self, modality: str, columns: np.ndarray, *, size: int) -> Channels:
        """Channels of some markers, padded to `size` of them."""
        markers = self.cohort.modalities[modality]
        return self._encoded(as_float(markers, columns, variants=modality == VARIANTS), size)

    def _encoded(self, values: np.ndarray, size: int) -> Channels:
        """Channels of some markers, (samples, markers), padded to `size` of them."""
        padded = np.full((len(values), size), np.nan, np.float32)
        padded[:, : values.shape[1]] = values
        return encode(self.folded.lay(padded), self.folded.present, self.basis, WINSOR)

    def steps(self, modality: str, columns: np.ndarray, level: np.ndarray) -> np.ndarray:
        """Markers cut at some of their quantiles, (places, columns), see `channels.steps`."""
        markers = self.cohort.modalities[modality]
        chosen, place = np.unique(columns, return_inverse=True)
        values = as_float(markers, chosen, variants=modality == VARIANTS)[:, place]
        laid = self.folded.lay(values)
        present, variants = self.folded.present, modality == VARIANTS
        return steps(laid, present, self.basis, level, variants=variants)


def prepare(
    cohort: Cohort,
    phenotypes: Sequence[str],
    covariates: Sequence[str],
    config: DiscoverConfig,
    *,
    survival: Sequence[tuple[str, str]] = (),
) -> Study:
    """Filter the cohort, lay out the folds, and free the phenotypes of the covariates."""
    cohort = filter_markers(
        cohort,
        call_rate=config.call_rate,
        maf=config.maf,
        min_carriers=config.min_carriers,
    )
    read = [_phenotype(cohort, name, config) for name in phenotypes]
    read += [_known_enough(read_survival(cohort.samples, *pair), config) for pair in survival]
    design, names, losses = covariate_columns(cohort.samples, list(covariates))
    components, thinned = _components(cohort, config)
    names = [*names, *(f"PC{i + 1}" for i in range(components.shape[1]))]
    folded = lay_folds(_folds(cohort, read, config))
    ones = np.ones((len(design), 1))
    laid = folded.lay(np.hstack([ones, design, components]))
    losses = (*cohort.losses, *losses, *(loss for p in read for loss in _rare(p)))
    cohort = Cohort(cohort.modalities, cohort.samples, losses)
    made = [targets(p, laid, folded, family=i) for i, p in enumerate(read)]
    # an empirical null needs replicates of each phenotype, a self-check some of any
    empirical = config.null == "permutation"
    strata = folded.lay(_cells(design)) if empirical else None
    for i in range(config.checks * (len(read) if empirical else 1)):
        chosen, seed = read[i % len(read)], config.seed * 1_000 + i + 1
        family = len(read) + i
        made.append(permuted(chosen, laid, folded, seed=seed, family=family, strata=strata))
    basis = covariate_projection(laid)
    return Study(cohort, folded, laid, tuple(names), basis, sum(made, ()), thinned)


def _phenotype(cohort: Cohort, name: str, config: DiscoverConfig) -> Phenotype:
    """A column of the sample table as a phenotype."""
    if config.kind == "survival":
        raise InputError(
            "a survival phenotype has two columns, a time and an event",
            where=f"phenotype {name!r}",
            mend="give --survival TIME,EVENT, or leave --kind out",
        )
    found = read_phenotype(cohort.samples, name, kind=config.kind, min_class=config.min_class)
    return _known_enough(found, config)


def _known_enough(found: Phenotype, config: DiscoverConfig) -> Phenotype:
    """The phenotype, if the folds can share out the samples where it is known."""
    least = max(5 * config.folds, LEAST_TRAINING_ROWS)
    if found.observed.sum() < least:
        raise InputError(
            f"is known in {int(found.observed.sum())} samples, {config.folds} folds need {least}",
            where=f"phenotype {found.name!r}",
            mend="ask for fewer --folds or add samples",
        )
    return found


def _rare(found: Phenotype) -> Iterator[Loss]:
    """The samples whose class is too small for a test of its own."""
    if found.rare:
        count = int((found.values == len(found.classes)).sum())
        named = ", ".join(map(repr, found.rare))
        reason = f"{found.name!r} is {named}: too few for a test, kept among the rest of each class"
        yield Loss("samples", count, reason)


def _cells(design: np.ndarray) -> np.ndarray:
    """Samples alike in every 0/1 column, int (samples,); the small cells are one."""
    levels = design[:, np.isin(design, (0, 1)).all(0)]
    cell = np.unique(levels, axis=0, return_inverse=True)[1].ravel()
    small = np.bincount(cell)[cell] < SMALLEST_CLASS
    return np.where(small, -1, cell)


def _components(cohort: Cohort, config: DiscoverConfig) -> tuple[np.ndarray, np.ndarray]:
    """Principal components, (samples, pcs), and the variants in no LD that they are of."""
    if not config.pcs:
        return np.zeros((len(cohort.samples), 0)), np.zeros(0, int)
    if "variants" not in cohort.modalities:
        raise InputError(
            f"{config.pcs} principal components are asked for and there are no variants",
            where="--pcs",
            mend="give --variants or leave it out",
        )
    variants = cohort.modalities["variants"]
    dosage, contig, pos = np.asarray(variants.X), variants.var["contig"], variants.var["pos"]
    kept = prune(dosage, contig.to_numpy(), pos.to_numpy())
    return principal_components(dosage[:, kept], config.pcs, seed=config.seed), kept


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
    strata = next((s for s in map(_strata, read) if s is not None), None)
    return assign_folds(
        len(cohort.samples), k=config.folds, seed=config.seed, strata=strata, group=group
    )


def _strata(found: Phenotype) -> np.ndarray | None:
    """What is spread evenly over the folds: classes, or events and censored times."""
    if found.kind == "quantitative":
        return None
    codes = found.values if found.event is None else found.event
    levels, counts = np.unique(codes[np.isfinite(codes)], return_counts=True)
    # too few to spread: a rare rest of classes, or a handful of censored times
    return np.where(np.isin(codes, levels[counts < SMALLEST_CLASS]), np.nan, codes)
