"""Is everything there, and does it work?"""

from __future__ import annotations

import time

from genodl import __version__, provenance


def examine() -> tuple[list[str], bool]:
    """Lines on versions, devices and a small computation; whether all is well."""
    import jax
    import jax.numpy as jnp

    versions = provenance.versions()
    lines = [f"genodl\t{__version__}", *(f"{name}\t{v}" for name, v in versions.items())]
    absent = [name for name, version in versions.items() if version == "absent"]
    lines.append(f"device\t{provenance.device()}")
    start = time.perf_counter()
    x = jnp.ones((512, 512))
    right = bool(jnp.allclose((x @ x)[0, 0], 512))
    seconds = time.perf_counter() - start
    lines.append(f"matrix product\t{'right' if right else 'WRONG'} in {seconds:.3f} s")
    for name, module in (("plink2 files", "pgenlib"), ("workflow", "snakemake")):
        lines.append(f"{name}\t{'ready' if _importable(module) else f'needs {module}'}")
    lines.append(f"memory\t{_memory(jax)}")
    healthy = right and not absent
    lines.append("all is well" if healthy else f"missing: {', '.join(absent) or 'a right answer'}")
    return lines, healthy


def _importable(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None


def _memory(jax) -> str:
    """What the device says of its memory."""
    stats = jax.devices()[0].memory_stats()
    if not stats or "bytes_limit" not in stats:
        return "not told by the device"
    return f"{stats['bytes_limit'] / 1e9:.1f} GB"
