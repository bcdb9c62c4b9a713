"""What a discovery found, and how it is written: all of it or nothing."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pandas as pd

from genodl import provenance
from genodl.errors import InputError
from genodl.report.html import render


@dataclass(frozen=True, eq=False)
class Found:
    """Ranked markers and loci.

    Attributes
    ----------
    markers : every tested marker, best first within a phenotype
    loci : markers in LD taken together, best first
    performance : phenotype -> out-of-fold metric of the full, linear and covariates-only models
    calibration : phenotype -> number of tests and inflation; "self_check" -> permuted phenotypes
    predictions : out-of-fold predictions of each sample
    run : provenance
    ensembles : phenotype -> trained networks, None where none were trained
    """

    markers: pd.DataFrame
    loci: pd.DataFrame
    performance: dict[str, Any]
    calibration: dict[str, Any]
    predictions: pd.DataFrame
    run: dict[str, Any]
    ensembles: dict[str, Any] = field(default_factory=dict)

    def write(self, out: str | Path, *, inputs: Sequence[str | Path] = ()) -> Path:
        """Tables, figures, report and models in a folder, replaced only when all are complete.

        Parameters
        ----------
        out : folder, made where absent; other files in it are left alone
        inputs : files whose SHA-256 goes into run.json

        Raises
        ------
        InputError : the folder cannot be written
        """
        out = writable(out)
        partial = Path(mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        try:
            self._fill(partial, inputs)
            for entry in sorted(partial.iterdir()):
                _replace(entry, out / entry.name)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return out

    def _fill(self, folder: Path, inputs: Sequence[str | Path]) -> None:
        """Write every file of a result."""
        tables = {"markers": self.markers, "loci": self.loci, "predictions": self.predictions}
        for name, table in tables.items():
            table.to_csv(folder / f"{name}.tsv", sep="\t", index=False, float_format="%.6g")
        run = {**self.run, "inputs": [provenance.fingerprint(path) for path in inputs]}
        documents = {
            "performance": self.performance,
            "calibration": self.calibration,
            "run": run,
        }
        for name, document in documents.items():
            text = json.dumps(document, indent=1, ensure_ascii=False)
            (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        self._save_models(folder / "model")
        render(folder)

    def _save_models(self, folder: Path) -> None:
        """One checkpoint a phenotype that has networks."""
        from genodl.train.checkpoint import save

        folder.mkdir()
        index = {}
        for number, (name, ensemble) in enumerate(self.ensembles.items(), start=1):
            index[name] = f"{number:04d}" if ensemble is not None else None
            if ensemble is not None:
                save(ensemble, folder / index[name], extra={"phenotype": name})
        (folder / "index.json").write_text(json.dumps(index, indent=1, ensure_ascii=False) + "\n")


def writable(out: str | Path) -> Path:
    """The folder, made where absent, once a file in it and beside it has been tried."""
    out = Path(out).absolute()
    try:
        out.mkdir(parents=True, exist_ok=True)
        for folder in (out, out.parent):
            if not os.access(folder, os.W_OK):
                raise PermissionError(13, "permission denied")
    except OSError as fault:
        reason = (fault.strerror or str(fault)).lower()
        raise InputError(
            f"cannot be written ({reason})",
            where=f"output folder {out}",
            mend="choose another folder or change its permissions",
        ) from None
    return out


def _replace(new: Path, old: Path) -> None:
    """Put a finished file or folder in the place of an earlier one."""
    if old.is_dir() and not old.is_symlink():
        shutil.rmtree(old)
    os.replace(new, old)
