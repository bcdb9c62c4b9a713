"""How fast genodl attributes beside torch's libraries, as JSON.

Each contender runs in a process of its own; the first run, with compilation, is timed apart from
the best of the following. A library that is absent is skipped, and the result says so.

    python benchmarks/attribution.py [--quick] [--only integrated_gradients ...]
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

STEPS, MEMBERS = 32, 20
FULL = {
    "samples": 256,
    "inputs": 20_000,
    "hidden": 256,
    "length": 1000,
    "sequences": 32,
    "mutated": 2,
}
QUICK = {"samples": 16, "inputs": 500, "hidden": 16, "length": 100, "sequences": 4, "mutated": 1}
# claim -> (kind of network, peers, ratio aimed at)
CLAIMS: dict[str, tuple[str, tuple[str, ...], float]] = {
    "integrated_gradients": ("dense", ("captum",), 20),
    "expected_gradients": ("dense", ("captum", "shap"), 10),
    "deeplift_shap": ("dense", ("captum", "shap"), 10),
    "integrated_gradients_cnn": ("cnn", ("captum",), 2),
    "deeplift_shap_cnn": ("cnn", ("tangermeme",), 3),
    "ism_cnn": ("cnn", ("tangermeme",), 2),
}


def dense_weights(size: dict) -> list[np.ndarray]:
    """Weights of a network of three dense layers."""
    rng = np.random.default_rng(0)
    shapes = [(size["inputs"], size["hidden"]), (size["hidden"], 64), (64, 1)]
    return [
        rng.normal(size=s).astype(np.float32) / np.sqrt(s[0]).astype(np.float32) for s in shapes
    ]


def cnn_weights() -> list[np.ndarray]:
    """Kernels of three convolutions, (width, in, out), and the last dense layer."""
    rng = np.random.default_rng(0)
    shapes = [(15, 4, 64), (7, 64, 64), (5, 64, 64), (64, 1)]
    return [(rng.normal(size=s) / np.sqrt(np.prod(s[:-1]))).astype(np.float32) for s in shapes]


def dense_data(size: dict) -> tuple[np.ndarray, np.ndarray]:
    """Samples and a background set, standardised."""
    rng = np.random.default_rng(1)
    shapes = [(size["samples"], size["inputs"]), (MEMBERS, size["inputs"])]
    x, background = (rng.normal(size=s).astype(np.float32) for s in shapes)
    return x, background


def cnn_data(size: dict) -> tuple[np.ndarray, np.ndarray]:
    """One-hot sequences and references for each, channels last."""
    rng = np.random.default_rng(1)
    letters = rng.integers(0, 4, (size["sequences"], MEMBERS + 1, size["length"]))
    onehot = np.eye(4, dtype=np.float32)[letters]
    return onehot[:, 0], onehot[:, 1:]


def ours(claim: str, size: dict) -> Callable[[], np.ndarray]:
    """What genodl runs for a claim."""
    import jax
    import jax.numpy as jnp

    from genodl.attribute import attribute

    if CLAIMS[claim][0] == "dense":
        first, second, last = (jnp.asarray(w) for w in dense_weights(size))
        x, background = dense_data(size)

        def predict(z):
            return (jax.nn.relu(jax.nn.relu(z @ first) @ second) @ last)[:, 0]

    else:
        kernels = [jnp.asarray(w) for w in cnn_weights()]
        x, background = cnn_data(size)

        def predict(z):
            for kernel in kernels[:3]:
                z = jax.lax.conv_general_dilated(
                    z, kernel, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC")
                )
                z = jax.nn.relu(z)
            return (z.mean(axis=1) @ kernels[3])[:, 0]

    x, background = jnp.asarray(x), jnp.asarray(background)
    method = claim.removesuffix("_cnn")
    kept: dict[str, Any] = {"baseline": 0.0}
    if method == "integrated_gradients":
        kept["steps"] = STEPS
    elif method == "ism":
        x = x[: size["mutated"]]
    else:
        kept["baseline"] = background
    if method == "expected_gradients":
        # One point of the path for each member, as many as the peers draw.
        kept["steps"] = 1
    return lambda: attribute(predict, x, method=method, **kept).values


def torch_model(claim: str, size: dict) -> tuple[Any, Any, Any]:
    """The same network in torch, with its samples and its background."""
    import torch
    from torch import nn

    if CLAIMS[claim][0] == "dense":
        layers: list = []
        for i, w in enumerate(dense_weights(size)):
            layer = nn.Linear(*w.shape, bias=False)
            layer.weight.data = torch.tensor(w.T.copy())
            layers += [layer, nn.ReLU()] if i < 2 else [layer]
        return nn.Sequential(*layers).eval(), *(torch.tensor(v) for v in dense_data(size))
    layers = []
    weights = cnn_weights()
    for w in weights[:3]:
        conv = nn.Conv1d(w.shape[1], w.shape[2], w.shape[0], padding="same", bias=False)
        conv.weight.data = torch.tensor(w.transpose(2, 1, 0).copy())
        layers += [conv, nn.ReLU()]
    last = nn.Linear(*weights[3].shape, bias=False)
    last.weight.data = torch.tensor(weights[3].T.copy())
    layers += [nn.AdaptiveAvgPool1d(1), nn.Flatten(), last]
    x, background = (torch.tensor(np.swapaxes(v, -1, -2).copy()) for v in cnn_data(size))
    return nn.Sequential(*layers).eval(), x, background


def captum(claim: str, size: dict) -> Callable[[], Any]:
    """What Captum runs for a claim."""
    from captum import attr

    model, x, background = torch_model(claim, size)
    method = claim.removesuffix("_cnn")
    if method == "integrated_gradients":
        explainer = attr.IntegratedGradients(model)
        kept = {"n_steps": STEPS, "method": "gausslegendre", "target": 0}
        # Captum lays all steps side by side; it runs in the memory of one sample batch a time.
        return lambda: explainer.attribute(x, 0 * x[:1], internal_batch_size=len(x), **kept)
    if method == "expected_gradients":
        return lambda: attr.GradientShap(model).attribute(
            x, background, n_samples=MEMBERS, target=0
        )
    return lambda: attr.DeepLiftShap(model).attribute(x, background, target=0)


def shap(claim: str, size: dict) -> Callable[[], Any]:
    """What shap runs for a claim."""
    explain = importlib.import_module("shap")
    model, x, background = torch_model(claim, size)
    if claim == "expected_gradients":
        explainer = explain.GradientExplainer(model, background)
        return lambda: explainer.shap_values(x, nsamples=MEMBERS, rseed=0)
    explainer = explain.DeepExplainer(model, background)
    return lambda: explainer.shap_values(x, check_additivity=False)


def tangermeme(claim: str, size: dict) -> Callable[[], Any]:
    """What tangermeme runs for a claim."""
    model, x, background = torch_model(claim, size)
    if claim == "ism_cnn":
        from tangermeme.saturation_mutagenesis import saturation_mutagenesis

        some = x[: size["mutated"]]
        return lambda: saturation_mutagenesis(model, some, raw_outputs=True, device="cpu")
    from tangermeme.deep_lift_shap import deep_lift_shap

    kept = {"references": background, "device": "cpu", "batch_size": 64}
    return lambda: deep_lift_shap(model, x, warning_threshold=1e9, **kept)


CONTENDERS = {"genodl": ours, "captum": captum, "shap": shap, "tangermeme": tangermeme}


def timed(name: str, claim: str, size: dict, repeats: int) -> dict[str, float]:
    """Seconds of the first run, the best of the others, their processor time, and peak memory."""
    import resource

    run = CONTENDERS[name](claim, size)
    wall, busy = [], []
    for _ in range(repeats + 1):
        begin, used = time.perf_counter(), time.process_time()
        run()
        wall.append(time.perf_counter() - begin)
        busy.append(time.process_time() - used)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    best = {"best_s": min(wall[1:]), "best_cpu_s": min(busy[1:])}
    return {"first_s": wall[0], **best, "peak_gib": peak}


def apart(name: str, claim: str, quick: bool, repeats: int) -> dict[str, Any]:
    """The same in a process of its own; why it was skipped where it could not run."""
    module = {"genodl": "genodl", "captum": "captum"}.get(name, name)
    if importlib.util.find_spec(module) is None:
        return {"skipped": f"{module} is not installed"}
    command = [sys.executable, __file__, "--contender", name, claim, "--repeats", str(repeats)]
    found = subprocess.run(command + ["--quick"] * quick, capture_output=True, text=True)
    if found.returncode:
        return {"skipped": f"failed: {found.stderr.strip().splitlines()[-1]}"}
    return json.loads(found.stdout.strip().splitlines()[-1])


def provenance() -> dict[str, Any]:
    """Commit, versions and device."""
    root = Path(__file__).resolve().parents[1]
    git = subprocess.run(
        ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True
    )
    versions = {}
    for name in ("genodl", "jax", "torch", "captum", "shap", "tangermeme", "numpy"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return {
        "commit": git.stdout.strip() or None,
        "versions": versions,
        "python": platform.python_version(),
        "device": "cpu",
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "machine": platform.machine(),
    }


def compare(claims: list[str], quick: bool, repeats: int) -> dict[str, Any]:
    """Times and ratios for each claim."""
    results = {}
    for claim in claims:
        _, peers, aim = CLAIMS[claim]
        found = {n: apart(n, claim, quick, repeats) for n in ("genodl", *peers)}
        ratios = {
            kind: {
                n: round(found[n][kind] / found["genodl"][kind], 2)
                for n in peers
                if kind in found[n] and kind in found["genodl"]
            }
            for kind in ("best_s", "best_cpu_s")
        }
        results[claim] = {"seconds": found, "ratio": ratios, "aim": aim}
        print(claim, json.dumps(ratios), file=sys.stderr)
    return {**provenance(), "size": QUICK if quick else FULL, "claims": results}


def main() -> None:
    """Parse, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="toy sizes")
    parser.add_argument("--only", nargs="+", choices=sorted(CLAIMS), help="some claims")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--contender", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        size = QUICK if options.quick else FULL
        print(json.dumps(timed(*options.contender, size, options.repeats)))
        return
    print(
        json.dumps(compare(options.only or list(CLAIMS), options.quick, options.repeats), indent=1)
    )


if __name__ == "__main__":
    main()
