"""The whole path, from files to a ranked, calibrated marker table: where the layers meet."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genodl.pipeline.discovery import discover
    from genodl.pipeline.found import Found
    from genodl.pipeline.load import read_cohort

__all__ = ["Found", "discover", "read_cohort"]
_LAZY = {
    "Found": "genodl.pipeline.found",
    "discover": "genodl.pipeline.discovery",
    "read_cohort": "genodl.pipeline.load",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used (PEP 562): a bad option need not wait for jax."""
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'genodl.pipeline' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
