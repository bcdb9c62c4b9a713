"""DeepLIFT over the jaxpr: by hand, complete on every architecture, loud on the unknown."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from numpy.testing import assert_allclose

from genodl.attribute import attribute
from genodl.errors import InputError

LENGTH, CHANNELS = 12, 4
LONG = pytest.mark.long
ATTENTION = pytest.param("layer norm and attention", marks=LONG)


def weight(k: int, *shape: int) -> np.ndarray:
    drawn = np.random.default_rng(k).normal(size=shape) / np.sqrt(shape[0])
    return drawn.astype(np.float32)


def normalised(h):
    centred = h - h.mean(axis=-1, keepdims=True)
    return centred * lax.rsqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-6)


def convolved(x, k, channels_in, channels_out, width=5):
    return lax.conv_general_dilated(
        *(x, weight(k, width, channels_in, channels_out), (1,), "SAME"),
        dimension_numbers=("NWC", "WIO", "NWC"),
    )


def pooled(h, width=3, stride=2):
    return lax.reduce_window(h, -jnp.inf, lax.max, (1, width, 1), (1, stride, 1), "VALID")


def dense(nonlinearity):
    def predict(x):
        h = nonlinearity(x.reshape(x.shape[0], -1) @ weight(0, LENGTH * CHANNELS, 8) + 0.1)
        return nonlinearity(h @ weight(1, 8, 6)) @ weight(2, 6, 2)

    return predict


def gated(x):
    h = x.reshape(x.shape[0], -1)
    gate = jax.nn.sigmoid(h @ weight(0, LENGTH * CHANNELS, 8))
    return (gate * jnp.tanh(h @ weight(1, LENGTH * CHANNELS, 8))) @ weight(2, 8, 2)


def convolutional(x):
    h = pooled(jax.nn.relu(convolved(x, 3, CHANNELS, 6)))
    h = pooled(jax.nn.relu(convolved(h, 4, 6, 5, 3)), 2, 1)
    return h.reshape(x.shape[0], -1) @ weight(5, h.shape[1] * 5, 2)


def averaged(x):
    h = lax.reduce_window(
        jax.nn.gelu(convolved(x, 3, CHANNELS, 6)), 0.0, lax.add, (1, 3, 1), (1, 1, 1), "SAME"
    )
    return h.max(axis=1) @ weight(5, 6, 2)


def attention(x):
    h = normalised(x @ weight(6, CHANNELS, 6))
    q, k, v = (h @ weight(i, 6, 6) for i in (7, 8, 9))
    scores = jax.nn.softmax(jnp.einsum("nld,nmd->nlm", q, k) / 2.4, axis=-1)
    h = normalised(h + jnp.einsum("nlm,nmd->nld", scores, v))
    return (h + jax.nn.silu(h @ weight(10, 6, 6))).mean(axis=1) @ weight(5, 6, 2)


def recurrent(x, length=50):
    x = jnp.concatenate([x] * 5, axis=1)[:, :length]
    first = jnp.zeros((x.shape[0], 3))

    def turn(state, now):
        h, s = state
        i, f, g, o = jnp.split(now @ weight(3, CHANNELS, 12) + h @ weight(4, 3, 12), 4, axis=-1)
        s = jax.nn.sigmoid(f + 1) * s + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(s)
        return (h, s), h

    (h, _), every = lax.scan(turn, (first, first), jnp.swapaxes(x, 0, 1))
    return (h + every.mean(axis=0)) @ weight(5, 3, 2)


def wrapped(x):
    @jax.checkpoint
    def inner(h):
        return jax.jit(jax.nn.softplus)(h @ weight(0, LENGTH * CHANNELS, 8))

    return jax.nn.log_softmax(inner(x.reshape(x.shape[0], -1)) @ weight(1, 8, 3))[:, :2]


def counted(x):
    h = x.reshape(x.shape[0], -1) @ weight(0, LENGTH * CHANNELS, 8)
    h = lax.while_loop(lambda s: s[0] < 4, lambda s: (s[0] + 1, jnp.tanh(s[1] * 1.5)), (0, h))[1]
    h = lax.cond(jnp.array(3) > 2, lambda v: v * jax.nn.sigmoid(v), lambda v: v, h)
    return h @ weight(2, 8, 2)


def chosen(x):
    h = x.reshape(x.shape[0], -1) @ weight(0, LENGTH * CHANNELS, 8)
    other = x.reshape(x.shape[0], -1) @ weight(1, LENGTH * CHANNELS, 8)
    h = jnp.where(other > 0, h, 0.2 * h) + jnp.maximum(h, other) / (1 + other**2)
    return jnp.clip(h, -1, 1) @ weight(2, 8, 2)


@jax.custom_vjp
def bent(h):
    return jnp.tanh(h)


bent.defvjp(lambda h: (bent(h), h), lambda h, c: (c / jnp.cosh(h) ** 2,))


def masked(x):
    seen = jnp.tril(jnp.ones((LENGTH, LENGTH), bool))
    scores = jnp.where(seen, jnp.einsum("nld,nmd->nlm", x, x), -jnp.inf)
    return (jax.nn.softmax(scores, axis=-1) @ x).mean(axis=1)[:, :2]


NETWORKS = {
    "relu": dense(jax.nn.relu),
    "functional relu": dense(lambda h: jnp.maximum(h, 0)),
    "leaky relu": dense(jax.nn.leaky_relu),
    "elu": dense(jax.nn.elu),
    "gelu": dense(jax.nn.gelu),
    "exact gelu": dense(lambda h: jax.nn.gelu(h, approximate=False)),
    "silu": dense(jax.nn.silu),
    "softmax": dense(jax.nn.softmax),
    "gated product": gated,
    "overlapping max-pools": convolutional,
    "average and global max-pool": averaged,
    "layer norm and attention": attention,
    "lstm over 50 steps": recurrent,
    "checkpoint, jit, custom derivative": wrapped,
    "custom derivative that only pulls back": dense(bent),
    "attention behind a mask of infinities": masked,
    "while and cond": counted,
    "where, maximum, quotient, clip": chosen,
}

LIKE_OTHERS = (
    *("functional relu", "leaky relu", "elu", "exact gelu", "silu", "softmax"),
    *("average and global max-pool", "checkpoint, jit, custom derivative"),
)


def inputs(rows: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(100 + seed).normal(size=(rows, LENGTH, CHANNELS))
    return drawn.astype(np.float32)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[LONG] if n in LIKE_OTHERS else []) for n in NETWORKS]
)
def test_contributions_sum_to_the_difference_from_the_reference(name):
    found = attribute(NETWORKS[name], inputs(5, 1), baseline=inputs(1, 2), method="deeplift")
    scale = np.abs(found.prediction - found.baseline_prediction).max()
    assert found.completeness_error.max() <= 1e-5 * max(scale, 1)
    assert np.isfinite(found.values).all()
    assert np.abs(found.values).max() > 1e-3


@pytest.mark.parametrize("name", ["gelu", "gated product"])
@pytest.mark.parametrize("method", ["deeplift", pytest.param("integrated_gradients", marks=LONG)])
def test_single_precision_gives_double_precision_to_five_digits(name, method):
    kept = {"steps": 8} if method == "integrated_gradients" else {}
    x, b = inputs(4, 1), inputs(1, 2)
    single = attribute(NETWORKS[name], x, baseline=b, method=method, **kept).values
    with jax.enable_x64(True):
        double = attribute(
            NETWORKS[name], x.astype(float), baseline=b.astype(float), method=method, **kept
        ).values
    assert single.dtype == np.float32
    assert double.dtype == np.float64
    assert np.abs(single - double).max() <= 1e-5 * np.abs(double).max()


def test_relevance_passes_a_mask_of_infinities():
    found = attribute(
        NETWORKS["attention behind a mask of infinities"], inputs(3, 1), baseline=0, method="lrp"
    )
    assert np.isfinite(found.values).all()
    assert np.abs(found.values).max() > 1e-3


@pytest.mark.parametrize("name", ["overlapping max-pools", ATTENTION])
def test_a_background_gives_the_mean_over_its_members(name):
    x, background = inputs(3, 1), inputs(4, 2)
    shared = attribute(NETWORKS[name], x, baseline=background, method="deeplift_shap", output=0)
    each = [
        attribute(NETWORKS[name], x, baseline=b[None], method="deeplift", output=0).values
        for b in background
    ]
    assert_allclose(shared.values, np.mean(each, axis=0), rtol=1e-4, atol=1e-6)
    own = np.broadcast_to(background, (3, *background.shape))
    paired = attribute(NETWORKS[name], x, baseline=own, method="deeplift_shap", output=0)
    assert_allclose(paired.values, shared.values, rtol=1e-4, atol=1e-6)


def test_a_rectifier_is_rescaled_by_hand():
    x, b = np.array([[3.0, 1.0]], np.float32), np.array([[0.0, 2.0]], np.float32)
    found = attribute(lambda z: jax.nn.relu(z.sum(axis=1) - 3), x, baseline=b, method="deeplift")
    # The sum goes from 2 to 4 and the rectifier from 0 to 1: one half of each difference.
    assert_allclose(found.values, [[1.5, -0.5]], rtol=1e-6)


def test_a_product_is_shared_equally():
    x = np.array([[3.0, 5.0]], np.float32)
    found = attribute(lambda z: z[:, 0] * z[:, 1], x, baseline=1.0, method="deeplift")
    # Half of (3 - 1) (5 + 1) and half of (5 - 1) (3 + 1).
    assert_allclose(found.values, [[6.0, 8.0]], rtol=1e-6)


def test_a_primitive_without_a_rule_is_named():
    with pytest.raises(InputError, match="'sort'"):
        attribute(
            lambda z: jnp.sort(z, axis=1)[:, 0], np.ones((2, 3)), baseline=0, method="deeplift"
        )


def test_relevance_of_a_linear_model_is_input_times_weight():
    w, x = np.arange(1.0, 6.0, dtype=np.float32), np.ones((3, 5), np.float32)
    found = attribute(lambda z: z @ w, x, baseline=0.0, method="lrp")
    assert_allclose(found.values, x * w, rtol=1e-5)


def test_relevance_through_rectifiers_without_bias_is_gradient_times_input():
    def predict(z):
        return jax.nn.relu(z.reshape(len(z), -1) @ weight(0, LENGTH * CHANNELS, 8)) @ weight(
            1, 8, 2
        )

    x = inputs(4, 1)
    found = attribute(predict, x, baseline=0.0, method="lrp")
    slope = attribute(predict, x, baseline=0.0, method="input_x_gradient")
    assert_allclose(found.values, slope.values, rtol=1e-3, atol=1e-5)
