"""genodl: genetic markers behind a trait, from calibrated attributions of JAX networks."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_LAZY = {
    "Cohort": "genodl.values",
    "InputError": "genodl.errors",
    "read_cohort": "genodl.pipeline",
    "discover": "genodl.pipeline",
}
_LAYERS = (
    "attribute",
    "cohort",
    "errors",
    "io",
    "models",
    "pipeline",
    "rank",
    "report",
    "score",
    "screen",
    "simulate",
    "train",
    "values",
)
__all__ = [*_LAZY, *_LAYERS, "__version__"]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used (PEP 562)."""
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    if name in _LAYERS:
        return importlib.import_module(f"genodl.{name}")
    raise AttributeError(f"module 'genodl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
