"""Agreement with torch's attribution libraries on the same weights, in both precisions."""

from __future__ import annotations

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from numpy.testing import assert_allclose

from genodl.attribute import attribute
from genodl.attribute.gradients import Batch
from genodl.attribute.paths import at_draws

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore")

INPUTS, LENGTH, CHANNELS = 8, 24, 4


def close(found, expected, tolerance=1e-10):
    scale = np.abs(expected).max()
    assert scale > 1e-3
    assert_allclose(found, expected, rtol=tolerance, atol=tolerance * scale)


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def drawn(*shape: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def dense(activation: str, kind: type = np.float64):
    """The same two-layer network of three outputs in JAX and in torch."""
    sizes = ((INPUTS, 7), (7, 5), (5, 3))
    weights = [(drawn(*s, seed=i) / np.sqrt(s[0])).astype(kind) for i, s in enumerate(sizes)]
    biases = [(drawn(s[1], seed=10 + i) / 3).astype(kind) for i, s in enumerate(sizes)]
    act = {
        "relu": (jax.nn.relu, torch.nn.ReLU),
        "tanh": (jnp.tanh, torch.nn.Tanh),
        "gelu": (lambda h: jax.nn.gelu(h, approximate=False), torch.nn.GELU),
        "silu": (jax.nn.silu, torch.nn.SiLU),
    }[activation]

    def predict(x):
        h = act[0](x @ weights[0] + biases[0])
        return act[0](h @ weights[1] + biases[1]) @ weights[2] + biases[2]

    layers: list = []
    for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
        layer = torch.nn.Linear(*w.shape)
        layer.weight.data, layer.bias.data = torch.tensor(w.T.copy()), torch.tensor(b)
        layers += [layer] + ([act[1]()] if i < 2 else [])
    return SimpleNamespace(predict=predict, model=torch.nn.Sequential(*layers).eval())


def convolutional(kind: type = np.float64):
    """A network of two convolutions and a max-pool, channels last in JAX and first in torch."""
    kernels = [
        (drawn(*s, seed=i) / 3).astype(kind) for i, s in ((1, (5, CHANNELS, 6)), (2, (3, 6, 5)))
    ]
    biases = [(drawn(n, seed=i) / 3).astype(kind) for i, n in ((3, 6), (4, 5))]
    weight = (drawn(5 * 11, 2, seed=5) / 5).astype(kind)

    def predict(x):
        for i in range(2):
            x = lax.conv_general_dilated(
                x, kernels[i], (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC")
            )
            x = jax.nn.relu(x + biases[i])
            if i == 0:
                x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 1), (1, 2, 1), "VALID")
        return jnp.swapaxes(x, 1, 2).reshape(x.shape[0], -1) @ weight

    first = torch.nn.Conv1d(CHANNELS, 6, 5, padding=2)
    second = torch.nn.Conv1d(6, 5, 3, padding=1)
    for layer, kernel, bias in zip((first, second), kernels, biases, strict=True):
        layer.weight.data = torch.tensor(kernel.transpose(2, 1, 0).copy())
        layer.bias.data = torch.tensor(bias)
    last = torch.nn.Linear(5 * 11, 2, bias=False)
    last.weight.data = torch.tensor(weight.T.copy())
    relu = torch.nn.ReLU
    pool = torch.nn.MaxPool1d(3, 2)
    model = torch.nn.Sequential(first, relu(), pool, second, relu(), torch.nn.Flatten(), last)
    return SimpleNamespace(predict=predict, model=model.eval())


def sequences(rows: int, seed: int) -> np.ndarray:
    return np.eye(CHANNELS)[np.random.default_rng(seed).integers(0, CHANNELS, (rows, LENGTH))]


def channels_first(x: np.ndarray):
    return torch.tensor(np.swapaxes(x, -1, -2).copy())


def test_saliency_is_captums():
    captum = pytest.importorskip("captum.attr")
    net, x = dense("tanh"), drawn(5, INPUTS, seed=20)
    found = attribute(net.predict, x, baseline=0, method="saliency", output=1)
    close(found.values, captum.Saliency(net.model).attribute(torch.tensor(x), target=1).numpy())


def test_input_times_gradient_is_captums():
    captum = pytest.importorskip("captum.attr")
    net, x = dense("silu"), drawn(5, INPUTS, seed=20)
    found = attribute(net.predict, x, baseline=0, method="input_x_gradient", output=1)
    expected = captum.InputXGradient(net.model).attribute(torch.tensor(x), target=1)
    close(found.values, expected.detach().numpy())


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_integrated_gradients_are_captums(activation):
    captum = pytest.importorskip("captum.attr")
    net, x, b = dense(activation), drawn(5, INPUTS, seed=20), drawn(5, INPUTS, seed=21)
    found = attribute(net.predict, x, baseline=b, output=1, steps=50)
    expected = captum.IntegratedGradients(net.model).attribute(
        torch.tensor(x), torch.tensor(b), target=1, n_steps=50, method="gausslegendre"
    )
    close(found.values, expected.numpy(), 1e-8)


