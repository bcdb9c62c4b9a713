"""What a discovery has learnt so far, kept in a folder, so that it can go on after a stop."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import jax
import numpy as np

from genodl.train.folder import digest, kept, write
from genodl.train.resume import Resume


@dataclass(frozen=True)
class States:
    """The folder of one discovery, or none.

    Attributes
    ----------
    path : folder; nothing is kept where it is None
    seals : digests of large arrays by name, so that each is read once
    """

    path: Path | None = None
    seals: dict[str, str] = field(default_factory=dict)

    def networks(self, number: int) -> Resume | None:
        """Where the networks of a target keep their state."""
        return Resume(self.path / f"networks-{number}") if self.path else None

    def arrays(
        self,
        name: str,
        told: dict[str, np.ndarray],
        make: Callable[[], dict[str, np.ndarray]],
        *,
        large: tuple[str, ...] = (),
    ) -> dict[str, np.ndarray]:
        """What was kept under a name, else what is made now and kept.

        Parameters
        ----------
        told : everything that decides what is made; those named `large` stay the same all along

        Raises
        ------
        InputError : what is kept is damaged, or was made of something else
        """
        if self.path is None:
            return make()
        key = digest(self._sealed(n, a) if n in large else digest([a]) for n, a in told.items())
        place = self.path / name
        if (found := kept(place, key)) is not None:
            return found
        made = make()
        if not jax.process_index():  # the first process writes
            write(place, made, {"key": key})
        return made

    def _sealed(self, name: str, array: np.ndarray) -> str:
        """The digest of a large array, which is read once."""
        if name not in self.seals:
            self.seals[name] = digest([array])
        return self.seals[name]

    def clear(self) -> None:
        """Remove what is kept, once the result is written; nothing else in the folder."""
        if self.path is None or jax.process_index():
            return
        for kind in ("networks", "products"):
            for place in self.path.glob(f"{kind}-*"):
                shutil.rmtree(place, ignore_errors=True)
        if self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()


NOWHERE = States()
