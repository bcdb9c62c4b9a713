"""What the commands do once their options are parsed."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from genodl.cli.progress import Display, display
from genodl.config import DiscoverConfig
from genodl.errors import InputError

if TYPE_CHECKING:
    from genodl.io import Filters
    from genodl.pipeline import Found

COMPANIONS = {".bed": (".bim", ".fam"), ".pgen": (".pvar", ".psam")}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The files of a cohort."""

    samples: Path
    variants: tuple[Path, ...] = ()
    expression: Path | None = None
    features: dict[str, Path]
    genes: Path | None = None
    pathways: Path | None = None

    @property
    def files(self) -> list[Path]:
        """Every file that is read, for the provenance."""
        beside = [
            path.with_suffix(suffix)
            for path in self.variants
            for suffix in COMPANIONS.get(path.suffix.lower(), ())
        ]
        single = [path for path in (self.expression, self.genes, self.pathways) if path]
        companions = [path for path in beside if path.exists()]
        return [self.samples, *self.variants, *companions, *single, *self.features.values()]


def discover(
    inputs: Inputs,
    out: Path,
    *,
    phenotypes: Sequence[str],
    covariates: Sequence[str],
    drop: Sequence[str],
    config: DiscoverConfig,
    survival: Sequence[str] = (),
    distributed: bool = False,
    resume: Path | None = None,
) -> list[str]:
    """Read, discover, write; the lines of the summary, none but in the first of the processes."""
    from genodl.pipeline.found import writable

    # what fails fast comes first: the folder, the names, then the large files
    writable(out)
    asked = _columns(inputs.samples, phenotypes, survival, covariates, config)
    with display() as shown:
        with shown.step("starting jax"):
            first = _join_processes() if distributed else True
            enable_compilation_cache()
        found = _discover(inputs, asked, drop, config, shown, resume)
        if not first:
            return []
        with shown.step("writing tables and report"):
            found.write(out, inputs=inputs.files)

    from genodl.pipeline.states import States
    from genodl.report import summarise

    States(resume).clear()
    return [*summarise(out), f"report: {out / 'report.html'}"]


def _join_processes() -> bool:
    """Wait for the other processes of this job; whether this is the first."""
    import jax

    try:
        jax.distributed.initialize()
    except (RuntimeError, ValueError):
        raise InputError(
            "no job of several processes was found",
            where="--distributed",
            mend="start it by srun or mpirun, or leave the option out",
        ) from None
    return jax.process_index() == 0


@dataclass(frozen=True)
class Columns:
    """Columns of the sample table and what each is to a run."""

    phenotypes: list[str]
    survival: list[tuple[str, str]]
    covariates: list[str]


def _columns(
    path: Path,
    phenotypes: Sequence[str],
    survival: Sequence[str],
    covariates: Sequence[str],
    config: DiscoverConfig,
) -> Columns:
    """The columns of the sample table that are phenotypes, and those that are covariates."""
    from genodl.io.tables import read_names, read_samples
    from genodl.pipeline.place import placed

    known = [str(column) for column in read_samples(path).columns]
    if not phenotypes and not survival:
        raise InputError(
            "no phenotype was given",
            where="--phenotype",
            mend=f"name a column of {path}, such as {known[-1]!r}" if known else "name a column",
        )
    with placed(f"{path}, --phenotype"):
        names = read_names(list(phenotypes), known=known) if phenotypes else []
    with placed(f"{path}, --survival"):
        pairs = [_pair(spec, read_names([spec], known=known)) for spec in survival]
    with placed(f"{path}, --covariates"):
        columns = read_names(list(covariates), known=known) if covariates else []
    if config.group is not None:
        with placed(f"{path}, --group"):
            read_names([config.group], known=known)
    for name in (*names, *(column for pair in pairs for column in pair)):
        if name in columns:
            raise InputError(
                f"{name!r} is both phenotype and covariate, which leaves nothing to explain",
                where=f"{path}, --covariates",
                mend="leave it out of one",
            )
    return Columns(names, pairs, columns)


def _pair(spec: str, names: list[str]) -> tuple[str, str]:
    """The time and the event column of a survival phenotype."""
    if len(names) != 2:
        raise InputError(
            f"{len(names)} column(s) in {spec!r}, expected two",
            where="--survival",
            mend="give TIME,EVENT",
        )
    return names[0], names[1]


def _discover(
    inputs: Inputs,
    asked: Columns,
    drop: Sequence[str],
    config: DiscoverConfig,
    shown: Display,
    resume: Path | None,
) -> Found:
    """The cohort read, its unwanted markers dropped, its markers ranked."""
    from genodl.cohort.qc import drop_markers
    from genodl.io.tables import read_names
    from genodl.pipeline import discover as find
    from genodl.pipeline import read_cohort
    from genodl.pipeline.annotation import annotation
    from genodl.pipeline.place import placed

    with shown.step("reading"):
        # what is small comes first: a long read should not end in a fault of the annotation
        genes = annotation(inputs.genes, inputs.pathways, window=config.gene_window)
        cohort = read_cohort(
            samples=inputs.samples,
            variants=inputs.variants or None,
            expression=inputs.expression,
            features=inputs.features,
        )
    if drop:
        known = [str(m) for modality in cohort.modalities.values() for m in modality.var_names]
        with placed("--drop-markers"):
            cohort = drop_markers(cohort, read_names(list(drop), known=known))
    with placed(str(inputs.samples), starts=("phenotype ", "covariate ")):
        return find(
            cohort,
            phenotype=asked.phenotypes,
            survival=asked.survival,
            covariates=asked.covariates,
            genes=genes.genes if genes else None,
            pathways=genes.sets if genes and genes.sets else None,
            config=config,
            track=shown.track,
            resume=resume,
        )


def ingest(
    src: Sequence[Path],
    out: Path,
    *,
    region: list[str] | None,
    samples: Path | None,
    field: str,
    filters: Filters,
    info: list[str],
    reference: Path | None,
    verify: bool,
) -> Path:
    """Write a store; its path."""
    from genodl.io import ingest as write_store

    if field not in ("GT", "DS"):
        raise InputError(f"found {field!r}, expected GT or DS", where="--field", mend="choose one")
    with display() as shown, shown.step(f"writing {out.name}"):
        return write_store(
            list(src) if len(src) > 1 else src[0],
            out,
            region=region or None,
            samples=samples,
            field=field,
            filters=filters,
            info=info,
            reference=reference,
            verify=verify,
        )


def bench(*, as_json: bool, quick: bool) -> list[str]:
    """Measurements of this device, as JSON or one a line."""
    from genodl.bench import measure

    found = measure(quick=quick)
    if as_json:
        return [json.dumps(found, indent=1)]
    return [_measured(name, **entry) for name, entry in found["measurements"].items()]


def _measured(name: str, value: float, unit: str, of_matrix_product: float | None = None) -> str:
    """One measurement as a line."""
    share = "" if of_matrix_product is None else f"\t{of_matrix_product:.0%} of matrix product"
    return f"{name}\t{value:.4g}\t{unit}{share}"


def enable_compilation_cache() -> None:
    """Keep compiled programs between runs; jax's cache is off by default and skips short ones."""
    import jax

    if jax.config.values.get("jax_compilation_cache_dir"):
        return
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home) / "genodl" / "compiled"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return  # a cache only saves time
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