def test_integrated_gradients_of_sequences_are_captums():
    captum = pytest.importorskip("captum.attr")
    net, x = convolutional(), sequences(3, 20)
    found = attribute(net.predict, x, baseline=0.25, output=1, steps=50)
    t = channels_first(x)
    expected = captum.IntegratedGradients(net.model).attribute(
        t, 0 * t + 0.25, target=1, n_steps=50, method="gausslegendre"
    )
    close(np.swapaxes(found.values, 1, 2), expected.numpy(), 1e-8)


@pytest.mark.parametrize(("kind", "tolerance"), [(np.float64, 1e-10), (np.float32, 1e-5)])
def test_expected_gradients_at_the_same_draws_are_captums_gradient_shap(kind, tolerance):
    captum = pytest.importorskip("captum.attr")
    net = dense("tanh", kind)
    x, background = (drawn(n, INPUTS, seed=s).astype(kind) for n, s in ((5, 20), (6, 21)))
    draws = 40
    np.random.seed(7)  # noqa: NPY002
    expected = captum.GradientShap(net.model).attribute(
        torch.tensor(x), torch.tensor(background), n_samples=draws, stdevs=0.0, target=1
    )
    np.random.seed(7)  # noqa: NPY002
    which = np.random.choice(6, 5 * draws).reshape(5, draws).T  # noqa: NPY002
    points = np.random.uniform(0, 1, 5 * draws).reshape(5, draws).T.astype(kind)  # noqa: NPY002
    target = jnp.eye(3, dtype=kind)[jnp.ones(5, int)]
    batch = Batch(jnp.asarray(x), jnp.asarray(background)[None], target, jnp.arange(5))
    found = at_draws(net.predict, batch, jnp.asarray(which), jnp.asarray(points))
    assert found.values.dtype == kind
    close(found.values, expected.numpy(), tolerance)


@pytest.mark.parametrize(("kind", "tolerance"), [(np.float64, 1e-6), (np.float32, 1e-5)])
def test_occlusion_is_captums(kind, tolerance):
    captum = pytest.importorskip("captum.attr")
    net, x = convolutional(kind), sequences(3, 20).astype(kind)
    found = attribute(
        net.predict, x, baseline=0, method="occlusion", output=1, window=(5, 2), stride=(3, 1)
    )
    expected = captum.Occlusion(net.model).attribute(
        channels_first(x), (2, 5), strides=(1, 3), baselines=0, target=1
    )
    # Captum weighs a shortened last window, ours ends with the input: they agree before it.
    # Captum accumulates in single precision.
    assert found.values.dtype == kind
    close(found.values[:, :19], np.swapaxes(expected.numpy(), 1, 2)[:, :19], tolerance)


def test_ablation_of_groups_is_captums():
    captum = pytest.importorskip("captum.attr")
    net, x = dense("tanh"), drawn(5, INPUTS, seed=20)
    groups = np.array([0, 0, 1, 1, 1, 2, 3, 3])
    found = attribute(net.predict, x, baseline=0, method="ablation", output=1, groups=groups)
    expected = captum.FeatureAblation(net.model).attribute(
        torch.tensor(x), 0, target=1, feature_mask=torch.tensor(groups)[None]
    )
    close(found.values * np.bincount(groups)[groups], expected.numpy())


def test_relevance_is_captums_epsilon_rule():
    captum = pytest.importorskip("captum.attr")
    net, x = dense("relu"), drawn(5, INPUTS, seed=20)
    found = attribute(net.predict, x, baseline=0, method="lrp", output=1)
    expected = captum.LRP(net.model).attribute(torch.tensor(x), target=1)
    close(found.values, expected.detach().numpy(), 1e-6)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_deeplift_shap_is_shaps_deep_explainer(activation):
    shap = pytest.importorskip("shap")
    net, x, background = dense(activation), drawn(5, INPUTS, seed=20), drawn(6, INPUTS, seed=21)
    found = attribute(net.predict, x, baseline=background, method="deeplift_shap")
    explainer = shap.DeepExplainer(net.model, torch.tensor(background))
    close(found.values, explainer.shap_values(torch.tensor(x)))


def test_gradient_explainer_agrees_at_the_same_draws():
    shap = pytest.importorskip("shap")
    net, x, background = dense("tanh"), drawn(3, INPUTS, seed=20), drawn(6, INPUTS, seed=21)
    model = net.model.float()
    data, draws = torch.tensor(background).float(), 30
    explainer = shap.GradientExplainer(model, data)
    expected = explainer.shap_values(torch.tensor(x).float(), nsamples=draws, rseed=3)
    np.random.seed(3)  # noqa: NPY002
    pairs = [(np.random.choice(6), np.random.uniform()) for _ in range(3 * draws)]  # noqa: NPY002
    which = jnp.asarray([p[0] for p in pairs]).reshape(3, draws).T
    points = jnp.asarray([p[1] for p in pairs]).reshape(3, draws).T
    target = jnp.eye(3)[jnp.ones(3, int)]
    batch = Batch(jnp.asarray(x), jnp.asarray(background)[None], target, jnp.arange(3))
    found = at_draws(net.predict, batch, which, points)
    close(found.values, expected[..., 1], 1e-5)


