"""Reading: variants, expression, feature tables and sample tables, each as one value."""

from __future__ import annotations

import importlib
from typing import Any

_LAZY = {
    "read_variants": "genodl.io.variants",
    "iter_variants": "genodl.io.variants",
    "Filters": "genodl.io.sift",
    "ingest": "genodl.io.store",
    "read_expression": "genodl.io.expression",
    "read_features": "genodl.io.tables",
    "read_samples": "genodl.io.tables",
}
__all__ = list(_LAZY)


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used (PEP 562)."""
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'genodl.io' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
