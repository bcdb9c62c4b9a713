"""What the commands do once their options are parsed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genodl.cli.progress import track
from genodl.config import DiscoverConfig
from genodl.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The files of a cohort."""

    samples: Path
    variants: tuple[Path, ...] = ()
    expression: Path | None = None
    features: dict[str, Path]

    @property
    def files(self) -> list[Path]:
        """Every file, for the provenance."""
        single = [self.expression] if self.expression else []
        return [self.samples, *self.variants, *single, *self.features.values()]


def named_paths(pairs: Sequence[str]) -> dict[str, Path]:
    """NAME=PATH options as a dict."""
    found: dict[str, Path] = {}
    for pair in pairs:
        name, equals, path = pair.partition("=")
        if not (name and equals and path):
            raise InputError(
                f"found {pair!r}, expected NAME=PATH",
                where="--features",
                mend="write for instance --features alterations=cna.h5ad",
            )
        if name in found:
            raise InputError(f"{name!r} is given twice", where="--features", mend="rename one")
        found[name] = Path(path)
    return found


def discover(
    inputs: Inputs,
    out: Path,
    *,
    phenotypes: Sequence[str],
    covariates: Sequence[str],
    drop: Sequence[str],
    config: DiscoverConfig,
) -> list[str]:
    """Read, discover, write; the lines of the summary."""
    from genodl.io.tables import read_names, read_samples
    from genodl.pipeline.found import writable
    from genodl.report import summarise

    # what fails fast comes first: the folder, the names, then the large files
    writable(out)
    known = list(read_samples(inputs.samples).columns)
    names = read_names(list(phenotypes), known=known) if phenotypes else []
    if not names:
        raise InputError(
            "no phenotype was given", where="--phenotype", mend="name a column of the sample table"
        )
    columns = read_names(list(covariates), known=known) if covariates else []
    _enable_compilation_cache()
    found = _discover(inputs, names, columns, drop, config)
    found.write(out, inputs=inputs.files)
    return [*summarise(out), f"report: {out / 'report.html'}"]


def _discover(
    inputs: Inputs,
    names: list[str],
    columns: list[str],
    drop: Sequence[str],
    config: DiscoverConfig,
) -> Any:
    """The cohort read, its unwanted markers dropped, its markers ranked."""
    from genodl.cohort.qc import drop_markers
    from genodl.io.tables import read_names
    from genodl.pipeline import discover as find
    from genodl.pipeline import read_cohort

    cohort = read_cohort(
        samples=inputs.samples,
        variants=inputs.variants or None,
        expression=inputs.expression,
        features=inputs.features,
    )
    if drop:
        known = [str(m) for modality in cohort.modalities.values() for m in modality.var_names]
        cohort = drop_markers(cohort, read_names(list(drop), known=known))
    return find(cohort, phenotype=names, covariates=columns, config=config, track=track)


def ingest(
    src: Sequence[Path],
    out: Path,
    *,
    region: list[str] | None,
    samples: Path | None,
    field: str,
    verify: bool,
) -> list[str]:
    """Write a store; its path."""
    from genodl.io import ingest as write_store

    if field not in ("GT", "DS"):
        raise InputError(f"found {field!r}, expected GT or DS", where="--field", mend="choose one")
    source = list(src) if len(src) > 1 else src[0]
    path = write_store(
        source,
        out,
        region=region or None,
        samples=samples,
        field=field,  # type: ignore[arg-type]
        verify=verify,
    )
    return [str(path)]


def _enable_compilation_cache() -> None:
    """Keep compiled programs between runs; jax's cache is off by default and skips short ones."""
    import jax

    folder = Path.home() / ".cache" / "genodl" / "compiled"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