@pytest.mark.parametrize(("kind", "tolerance"), [(np.float64, 1e-10), (np.float32, 1e-5)])
def test_shapley_values_are_shaps_exact_explainer(kind, tolerance):
    shap = pytest.importorskip("shap")
    net = dense("silu", kind)
    x, background = (drawn(n, INPUTS, seed=s).astype(kind) for n, s in ((3, 20), (6, 21)))
    found = attribute(net.predict, x, baseline=background, method="shapley")
    with torch.no_grad():
        explainer = shap.ExactExplainer(
            lambda z: net.model(torch.tensor(z.astype(kind))).detach().numpy(),
            shap.maskers.Independent(background, max_samples=100),
        )
        expected = explainer(x).values
    assert found.values.dtype == kind
    close(found.values, expected, tolerance)


@pytest.mark.parametrize(("kind", "tolerance"), [(np.float64, 1e-10), (np.float32, 1e-5)])
def test_deeplift_shap_of_sequences_is_tangermemes(kind, tolerance):
    tangermeme = pytest.importorskip("tangermeme.deep_lift_shap")
    net, x = convolutional(kind), sequences(3, 20).astype(kind)
    references = np.stack([sequences(5, 30 + i) for i in range(3)]).astype(kind)
    found = attribute(net.predict, x, baseline=references, method="deeplift_shap", output=1)
    kept = {"references": channels_first(references), "target": 1, "device": "cpu"}
    expected = tangermeme.deep_lift_shap(net.model, channels_first(x), **kept)
    # tangermeme gives the whole difference at a position to the base that is present.
    total = found.values.sum(axis=2)
    assert found.values.dtype == kind
    close(total, expected.numpy().sum(axis=1), tolerance)


def test_substitutions_are_tangermemes():
    tangermeme = pytest.importorskip("tangermeme.saturation_mutagenesis")
    net, x = convolutional(), sequences(3, 20)
    found = attribute(net.predict, x, baseline=0, method="ism", output=1)
    raw = tangermeme.saturation_mutagenesis(
        net.model, channels_first(x), raw_outputs=True, device="cpu", fast=False
    )
    before, after = raw[0].numpy(), raw[1].numpy()
    expected = after[..., 1] - before[:, 1][:, None, None]
    close(np.swapaxes(found.values, 1, 2), expected)


def test_single_precision_gives_what_captum_gives_in_it():
    captum = pytest.importorskip("captum.attr")
    net, x, b = dense("gelu", np.float32), *(single(drawn(5, INPUTS, seed=s)) for s in (20, 21))
    for method, theirs in (
        ("saliency", captum.Saliency),
        ("input_x_gradient", captum.InputXGradient),
    ):
        found = attribute(net.predict, x, baseline=0, method=method, output=1)
        expected = theirs(net.model).attribute(torch.tensor(x), target=1)
        assert found.values.dtype == np.float32
        close(found.values, expected.detach().numpy(), 1e-5)
    found = attribute(net.predict, x, baseline=b, output=1, steps=50)
    expected = captum.IntegratedGradients(net.model).attribute(
        torch.tensor(x), torch.tensor(b), target=1, n_steps=50, method="gausslegendre"
    )
    close(found.values, expected.numpy(), 1e-5)


def test_single_precision_gives_what_shap_gives_in_it():
    shap = pytest.importorskip("shap")
    net, x, b = dense("relu", np.float32), *(single(drawn(5, INPUTS, seed=s)) for s in (20, 21))
    found = attribute(net.predict, x, baseline=b, method="deeplift_shap")
    explainer = shap.DeepExplainer(net.model, torch.tensor(b))
    close(found.values, explainer.shap_values(torch.tensor(x)), 1e-5)


def test_single_precision_gives_what_tangermeme_gives_in_it():
    tangermeme = pytest.importorskip("tangermeme.saturation_mutagenesis")
    net, x = convolutional(np.float32), single(sequences(2, 20))
    found = attribute(net.predict, x, baseline=0, method="ism", output=1)
    before, after = tangermeme.saturation_mutagenesis(
        net.model, channels_first(x), raw_outputs=True, device="cpu", fast=False
    )[:2]
    expected = (after[..., 1] - before[:, 1][:, None, None]).numpy()
    close(np.swapaxes(found.values, 1, 2), expected, 1e-5)


def single(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32)
