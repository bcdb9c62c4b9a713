"""Gradient attributions: by hand, by law, and behind the affine part of a program."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from genodl.attribute import METHODS, attribute, integrated_gradients
from genodl.attribute.program import split
from genodl.errors import InputError

QUICK = {("deeplift", "bfloat16"), ("integrated_gradients", "float16"), ("shapley", "float16")}
HALVES = [
    pytest.param(
        *(method, getattr(jnp, kind)),
        marks=[] if (method, kind) in QUICK else pytest.mark.long,
        id=f"{method}-{kind}",
    )
    for method in sorted(set(METHODS) - {"ism"})
    for kind in ("bfloat16", "float16")
]


def network(seed: int = 0, inputs: int = 6, hidden: int = 5, outputs: int = 3):
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(inputs, hidden)).astype(np.float32)
    second = rng.normal(size=(hidden, outputs)).astype(np.float32)
    return lambda x: jnp.tanh(x @ first + 0.1) @ second


def samples(rows: int = 7, inputs: int = 6, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, inputs)).astype(np.float32)


def naive(predict, x, baseline, steps):
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    slope, total = jax.jit(jax.grad(lambda z: predict(z).sum())), 0.0
    for t, w in zip((nodes + 1) / 2, weights / 2, strict=True):
        total += w * slope(baseline + t * (x - baseline))
    return (x - baseline) * total


def test_a_linear_model_is_attributed_exactly():
    weight, x = jnp.arange(5.0), jnp.ones((3, 5))
    found = integrated_gradients(lambda z: z @ weight, x, jnp.zeros_like(x))
    assert_allclose(found, x * weight, rtol=1e-6)


def test_a_square_is_shared_as_its_path_integral_says():
    x, b = jnp.array([[2.0, 1.0]]), jnp.array([[1.0, 0.0]])
    found = integrated_gradients(lambda z: z[:, 0] * z[:, 1] ** 2, x, b, steps=4)
    # Along (1 + t, t): the integral of t^2 is 1/3 and of 2 (1 + t) t is 5/3.
    assert_allclose(found, [[1 / 3, 5 / 3]], rtol=1e-5)


@pytest.mark.parametrize("rows", [1, 7])
def test_the_walk_behind_the_first_layer_equals_the_walk_at_the_input(rows):
    predict, x = network(outputs=1), samples()
    baseline = samples(rows, seed=3)
    found = integrated_gradients(lambda z: predict(z)[:, 0], x, baseline, steps=8)
    assert_allclose(found, naive(lambda z: predict(z)[:, 0], x, baseline, 8), rtol=2e-5, atol=1e-6)


def test_the_cut_lies_behind_the_first_layer():
    program = split(lambda z: network(inputs=50)(z), [jnp.ones((4, 50))])
    assert [h.shape for h in program.prefix([jnp.ones((4, 50))])] == [(4, 5)]


def test_stacked_members_are_attributed_under_vmap():
    x, b = samples(), jnp.zeros((1, 6))
    weights = samples(4, seed=2)

    def one(w):
        return integrated_gradients(lambda z: jax.nn.relu(z @ w), x, b, steps=16)

    stacked = jax.jit(jax.vmap(one))(weights)
    assert_allclose(stacked, jnp.stack([one(w) for w in weights]), rtol=1e-5, atol=1e-6)


def test_all_outputs_are_those_of_each_output():
    predict, x = network(), samples()
    whole = attribute(predict, x, baseline=0.0)
    assert whole.values.shape == (7, 6, 3)
    for k in range(3):
        one = attribute(predict, x, baseline=0.0, output=k)
        assert_allclose(whole.values[..., k], one.values, rtol=1e-4, atol=1e-6)


def test_integrated_gradients_are_complete_and_say_so():
    found = attribute(network(), samples(), baseline=0.0, output=1)
    assert found.completeness_error.shape == (7,)
    assert found.completeness_error.max() < 1e-4
    assert not found.incomplete.any()


def test_few_steps_on_a_kink_are_flagged_and_adaptive_steps_are_not():
    def kinked(z):
        return jax.nn.relu(z[:, 0] * 37 - 19.3) + z[:, 1]

    x = np.ones((2, 2), np.float32)
    assert attribute(kinked, x, baseline=0.0, steps=3, tolerance=1e-4).incomplete.all()
    assert not attribute(kinked, x, baseline=0.0, tolerance=1e-3).incomplete.any()


@pytest.mark.parametrize(
    "method",
    ["saliency", pytest.param("smoothgrad", marks=pytest.mark.long), "integrated_gradients"],
)
def test_a_batch_gives_what_each_sample_alone_gives(method):
    predict, x = network(), samples()
    whole = attribute(predict, x, baseline=0.0, method=method, batch_size=7)
    cut = attribute(predict, x, baseline=0.0, method=method, batch_size=2)
    assert_allclose(whole.values, cut.values, rtol=1e-5, atol=1e-6)


def test_parts_of_the_input_are_attributed_jointly():
    first, second = samples(), samples(inputs=4, seed=5)
    weight = jnp.arange(10.0)

    def predict(z):
        return jnp.tanh(jnp.concatenate([z["variants"], z["expression"]], axis=1) @ weight * 0.1)

    x = {"variants": first, "expression": second}
    found = attribute(predict, x, baseline=0.0)
    joint = attribute(
        lambda z: jnp.tanh(z @ weight * 0.1), np.concatenate([first, second], axis=1), baseline=0.0
    )
    assert_allclose(found.values["variants"], joint.values[:, :6], rtol=1e-4, atol=1e-6)
    assert_allclose(found.values["expression"], joint.values[:, 6:], rtol=1e-4, atol=1e-6)


def test_nan_is_an_error_that_names_the_row():
    x = samples()
    x[3, 2] = np.nan
    with pytest.raises(InputError, match=r"\(3, 2\)"):
        attribute(network(), x, baseline=0.0)


def test_unknown_names_are_met_with_the_nearest():
    with pytest.raises(InputError, match="integrated_gradients"):
        attribute(network(), samples(), baseline=0.0, method="integrated_gradient")
    with pytest.raises(InputError, match="'steps'"):
        attribute(network(), samples(), baseline=0.0, step=3)


def test_rows_that_see_each_other_are_an_error():
    with pytest.raises(InputError, match="neighbour"):
        attribute(lambda z: (z - z.mean(axis=0)).sum(axis=1), samples(), baseline=0.0)


def test_a_program_is_traced_a_fixed_number_of_times_and_compiled_once():
    from genodl.attribute.methods import compiled

    traces = []
    weight = jnp.arange(6.0)

    def predict(z):
        traces.append(z.shape)
        return jnp.tanh(z @ weight)

    x = samples(40)
    attribute(predict, x, baseline=0.0, steps=8, batch_size=4)
    assert traces == [(2, 6), (1, 6), (4, 6)]
    before = compiled._cache_size()
    attribute(lambda z: predict(z), x, baseline=0.0, steps=8, batch_size=4)
    assert compiled._cache_size() == before


def test_a_custom_derivative_is_compiled_once_and_noticed_when_it_changes():
    from genodl.attribute.methods import compiled

    def scaled(factor):
        @jax.custom_vjp
        def bent(h):
            return jnp.tanh(h)

        bent.defvjp(lambda h: (bent(h), h), lambda h, c: (factor * c,))
        return lambda z: bent(z @ jnp.arange(6.0))

    kept = {"x": samples(9), "baseline": 0.0, "method": "saliency"}
    one = attribute(scaled(1.0), **kept)
    before = compiled._cache_size()
    assert_allclose(attribute(scaled(1.0), **kept).values, one.values)
    assert compiled._cache_size() == before
    assert_allclose(attribute(scaled(3.0), **kept).values, 3 * one.values)


def test_a_model_changed_between_calls_is_not_remembered():
    held = {"weight": jnp.ones(6)}
    x = samples()
    one = attribute(lambda z: z @ held["weight"], x, baseline=0.0)
    held["weight"] = 2 * held["weight"]
    two = attribute(lambda z: z @ held["weight"], x, baseline=0.0)
    assert_allclose(two.values, 2 * one.values, rtol=1e-6)


def test_every_method_has_a_docstring():
    assert all(m.run.__doc__ for m in METHODS.values())


def test_expected_gradients_are_the_mean_of_integrated_gradients():
    predict, x, background = network(), samples(), samples(3, seed=4)
    found = attribute(predict, x, baseline=background, method="expected_gradients", output=0)
    each = [attribute(predict, x, baseline=b, steps=8, output=0).values for b in background]
    assert_allclose(found.values, np.mean(each, axis=0), rtol=1e-4, atol=1e-5)
    own = np.broadcast_to(background, (7, 3, 6))
    paired = attribute(predict, x, baseline=own, method="expected_gradients", output=0)
    assert_allclose(paired.values, found.values, rtol=1e-4, atol=1e-5)


def test_random_draws_are_within_their_error_of_the_mean():
    predict, x, background = network(), samples(), samples(3, seed=4)
    kept = {"baseline": background, "method": "expected_gradients", "output": 0}
    exact, found = attribute(predict, x, **kept), attribute(predict, x, draws=500, **kept)
    assert np.abs((found.values - exact.values) / found.standard_error).max() < 4.5


@pytest.mark.parametrize(("method", "kind"), HALVES)
def test_half_precision_inside_gives_what_its_digits_allow(method, kind):
    first, last = samples(6, 5, seed=2), samples(5, 2, seed=3)

    def predict(x, kind):
        return jnp.tanh(x.astype(kind) @ first.astype(kind)).astype(jnp.float32) @ last

    x, b = samples(3), samples(2, seed=4)
    start = b if METHODS[method].background else b[:1]
    half, whole = (
        attribute(lambda z, k=k: predict(z, k), x, baseline=start, method=method).values
        for k in (kind, jnp.float32)
    )
    assert half.dtype == np.float32
    digits = float(jnp.finfo(kind).eps)
    assert np.abs(half - whole).max() <= 8 * digits * np.abs(whole).max()
