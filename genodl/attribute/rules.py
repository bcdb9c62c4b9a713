"""How a difference from the reference passes back through each primitive.

A rule takes one equation as seen by the sample and by the reference, and the multipliers of its
outputs (contribution to the prediction per unit of difference); it returns those of its operands,
such that the contributions of the operands sum to those of the outputs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from genodl.attribute.program import apply

ELEMENTWISE = {
    *("abs", "acos", "acosh", "add", "add_any", "and", "asin", "asinh", "atan", "atan2", "atanh"),
    *("cbrt", "ceil", "clamp", "convert_element_type", "copy", "copy_p", "cos", "cosh", "digamma"),
    *("div", "eq", "erf", "erf_inv", "erfc", "exp", "exp2", "expm1", "floor", "ge", "gt"),
    *("integer_pow", "is_finite", "le", "lgamma", "log", "log1p", "logistic", "lt", "max", "min"),
    *("mul", "ne", "neg", "not", "or", "pow", "reduce_precision", "rem", "round", "rsqrt"),
    *("select_n", "sign", "sin", "sinh", "sqrt", "square", "stop_gradient", "sub", "tan", "tanh"),
    *("xor",),
}
LINEAR = {
    *(
        "add",
        "add_any",
        "broadcast_in_dim",
        "concatenate",
        "copy",
        "copy_p",
        "cumsum",
        "expand_dims",
    ),
    *(
        "neg",
        "pad",
        "reduce_sum",
        "reduce_window_sum",
        "reshape",
        "rev",
        "slice",
        "split",
        "squeeze",
    ),
    *("sub", "transpose"),
}
BILINEAR = {"conv_general_dilated", "dot_general", "mul"}
# Linear while the operands after the first (indices) do not move.
INDEXED = {
    "gather": (0,),
    "dynamic_slice": (0,),
    "dynamic_update_slice": (0, 1),
    "scatter": (0, 2),
    "scatter-add": (0, 2),
    "scatter_add": (0, 2),
}


class Step(NamedTuple):
    """One equation under both inputs.

    Attributes
    ----------
    eqn : the equation
    x, b : operands under the sample and the reference, of equal shapes
    out, out_b : its outputs under both
    moving : whether each operand depends on the input
    zero : whether the reference is zero at every unit (relevance propagation)
    """

    eqn: Any
    x: list
    b: list
    out: list
    out_b: list
    moving: list[bool]
    zero: bool


def number(value: Any, like: jax.Array) -> jax.Array:
    """A value as a float, truth as 0 and 1, so that differences of masks count."""
    kept = jnp.issubdtype(jnp.result_type(value), jnp.floating)
    return jnp.asarray(value) if kept else jnp.asarray(value).astype(like.dtype)


def difference(value: jax.Array, other: jax.Array) -> jax.Array:
    """value - other; 0 where both are the same infinity, as the scores that a mask hides are."""
    return jnp.where(value == other, 0, value - other)


def secant(delta_out: jax.Array, delta: jax.Array, slope: jax.Array, zero: bool) -> jax.Array:
    """Difference of outputs per difference of inputs; the slope where the latter vanishes."""
    small = 1e-10 if delta.dtype == jnp.float64 else 1e-6
    if zero:
        ratio = delta_out / (delta + jnp.where(delta < 0, -small, small))
        return jnp.where(jnp.isfinite(ratio), ratio, slope)
    near = jnp.abs(delta) < small
    return jnp.where(near, slope, delta_out / jnp.where(near, 1, delta))


def linear(step: Step, m: list) -> list:
    """Linear in the moving operands together, or in each: transposed at the midpoint.

    A product of two moving operands is shared equally, which is complete.
    """
    where = [i for i, v in enumerate(step.moving) if v]
    middle = [(number(step.x[i], m[0]) + number(step.b[i], m[0])) / 2 for i in where]

    def moved(*values: Any) -> list:
        operands = list(step.x)
        for i, v in zip(where, values, strict=True):
            operands[i] = v
        return [number(o, m[0]) for o in apply(step.eqn, operands)]

    _, pull = jax.vjp(moved, *middle)
    return scattered(pull(list(m)), where, len(step.x))


def scattered(found: Any, where: list[int], count: int) -> list:
    """Multipliers at their operands, None elsewhere."""
    back: list = [None] * count
    for i, value in zip(where, found, strict=True):
        back[i] = value
    return back


def widened(step: Step) -> Step:
    """The step with its operands spread to the shape of the output."""
    shape = step.out[0].shape
    x, b = ([jnp.broadcast_to(v, shape) for v in side] for side in (step.x, step.b))
    return step._replace(x=x, b=b)


def narrowed(found: list, step: Step) -> list:
    """Multipliers summed over the axes along which an operand was spread."""

    def sum_to(value: Any, operand: Any) -> Any:
        if value is None or value.shape == jnp.shape(operand):
            return value
        shape = jnp.shape(operand) or (1,) * value.ndim
        axes = tuple(i for i, (a, b) in enumerate(zip(value.shape, shape, strict=True)) if a != b)
        return value.sum(axis=axes, keepdims=True).reshape(jnp.shape(operand))

    return [sum_to(v, o) for v, o in zip(found, step.x, strict=True)]


def passed(step: Step, m: list) -> list:
    """The identity, also where its derivative is stopped."""
    return [m[0]]


def division(step: Step, m: list) -> list:
    """A quotient: each operand's mean contribution over both orders, in closed form.

    Relevance propagation takes the denominator for a constant (Ali et al. 2022).
    """
    wide = widened(step)
    (top, bottom), (top_b, bottom_b) = wide.x, wide.b
    if step.zero:
        return narrowed([m[0] / bottom if step.moving[0] else None, None], step)
    upper = m[0] * (1 / bottom + 1 / bottom_b) / 2
    lower = -m[0] * (top + top_b) / 2 / (bottom * bottom_b)
    found = [upper if step.moving[0] else None, lower if step.moving[1] else None]
    return narrowed(found, step)


def shared(step: Step, m: list) -> list:
    """An elementwise function of several operands: the Shapley value of each (exact, 2^k calls)."""
    given, step = step, widened(step)
    where = [i for i, v in enumerate(step.moving) if v]
    values = {
        chosen: number(apply(step.eqn, _mixed(step, chosen))[0], m[0])
        for size in range(len(where) + 1)
        for chosen in itertools.combinations(where, size)
    }
    slopes = _slopes(step, where, m[0])
    back: list = [None] * len(step.x)
    for i in where:
        share = jnp.zeros_like(m[0])
        for chosen, value in values.items():
            if i in chosen:
                without = tuple(c for c in chosen if c != i)
                share += difference(value, values[without]) / (
                    len(where) * math.comb(len(where) - 1, len(without))
                )
        delta = difference(number(step.x[i], m[0]), number(step.b[i], m[0]))
        back[i] = m[0] * secant(share, delta, slopes[i], False)
    return narrowed(back, given)


def _mixed(step: Step, chosen: tuple[int, ...]) -> list:
    """The operands: the sample's where chosen, the reference's elsewhere."""
    return [
        x if i in chosen or not step.moving[i] else b
        for i, (x, b) in enumerate(zip(step.x, step.b, strict=True))
    ]


def _slopes(step: Step, where: list[int], like: jax.Array) -> dict[int, jax.Array]:
    """Derivative by each moving operand at the sample, zero for masks."""
    slopes = {i: jnp.zeros_like(like) for i in where}
    floats = [i for i in where if jnp.issubdtype(jnp.result_type(step.x[i]), jnp.floating)]
    if floats and jnp.issubdtype(step.out[0].dtype, jnp.floating):

        def moved(*values: Any) -> jax.Array:
            operands = list(step.x)
            for i, v in zip(floats, values, strict=True):
                operands[i] = v
            return apply(step.eqn, operands)[0]

        found, pull = jax.vjp(moved, *[step.x[i] for i in floats])
        slopes |= dict(zip(floats, pull(jnp.ones_like(found)), strict=True))
    return slopes


def largest(step: Step, m: list) -> list:
    """A maximum: the rise over the reference to the sample's largest, the fall to the reference's.

    Complete also where windows overlap. Source: the max-pooling rule of shap and tangermeme.
    """
    (x,), (b,), y, y_b = step.x, step.b, step.out[0], step.out_b[0]

    def choose(value: jax.Array, amount: jax.Array) -> jax.Array:
        return jax.vjp(lambda v: apply(step.eqn, [v])[0], value)[1](amount)[0]

    if step.zero:
        return [choose(x, m[0])]
    # For a minimum the same with signs turned.
    both = jnp.maximum if "max" in step.eqn.primitive.name else jnp.minimum
    cross = both(y, y_b)
    amount = choose(x, m[0] * difference(cross, y_b)) + choose(b, m[0] * difference(y, cross))
    delta = difference(x, b)
    return [jnp.where(delta == 0, 0, amount / jnp.where(delta == 0, 1, delta))]


Rule = Callable[[Step, list], list]
RULES: dict[str, Rule] = {
    **dict.fromkeys(sorted(ELEMENTWISE), shared),
    **dict.fromkeys(sorted(LINEAR | BILINEAR | set(INDEXED)), linear),
    "div": division,
    "stop_gradient": passed,
    "optimization_barrier": lambda step, m: list(m),
    "reduce_max": largest,
    "reduce_min": largest,
    "reduce_window_max": largest,
    "reduce_window_min": largest,
}
