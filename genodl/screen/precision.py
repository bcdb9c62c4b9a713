"""The shortest floats that the device multiplies no slower than single precision."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

NATIVE = {"avx512_bf16", "amx_bf16", "bf16"}  # flags of a processor that has them
DESCRIBED = Path("/proc/cpuinfo")


@lru_cache
def short_float() -> Any:
    """bfloat16 on accelerators and on processors that multiply it, else float32.

    Of matrix products whose result only makes a shortlist. A processor without such instructions
    widens each factor first, which takes longer than what is saved.
    """
    if jax.local_devices()[0].platform != "cpu":
        return jnp.bfloat16
    return jnp.bfloat16 if multiplies_short(DESCRIBED) else jnp.float32


def multiplies_short(described: Path) -> bool:
    """Whether a processor, as Linux describes it, multiplies bfloat16; False where nothing says."""
    try:
        lines = described.read_text().lower().splitlines()
    except OSError:
        return False
    flags = [line.partition(":")[2].split() for line in lines if line.startswith(("flags", "feat"))]
    return any(NATIVE & set(each) for each in flags)
