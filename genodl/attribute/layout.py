"""Convolutions in the layout that the processor's fast kernels take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from genodl.attribute.program import apply, evaluate, plain_call, rewritten


def fast(function: Callable[..., Any], *arguments: Any) -> Any:
    """function(*arguments), its convolutions channels last with kernels (space, in, out).

    Differentiation transposes kernels in name only, and XLA runs such a convolution inside a loop
    five times slower on a processor than one whose kernel lies as it is used.
    """
    if jax.default_backend() != "cpu":
        return function(*arguments)
    leaves, tree = jax.tree.flatten(arguments)

    def flat(*values: Any) -> Any:
        return function(*jax.tree.unflatten(tree, values))

    closed, shape = jax.make_jaxpr(flat, return_shape=True)(*leaves)
    return jax.tree.unflatten(jax.tree.structure(shape), evaluate(closed, leaves, do))


def do(eqn: Any, operands: Sequence[Any]) -> list:
    """One equation, convolutions laid out anew here and in the bodies of loops and branches."""
    if eqn.primitive.name == "conv_general_dilated":
        return [convolution(eqn, *operands)]
    inner = plain_call(eqn)
    if inner is not None:
        return evaluate(inner, operands, do)
    if eqn.primitive.name in ("scan", "while", "cond"):
        params = {name: _body(value) for name, value in eqn.params.items()}
        return apply(eqn.replace(params=params), operands)
    return apply(eqn, operands)


def _body(value: Any) -> Any:
    """A parameter of a loop or branch with its programs rewritten."""
    if isinstance(value, core.ClosedJaxpr):
        return rewritten(value, do)
    if isinstance(value, tuple) and any(isinstance(v, core.ClosedJaxpr) for v in value):
        return tuple(_body(v) for v in value)
    return value


def convolution(eqn: Any, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The convolution, channels last; one over one axis becomes one over two."""
    params = dict(eqn.params)
    lhs, rhs, out = params["dimension_numbers"]
    space = range(2, x.ndim)
    x = jnp.transpose(x, (lhs[0], *(lhs[i] for i in space), lhs[1]))
    kernel = jnp.transpose(kernel, (*(rhs[i] for i in space), rhs[1], rhs[0]))
    short = len(space) == 1
    if short:
        x, kernel = x[:, None], kernel[None]
        for name in ("window_strides", "lhs_dilation", "rhs_dilation"):
            params[name] = (1, *params[name])
        params["padding"] = ((0, 0), *params["padding"])
    axes = x.ndim
    last = (0, axes - 1, *range(1, axes - 1))
    params["dimension_numbers"] = jax.lax.ConvDimensionNumbers(
        last, (axes - 1, axes - 2, *range(axes - 2)), last
    )
    given = {k: v for k, v in params.items() if k != "out_sharding"}
    found = jax.lax.conv_general_dilated(x, kernel, **given)
    found = found[:, 0] if short else found
    placed = (out[0], *(out[i] for i in space), out[1])
    return jnp.transpose(found, tuple(placed.index(i) for i in range(found.ndim)))
