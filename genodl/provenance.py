"""Where a result came from: files, versions, device."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "scipy", "pandas", "anndata", "scanpy")
PIECE = 1 << 20


def fingerprint(path: str | Path) -> dict[str, Any]:
    """Path, bytes and SHA-256 of a file; of a folder, that of its files' hashes in order."""
    path = Path(path)
    if path.is_dir():
        parts = [p for p in sorted(path.rglob("*")) if p.is_file()]
        digest = hashlib.sha256()
        for part in parts:
            digest.update(f"{part.relative_to(path)} {_sha256(part)}\n".encode())
        size = sum(p.stat().st_size for p in parts)
        return {"path": str(path), "sha256": digest.hexdigest(), "bytes": size}
    return {"path": str(path), "sha256": _sha256(path), "bytes": path.stat().st_size}


def versions(packages: Iterable[str] = (*PACKAGES, "pysam", "zarr", "scikit-learn")) -> dict:
    """The installed version of each package, and Python's."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "absent"
    return found


def device() -> str:
    """The accelerator in use, such as `cpu x 1`."""
    import jax

    first = jax.devices()[0]
    return f"{first.device_kind} x {jax.device_count()} ({first.platform})"


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()
