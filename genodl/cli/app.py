"""The commands of genodl: parse, call one function, print."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from genodl import __version__
from genodl.cli import options
from genodl.cli.console import fail, leave_pipe, say
from genodl.errors import InputError

INTERRUPTED = 130  # 128 + the number of the signal
M_ARENA_MAX = -8  # of mallopt(3)

app = typer.Typer(
    name="genodl",
    help="Genetic markers behind a trait, from calibrated attributions of JAX networks.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main(arguments: list[str] | None = None) -> None:
    """Run a command; a user's fault is one line on stderr and exit code 2."""
    _share_heap()
    try:
        status = app(arguments, prog_name="genodl", standalone_mode=False) or 0
    except InputError as fault:
        fail(str(fault))
    except (typer.Abort, KeyboardInterrupt):
        status = INTERRUPTED
    except Exception as fault:
        # typer brings its own copy of click's exceptions: known by what they can say
        if not (hasattr(fault, "format_message") and hasattr(fault, "exit_code")):
            raise
        fail(" ".join(fault.format_message().split()).rstrip(".") + "; see genodl --help")
    if status == INTERRUPTED:
        print("genodl: interrupted", file=sys.stderr)
    sys.exit(status)


def _share_heap() -> None:
    """One heap for all threads: of glibc's, one a thread, each keeps what was freed in it."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


def _version(asked: bool) -> None:
    if asked:
        say(__version__)
        raise typer.Exit


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Genetic markers behind a trait, from calibrated attributions of JAX networks."""
    if context.invoked_subcommand is None:
        say(context.get_help())


@app.command()
def discover(
    samples: options.Samples,
    out: options.Out,
    phenotype: options.Phenotype = None,
    survival: options.Survival = None,
    variants: options.Variants = None,
    expression: options.Expression = None,
    features: options.Features = None,
    genes: options.Genes = None,
    pathways: options.Pathways = None,
    gene_window: options.GeneWindow = None,
    covariates: options.Covariates = None,
    drop_markers: options.DropMarkers = None,
    pcs: options.Pcs = None,
    group: options.Group = None,
    kind: options.Kind = None,
    model: options.Model = None,
    folds: options.Folds = None,
    members: options.Members = None,
    fdr: options.Fdr = None,
    checks: options.Checks = None,
    null: options.Null = None,
    seed: options.RunSeed = None,
    config: options.Config = None,
    distributed: options.Distributed = False,
    resume: options.Resume = None,
) -> None:
    """Rank the markers and loci behind phenotypes, with p-values that hold."""
    from genodl import config as settings
    from genodl.cli import run
    from genodl.cli.inputs import named_paths

    chosen = settings.read(
        config,
        **{"pcs": pcs, "group": group, "kind": kind, "model": model, "folds": folds},
        **{"members": members, "fdr": fdr, "checks": checks, "null": null, "seed": seed},
        gene_window=gene_window,
    )
    inputs = run.Inputs(
        samples=samples,
        variants=tuple(variants or ()),
        expression=expression,
        features=named_paths(features or []),
        genes=genes,
        pathways=pathways,
    )
    lines = run.discover(
        inputs,
        out,
        phenotypes=phenotype or [],
        survival=survival or [],
        covariates=covariates or [],
        drop=drop_markers or [],
        config=chosen,
        distributed=distributed,
        resume=resume,
    )
    if lines:
        say(*lines)


@app.command()
def scan(
    samples: options.Samples,
    out: options.TableOut = None,
    phenotype: options.Phenotype = None,
    variants: options.Variants = None,
    expression: options.Expression = None,
    features: options.Features = None,
    covariates: options.Covariates = None,
    pcs: options.Pcs = None,
    kind: options.LinearKind = "auto",
    max_p: options.MaxP = 1.0,
) -> None:
    """Regress every phenotype on every marker alone: one row each, to --out or stdout."""
    from genodl.cli.inputs import named_paths
    from genodl.cli.scan import scan as regress

    try:
        regress(
            out,
            samples=samples,
            variants=variants or [],
            expression=expression,
            features=named_paths(features or []),
            phenotypes=phenotype or [],
            covariates=covariates or [],
            pcs=pcs or 0,
            kind=kind,
            max_p=max_p,
        )
    except BrokenPipeError:
        leave_pipe()


