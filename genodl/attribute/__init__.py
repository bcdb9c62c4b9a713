"""Attribution of any JAX callable's predictions to its inputs, exact by program."""

from __future__ import annotations

import importlib
from typing import Any

_LAZY = {
    "attribute": "genodl.attribute.methods",
    "METHODS": "genodl.attribute.methods",
    "summarise": "genodl.attribute.summary",
    "Summary": "genodl.attribute.summary",
    "interact": "genodl.attribute.interactions",
    "Interactions": "genodl.attribute.interactions",
    "assess": "genodl.attribute.faithfulness",
    "Attribution": "genodl.attribute.result",
    "integrated_gradients": "genodl.attribute.paths",
}
__all__ = [*_LAZY]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used (PEP 562)."""
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'genodl.attribute' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
