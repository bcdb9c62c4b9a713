"""The attribution libraries to be timed, each on the same network and the same samples."""

from __future__ import annotations

import importlib
from collections.abc import Callable
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
    "ranked": 1_000_000,
    "ranked_samples": 5000,
}
QUICK = {
    "samples": 16,
    "inputs": 500,
    "hidden": 16,
    "length": 100,
    "sequences": 4,
    "mutated": 1,
    "ranked": 2000,
    "ranked_samples": 50,
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

    if not claim.endswith("_cnn"):
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

    if not claim.endswith("_cnn"):
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


class Dosages:
    """Dosages made as they are read, (samples, inputs), so that the whole matrix is never held."""

    def __init__(self, samples: int, inputs: int):
        self.shape = (samples, inputs)
        self.first = np.random.default_rng(0).integers(0, 3, inputs, dtype=np.int8)

    def __getitem__(self, place: slice) -> np.ndarray:
        rows = range(*place.indices(self.shape[0]))
        return np.stack([np.roll(self.first, 977 * row) for row in rows])


def summaries(claim: str, size: dict) -> Callable[[], Any]:
    """Attributed covariance of every input over samples that are read a block at a time."""
    import jax.numpy as jnp

    from genodl.attribute import summarise

    x = Dosages(size["ranked_samples"], size["ranked"])
    rng = np.random.default_rng(1)
    weight = jnp.asarray(rng.normal(size=(size["ranked"], 16)) / 1000, jnp.float32)
    residual = rng.normal(size=size["ranked_samples"])

    def predict(z):
        return jnp.tanh(z @ weight).sum(axis=1)

    return lambda: summarise(predict, x, baseline=0.0, residual=residual, steps=8)


CONTENDERS = {
    "summaries": summaries,
    "genodl": ours,
    "captum": captum,
    "shap": shap,
    "tangermeme": tangermeme,
}
