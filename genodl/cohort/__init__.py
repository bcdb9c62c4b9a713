"""From modalities and a sample table to a joined, filtered cohort with its folds."""

from genodl.cohort.join import join
from genodl.cohort.normalise import covariates, phenotype
from genodl.cohort.qc import drop_markers, filter_markers, take_samples
from genodl.cohort.split import folds
from genodl.cohort.structure import kinship, ld_neighbours, principal_components, prune

__all__ = [
    "covariates",
    "drop_markers",
    "filter_markers",
    "folds",
    "join",
    "kinship",
    "ld_neighbours",
    "phenotype",
    "principal_components",
    "prune",
    "take_samples",
]
