"""Predictions after a change at one site: only what lies within its reach is computed again.

The base run is kept. A change is a window of positions, which widens at each convolution or pool
and stays one through elementwise steps; a sum or dense layer over positions takes its difference.
Any other step sees the whole changed array, so the answer is always that of the program.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend import core

from genodl.attribute.program import apply, read
from genodl.attribute.rules import ELEMENTWISE

PADDED_BY = {
    "conv_general_dilated": 0.0,
    "reduce_window_sum": 0.0,
    "reduce_window_max": -jnp.inf,
    "reduce_window_min": jnp.inf,
}


class Window(NamedTuple):
    """New values of (rows, width, ...) from a position on, along the second axis."""

    start: jax.Array
    value: jax.Array


class Sliding(NamedTuple):
    """A step that slides along the second axis: its reach, stride, dilation and padding."""

    size: int
    stride: int
    low: int
    high: int


def after(closed: core.ClosedJaxpr, base: dict, changed: dict[Any, Window]) -> jax.Array:
    """The output of a program as some of its inputs change within a window."""
    now: dict[Any, Any] = dict(changed)

    def whole(v: Any) -> Any:
        value = None if isinstance(v, core.Literal) else now.get(v)
        if isinstance(value, Window):
            return jax.lax.dynamic_update_slice_in_dim(base[v], value.value, value.start, axis=1)
        return read(base, v) if value is None else value

    equations: list[Any] = list(closed.jaxpr.eqns)
    for eqn in equations:
        touched = [v for v in eqn.invars if not isinstance(v, core.Literal) and v in now]
        if not touched:
            continue
        found = None
        if all(isinstance(now[v], Window) for v in touched):
            found = within(eqn, base, now)
        if found is not None:
            now[eqn.outvars[0]] = found
        else:
            now |= dict(zip(eqn.outvars, apply(eqn, [whole(v) for v in eqn.invars]), strict=True))
    return whole(closed.jaxpr.outvars[0])


def within(eqn: Any, base: dict, now: dict) -> Any:
    """What a step gives from windows alone, None where it needs more."""
    name = eqn.primitive.name
    if name in ELEMENTWISE:
        return pointwise(eqn, base, now)
    if name == "reduce_sum" and 1 in eqn.params["axes"]:
        return total(eqn, base, now)
    if name == "dot_general" and eqn.invars[1] not in now:
        return product(eqn, base, now)
    slides = sliding(eqn) if name in PADDED_BY and eqn.invars[0] in now else None
    kernel_stays = all(isinstance(v, core.Literal) or v not in now for v in eqn.invars[1:])
    return slid(eqn, base, now[eqn.invars[0]], slides) if slides and kernel_stays else None


def pointwise(eqn: Any, base: dict, now: dict) -> Window | None:
    """An elementwise step on one window, other operands cut to it."""
    moving = [v for v in eqn.invars if not isinstance(v, core.Literal) and v in now]
    window, shape = now[moving[0]], eqn.outvars[0].aval.shape
    same = all(now[v] is window and v.aval.shape[1:2] == shape[1:2] for v in moving)
    if not same or any(v.aval.ndim not in (0, len(shape)) for v in eqn.invars):
        return None
    operands = []
    for v in eqn.invars:
        value = now[v].value if v in moving else read(base, v)
        if v not in moving and v.aval.ndim and v.aval.shape[1] > 1:
            value = cut(value, window.start, window.value.shape[1])
        operands.append(value)
    return Window(window.start, apply(eqn, operands)[0])


def cut(value: jax.Array, start: jax.Array, width: int) -> jax.Array:
    """Some positions along the second axis."""
    return jax.lax.dynamic_slice_in_dim(value, start, width, axis=1)


def total(eqn: Any, base: dict, now: dict) -> jax.Array:
    """A sum over positions: that of the base and what the window adds to it."""
    source, window = eqn.invars[0], now[eqn.invars[0]]
    before = cut(base[source], window.start, window.value.shape[1])
    return base[eqn.outvars[0]] + (window.value - before).sum(axis=tuple(eqn.params["axes"]))


def product(eqn: Any, base: dict, now: dict) -> jax.Array | Window | None:
    """A dense layer over positions: what the window adds; or one at each position of the window."""
    (contracted, other), batched = eqn.params["dimension_numbers"]
    source, window = eqn.invars[0], now[eqn.invars[0]]
    width, weight = window.value.shape[1], read(base, eqn.invars[1])
    if tuple(batched[0]):
        return None
    if 1 not in contracted and 0 not in contracted:
        return Window(window.start, apply(eqn, [window.value, weight])[0])
    if 1 not in contracted:
        return None
    rise = window.value - cut(base[source], window.start, width)
    axis = other[tuple(contracted).index(1)]
    part = jax.lax.dynamic_slice_in_dim(weight, window.start, width, axis=axis)
    return base[eqn.outvars[0]] + apply(eqn, [rise, part])[0]


def sliding(eqn: Any) -> Sliding | None:
    """How a convolution or pool slides along the second axis, None where it does otherwise."""
    params, axes = eqn.params, len(eqn.outvars[0].aval.shape)
    if eqn.primitive.name == "conv_general_dilated":
        numbers = params["dimension_numbers"]
        plain = tuple(numbers.lhs_spec) == tuple(numbers.out_spec) == (0, 2, 1)
        if not plain or params["lhs_dilation"] != (1,) or params["batch_group_count"] != 1:
            return None
        size, dilation = eqn.invars[1].aval.shape[numbers.rhs_spec[2]], params["rhs_dilation"][0]
        stride, (low, high) = params["window_strides"][0], params["padding"][0]
    else:
        others = [i for i in range(axes) if i != 1]
        still = all(
            params["window_dimensions"][i] == 1
            and params["window_strides"][i] == 1
            and tuple(params["padding"][i]) == (0, 0)
            for i in others
        )
        if not still or any(d != 1 for d in params["base_dilation"]):
            return None
        size, dilation = params["window_dimensions"][1], params["window_dilation"][1]
        stride, (low, high) = params["window_strides"][1], params["padding"][1]
    return None if min(low, high) < 0 else Sliding((size - 1) * dilation + 1, stride, low, high)


def slid(eqn: Any, base: dict, window: Window, slides: Sliding) -> Window:
    """A convolution or pool on the positions that see the window."""
    source = base[eqn.invars[0]]
    width, length = window.value.shape[1], eqn.outvars[0].aval.shape[1]
    reach = min(length, (width + slides.size - 2) // slides.stride + 1)
    first = -((slides.size - 1 - window.start - slides.low) // slides.stride)
    start = jnp.clip(first, 0, length - reach)
    patch = (reach - 1) * slides.stride + slides.size
    # A margin of the window's width takes what reaches beyond the patch.
    padding = [(0, 0, 0), (slides.low + width, slides.high + width + slides.stride, 0)]
    padding += [(0, 0, 0)] * (source.ndim - 2)
    fill = jnp.asarray(PADDED_BY[eqn.primitive.name], source.dtype)
    broad = cut(jax.lax.pad(source, fill, padding), start * slides.stride, patch + 2 * width)
    place = window.start + slides.low + width - start * slides.stride
    place = jnp.clip(place, 0, patch + width)
    broad = jax.lax.dynamic_update_slice_in_dim(broad, window.value, place, axis=1)
    params = dict(eqn.params)
    params["padding"] = tuple((0, 0) for _ in params["padding"])
    operands = [broad[:, width : width + patch], *(read(base, v) for v in eqn.invars[1:])]
    return Window(start, apply(eqn.replace(params=params), operands)[0])
