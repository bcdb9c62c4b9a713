"""From modalities and a sample table to a joined, filtered cohort with its folds."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from genodl.cohort.join import join

if TYPE_CHECKING:
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
_LAZY = {
    **dict.fromkeys(("covariates", "phenotype"), "genodl.cohort.normalise"),
    **dict.fromkeys(("drop_markers", "filter_markers", "take_samples"), "genodl.cohort.qc"),
    "folds": "genodl.cohort.split",
    **dict.fromkeys(
        ("kinship", "ld_neighbours", "principal_components", "prune"), "genodl.cohort.structure"
    ),
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used (PEP 562)."""
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'genodl.cohort' has no attribute {name!r}")
