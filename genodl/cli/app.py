"""The commands of genodl."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from genodl import __version__
from genodl.errors import InputError

app = typer.Typer(
    name="genodl",
    help="Genetic markers behind a trait, from calibrated attributions of JAX networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
Out = Annotated[Path, typer.Option("--out", help="Folder of the results.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random.")]


def main(arguments: list[str] | None = None) -> None:
    """Run a command; a user's fault is one line on stderr and exit code 2."""
    try:
        sys.exit(app(arguments, standalone_mode=False) or 0)
    except InputError as fault:
        _fail(str(fault))
    except (typer.Abort, KeyboardInterrupt):
        print("genodl: interrupted", file=sys.stderr)
        sys.exit(130)
    except Exception as fault:
        # typer brings its own copy of click's exceptions: known by what they can say
        if not (hasattr(fault, "format_message") and hasattr(fault, "exit_code")):
            raise
        _fail(" ".join(fault.format_message().split()) + " See genodl --help.")


def _fail(line: str) -> None:
    print(f"genodl: {line}", file=sys.stderr)
    sys.exit(2)


def _version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Genetic markers behind a trait, from calibrated attributions of JAX networks."""


@app.command()
def discover(
    samples: Annotated[Path, typer.Option(help="Sample table, the sample id first.")],
    out: Out,
    phenotype: Annotated[
        list[str] | None,
        typer.Option(help="Column, or A,B,..., or @FILE with one name a line; repeats."),
    ] = None,
    survival: Annotated[str | None, typer.Option(help="TIME,EVENT columns.")] = None,
    variants: Annotated[
        list[Path] | None, typer.Option(help="VCF, BCF, PLINK or store; repeats for contigs.")
    ] = None,
    expression: Annotated[Path | None, typer.Option(help="h5ad or delimited matrix.")] = None,
    features: Annotated[
        list[str] | None, typer.Option(help="NAME=PATH of a further modality; repeats.")
    ] = None,
    covariates: Annotated[
        list[str] | None, typer.Option(help="Columns a,b or @FILE; text is one-hot encoded.")
    ] = None,
    drop_markers: Annotated[
        list[str] | None,
        typer.Option(help="Markers to leave out, such as the phenotype's own gene."),
    ] = None,
    pcs: Annotated[int | None, typer.Option(help="Principal components as covariates.")] = None,
    group: Annotated[str | None, typer.Option(help="Column kept within a fold.")] = None,
    kind: Annotated[str | None, typer.Option(help="auto, quantitative or binary.")] = None,
    model: Annotated[str | None, typer.Option(help="Network, or auto, or linear.")] = None,
    folds: Annotated[int | None, typer.Option(help="Folds [default: 10].")] = None,
    members: Annotated[int | None, typer.Option(help="Networks a fold [default: 8].")] = None,
    fdr: Annotated[float | None, typer.Option(help="Reported FDR [default: 0.1].")] = None,
    checks: Annotated[
        int | None, typer.Option(help="Permuted replicates of the self-check [default: 5].")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed [default: 0].")] = None,
    config: Annotated[Path | None, typer.Option(help="Settings as TOML.")] = None,
) -> None:
    """Rank the markers and loci behind phenotypes, with p-values that hold."""
    from genodl import config as settings
    from genodl.cli import run

    if survival:
        raise InputError(
            "survival is not analysed yet",
            where="--survival",
            mend="give a quantitative or binary --phenotype",
        )
    chosen = settings.read(
        config,
        pcs=pcs,
        group=group,
        kind=kind,
        model=model,
        folds=folds,
        members=members,
        fdr=fdr,
        checks=checks,
        seed=seed,
    )
    inputs = run.Inputs(
        samples=samples,
        variants=tuple(variants or ()),
        expression=expression,
        features=run.named_paths(features or []),
    )
    lines = run.discover(
        inputs,
        out,
        phenotypes=phenotype or [],
        covariates=covariates or [],
        drop=drop_markers or [],
        config=chosen,
    )
    print("\n".join(lines))


@app.command()
def demo(out: Out = Path("demo"), seed: Seed = 0) -> None:
    """Plant markers in a simulated cohort, find them, and compare."""
    from genodl.cli.demo import run_demo

    print("\n".join(run_demo(out, seed=seed)))


@app.command()
def simulate(
    out: Out,
    samples: Annotated[int, typer.Option(help="Samples.")] = 1000,
    variants: Annotated[int, typer.Option(help="Variants.")] = 5000,
    genes: Annotated[int, typer.Option(help="Genes with expression; 0 for none.")] = 500,
    markers: Annotated[str, typer.Option(help="What is planted, such as mixed.")] = "mixed",
    h2: Annotated[float, typer.Option(help="Share of variance the markers explain.")] = 0.5,
    kind: Annotated[str, typer.Option(help="quantitative or binary.")] = "quantitative",
    seed: Seed = 0,
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
        print(f"{name}\t{path}")


@app.command()
def ingest(
    src: Annotated[list[Path], typer.Argument(help="VCF, BCF or PLINK; several for contigs.")],
    out: Annotated[Path, typer.Option(help="Store to write, X.zarr.")],
    region: Annotated[list[str] | None, typer.Option(help="C or C:B-E; repeats.")] = None,
    samples: Annotated[Path | None, typer.Option(help="File of sample ids, one a line.")] = None,
    field: Annotated[str, typer.Option(help="GT or DS.")] = "GT",
    verify: Annotated[bool, typer.Option("--verify", help="Check every chunk.")] = False,
) -> None:
    """Write variants as an AnnData-Zarr store; resumable and atomic."""
    from genodl.cli import run

    print("\n".join(run.ingest(src, out, region=region, samples=samples, field=field, verify=verify)))


@app.command()
def report(directory: Annotated[Path, typer.Argument(help="Folder of a finished run.")]) -> None:
    """Render report.html and the figures of a finished run again."""
    from genodl.report import render

    print(render(directory))


@app.command()
def doctor() -> None:
    """Say which versions and devices are there, and whether they work."""
    from genodl.cli.doctor import examine

    lines, healthy = examine()
    print("\n".join(lines))
    raise typer.Exit(0 if healthy else 1)


@app.command()
def bench(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Toy sizes.")] = False,
) -> None:
    """Measure scanning, learning and attribution on the device that is there."""
    import json

    from genodl.bench import measure

    found = measure(quick=quick)
    if as_json:
        print(json.dumps(found, indent=1))
        return
    for name, value in found["measurements"].items():
        print(f"{name}\t{value['value']:.4g}\t{value['unit']}")