@app.command()
def demo(out: options.Out = Path("demo"), seed: options.Seed = 0) -> None:
    """Plant markers in a simulated cohort, find them, and compare."""
    from genodl.cli.demo import run_demo

    say(*run_demo(out, seed=seed))


@app.command()
def simulate(
    out: options.Out,
    samples: options.SampleCount = 1000,
    variants: options.VariantCount = 5000,
    genes: options.GeneCount = 500,
    markers: options.Markers = "mixed",
    h2: options.Heritability = 0.5,
    kind: options.SimulatedKind = "quantitative",
    seed: options.Seed = 0,
) -> None:
    """Write a simulated cohort with planted markers: VCF, h5ad, sample and truth tables."""
    from genodl import simulate as simulation

    made = simulation.cohort(
        seed=seed,
        samples=samples,
        variants=variants,
        genes=genes,
        markers=markers,
        h2=h2,
        kind=kind,
    )
    for name, path in simulation.write(made, out).items():
        say(f"{name}\t{path}")


@app.command()
def ingest(
    src: options.Source,
    out: options.Store,
    region: options.Region = None,
    samples: options.SampleList = None,
    field: options.Field = "GT",
    pass_only: options.PassOnly = False,
    snps_only: options.SnpsOnly = False,
    call_rate: options.CallRate = 0.0,
    maf: options.Maf = 0.0,
    info: options.Info = None,
    reference: options.Reference = None,
    verify: options.Verify = False,
) -> None:
    """Write variants as an AnnData-Zarr store; resumable and atomic."""
    from genodl.cli import run
    from genodl.io import Filters

    filters = Filters(passed=pass_only, snps=snps_only, call_rate=call_rate, maf=maf)
    asked = {"region": region, "samples": samples, "field": field, "filters": filters}
    say(run.ingest(src, out, **asked, info=info or [], reference=reference, verify=verify))


@app.command()
def report(directory: options.Directory) -> None:
    """Render report.html and the figures of a finished run again."""
    from genodl.cli.progress import display
    from genodl.report import render

    with display() as shown, shown.step("drawing"):
        page = render(directory)
    say(page)


@app.command()
def predict(
    directory: options.Directory,
    variants: options.Variants = None,
    expression: options.Expression = None,
    features: options.Features = None,
    samples: options.NewSamples = None,
    phenotype: options.Phenotype = None,
    out: options.TableOut = None,
    matches: options.Matches = None,
) -> None:
    """Score new samples with a finished run: a row each, to --out or stdout."""
    from genodl.cli.inputs import named_paths
    from genodl.cli.score import predict as score

    try:
        score(
            directory,
            out,
            samples=samples,
            variants=variants or [],
            expression=expression,
            features=named_paths(features or []),
            phenotypes=phenotype or [],
            matches=matches,
        )
    except BrokenPipeError:
        leave_pipe()


@app.command()
def export(
    directory: options.Directory,
    out: options.Program,
    format: options.Format = "stablehlo",
    phenotype: options.Phenotype = None,
) -> None:
    """Write the model of a finished run as a program that other runtimes read."""
    from genodl.cli.score import export as write

    say(*write(directory, out, format=format, phenotypes=phenotype or []))


@app.command()
def doctor() -> None:
    """Say which versions and devices are there, and whether they work."""
    from genodl.cli.doctor import examine

    lines, healthy = examine()
    say(*lines)
    raise typer.Exit(0 if healthy else 1)


@app.command()
def bench(as_json: options.Json = False, quick: options.Quick = False) -> None:
    """Measure scanning, learning and attribution on the device that is there."""
    from genodl.cli.run import bench as measure

    say(*measure(as_json=as_json, quick=quick))
