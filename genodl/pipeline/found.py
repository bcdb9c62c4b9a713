"""What a discovery found, and how it is written: all of it or nothing."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from genodl import provenance
from genodl.errors import InputError
from genodl.report import render

if TYPE_CHECKING:
    from genodl.score import Scorer

SCORER = "scorer"  # in the folder of the models
DISK_FAULTS = (
    *(errno.EACCES, errno.EDQUOT, errno.EFBIG, errno.EIO),
    *(errno.ENAMETOOLONG, errno.ENOSPC, errno.EPERM, errno.EROFS),
)
# what a result may hold: a name of these that a new result lacks does not outlive the earlier one
ENTRIES = (
    *("markers.tsv", "loci.tsv", "predictions.tsv"),
    *("genes.tsv", "pathways.tsv", "interactions.tsv"),
    *("performance.json", "calibration.json", "model", "figures", "report.html", "run.json"),
)


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
    extras : further tables by the name of their file, such as "interactions"
    scorer : what was learnt as a function of new samples, see `genodl.score`
    """

    markers: pd.DataFrame
    loci: pd.DataFrame
    performance: dict[str, Any]
    calibration: dict[str, Any]
    predictions: pd.DataFrame
    run: dict[str, Any]
    ensembles: dict[str, Any] = field(default_factory=dict)
    extras: dict[str, pd.DataFrame] = field(default_factory=dict)
    scorer: Scorer | None = None

    @property
    def interactions(self) -> pd.DataFrame:
        """Products of two markers, or of a marker and a covariate, as in interactions.tsv."""
        return self.extras.get("interactions", pd.DataFrame())

    @property
    def genes(self) -> pd.DataFrame | None:
        """Every tested gene, best first within a phenotype; None where no genes were given."""
        return self.extras.get("genes")

    @property
    def pathways(self) -> pd.DataFrame | None:
        """Every tested gene set, likewise."""
        return self.extras.get("pathways")

    def write(self, out: str | Path, *, inputs: Sequence[str | Path] = ()) -> Path:
        """Tables, figures, report and models in a folder, replaced only when all are complete.

        Parameters
        ----------
        out : folder, made where absent; files in it that are no result are left alone
        inputs : files whose SHA-256 goes into run.json

        Raises
        ------
        InputError : the folder cannot be written, or its disk is full
        """
        out = writable(out)
        with _disk_faults(out):
            out.mkdir(parents=True, exist_ok=True)
            work = Path(mkdtemp(prefix=".partial-", dir=out))
            try:
                new, former = work / "new", work / "former"
                new.mkdir()
                former.mkdir()
                self._fill(new, inputs)
                _exchange(new, out, former)
            finally:
                shutil.rmtree(work, ignore_errors=True)
        return out

    def _fill(self, folder: Path, inputs: Sequence[str | Path]) -> None:
        """Write every file of a result."""
        tables = {"markers": self.markers, "loci": self.loci, "predictions": self.predictions}
        for name, table in (tables | self.extras).items():
            table.to_csv(folder / f"{name}.tsv", sep="\t", index=False, float_format="%.6g")
        documents = {
            "performance": self.performance,
            "calibration": self.calibration,
            "run": {**self.run, "inputs": [provenance.fingerprint(path) for path in inputs]},
        }
        for name, document in documents.items():
            _write_json(folder / f"{name}.json", document)
        self._save_models(folder / "model")
        render(folder)

    def _save_models(self, folder: Path) -> None:
        """One checkpoint a phenotype that has networks, and an index of them."""
        folder.mkdir()
        index: dict[str, str | None] = {}
        for number, (name, ensemble) in enumerate(self.ensembles.items(), start=1):
            index[name] = None
            if ensemble is not None:
                from genodl.train.checkpoint import save

                index[name] = stem = f"{number:04d}"
                save(ensemble, folder / stem, extra={"phenotype": name})
        _write_json(folder / "index.json", index)
        if self.scorer is not None:
            from genodl.score import save as save_scorer

            save_scorer(self.scorer, folder / SCORER)


def writable(out: str | Path) -> Path:
    """The absolute path of a folder that can be written; nothing is made yet.

    Raises
    ------
    InputError : it is a file, lies below one, or its permissions forbid writing
    """
    out = Path(out).absolute()
    nearest = next(p for p in (out, *out.parents) if os.path.lexists(p))
    fault = ""
    if not nearest.is_dir():
        fault = "is a file" if nearest == out else f"{nearest} is a file"
    elif not os.access(nearest, os.W_OK | os.X_OK):
        fault = "permission denied" if nearest == out else f"permission denied in {nearest}"
    if fault:
        raise InputError(
            f"cannot be written ({fault})",
            where=f"output folder {out}",
            mend="choose another folder or change its permissions",
        )
    return out


@contextmanager
def _disk_faults(out: Path) -> Iterator[None]:
    """A full or read-only disk as one line."""
    try:
        yield
    except OSError as fault:
        if fault.errno not in DISK_FAULTS:
            raise
        raise InputError(
            f"cannot be written ({(fault.strerror or str(fault)).lower()})",
            where=f"output folder {out}",
            mend="make room, or choose another folder",
        ) from None


def _exchange(new: Path, out: Path, former: Path) -> None:
    """Put a finished result in the place of the earlier one, which returns if that fails."""
    moved: list[tuple[Path, Path]] = []
    try:
        for name in ENTRIES:
            for source, target in ((out / name, former / name), (new / name, out / name)):
                if source.exists() or source.is_symlink():
                    os.rename(source, target)
                    moved.append((source, target))
    except BaseException:
        for source, target in reversed(moved):
            os.rename(target, source)
        raise


def _write_json(path: Path, document: dict[str, Any]) -> None:
    """A document as JSON that every reader takes: null for what is no number."""
    text = json.dumps(_plain(document), indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    """Values of JSON, None in place of nan and infinities."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
