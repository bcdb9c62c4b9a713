"""A scorer as a program that other runtimes read: StableHLO, ONNX."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax
import jax.numpy as jnp
from jax import export as jax_export

from genodl.errors import InputError
from genodl.score.predict import chosen_outputs
from genodl.score.scorer import Score, Scorer, score

FORMATS = ("stablehlo", "onnx")
PLATFORMS = ("cpu", "cuda", "tpu")


def export(
    scorer: Scorer,
    path: str | os.PathLike[str],
    *,
    format: str = "stablehlo",
    phenotypes: Sequence[str] = (),
) -> list[Path]:
    """Write a scorer as a program, and beside it, as JSON, what its inputs and outputs are.

    The program maps values, float32 (samples, markers), nan = missing, and covariates, float32
    (samples, columns), the first the intercept, to float32 (samples, outputs), for any number of
    samples.

    Parameters
    ----------
    path : file of the program; the JSON has the same name and the suffix .json
    format : stablehlo, which `jax.export.deserialize` reads, for CPU, CUDA and TPU; or onnx, which
        needs the package jax2onnx
    phenotypes : all by default

    Returns
    -------
    the files written

    Raises
    ------
    InputError : an unknown format or phenotype, or jax2onnx is not there
    """
    if format not in FORMATS:
        raise InputError(
            f"found {format!r}", where="export, format", mend=f"use {' or '.join(FORMATS)}"
        )
    chosen = chosen_outputs(scorer, phenotypes)
    write = _stablehlo if format == "stablehlo" else _onnx
    widths = (len(scorer.markers), 1 + len(scorer.columns) + scorer.loadings.shape[1])
    target = Path(path)
    described = target.with_name(target.name + ".json")
    try:
        folder = TemporaryDirectory(dir=target.absolute().parent, prefix=".partial-")
    except OSError as fault:
        raise InputError(
            f"cannot be written ({(fault.strerror or str(fault)).lower()})",
            where=str(target),
            mend="choose another file or change the permissions",
        ) from None
    with folder as work:
        made = Path(work) / target.name
        write(score(scorer, chosen, unrolled=format == "onnx"), widths, made)
        (Path(work) / "json").write_text(json.dumps(_described(scorer, chosen), indent=1) + "\n")
        os.replace(made, target)
        os.replace(Path(work) / "json", described)
    return [target, described]


def _stablehlo(run: Score, widths: tuple[int, int], path: Path) -> None:
    """A serialised program of any number of samples."""
    (samples,) = jax_export.symbolic_shape("samples")
    inputs = [jax.ShapeDtypeStruct((samples, width), jnp.float32) for width in widths]
    made = jax_export.export(jax.jit(run), platforms=PLATFORMS)(*inputs)
    path.write_bytes(made.serialize())


def _onnx(run: Score, widths: tuple[int, int], path: Path) -> None:
    """The same by jax2onnx."""
    try:
        from jax2onnx import to_onnx
    except ImportError:
        raise InputError(
            "jax2onnx is not installed", where="export, format onnx", mend="pip install jax2onnx"
        ) from None
    inputs = [("samples", width) for width in widths]
    to_onnx(run, inputs=inputs, model_name="genodl", return_mode="file", output_path=str(path))


def _described(scorer: Scorer, chosen: list[int]) -> dict[str, Any]:
    """Inputs and outputs of the program."""
    markers = scorer.markers.astype(object).where(scorer.markers.notna(), None)
    components = [
        {"name": f"PC{number}", "loadings": loadings.tolist()}
        for number, loadings in enumerate(scorer.loadings.T.astype(float), start=1)
    ]
    fixed = [{"name": "intercept", "value": 1}]
    outputs = [scorer.outputs[i] for i in chosen]
    return {
        "values": markers.to_dict("records"),
        "covariates": [*fixed, *(column._asdict() for column in scorer.columns), *components],
        "outputs": [{"phenotype": o.phenotype, "class": o.label, "kind": o.kind} for o in outputs],
    }
