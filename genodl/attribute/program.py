"""A prediction as a jaxpr: evaluated, split behind its affine part, compared by structure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

CALLS = {"jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "core_call": "call_jaxpr"}
# Affine in every operand together.
JOINTLY_LINEAR = {
    *("neg", "reshape", "transpose", "broadcast_in_dim", "squeeze", "expand_dims", "slice", "rev"),
    *("reduce_sum", "cumsum", "copy", "copy_p", "real", "concatenate", "pad", "add", "sub"),
    *("add_any", "split", "reduce_window_sum"),
}
# Affine in one operand while the others are fixed.
BILINEAR = {"mul", "dot_general", "conv_general_dilated"}
# Affine in the first operand while the others are fixed.
LINEAR_IN_FIRST = {"div", "gather", "dynamic_slice"}

Opener = Callable[[Any], "core.ClosedJaxpr | None"]
Do = Callable[[Any, Sequence[Any]], list]


class Split(NamedTuple):
    """A program cut behind its affine part: predict(x) = suffix(prefix(x))."""

    prefix: Callable[[list], list]
    suffix: Callable[[list], list]
    closed: core.ClosedJaxpr


def plain_call(eqn: Any) -> core.ClosedJaxpr | None:
    """The body of a plain call. Custom derivatives and remat stay whole: they mean something."""
    name = CALLS.get(eqn.primitive.name)
    return eqn.params[name] if name else None


def inline(closed: core.ClosedJaxpr, opener: Opener = plain_call) -> core.ClosedJaxpr:
    """The same program without the calls that `opener` opens, so that every primitive is seen."""
    if all(opener(e) is None for e in closed.jaxpr.eqns):
        return closed
    return rewritten(closed, opening(opener))


def opening(opener: Opener) -> Do:
    """Equations done as they are, but for the calls that `opener` opens."""

    def do(eqn: Any, operands: Sequence[Any]) -> list:
        inner = opener(eqn)
        return apply(eqn, operands) if inner is None else evaluate(inner, operands, do)

    return do


def rewritten(closed: core.ClosedJaxpr, do: Do) -> core.ClosedJaxpr:
    """The program with each equation done in another way."""
    return jax.make_jaxpr(lambda *z: evaluate(closed, z, do))(*shapes(closed.jaxpr.invars))


def shapes(variables: Sequence[Any]) -> list[jax.ShapeDtypeStruct]:
    """Shape and type of each variable."""
    return [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in variables]


def read(env: dict, atom: Any) -> Any:
    """The value of a variable or literal."""
    return atom.val if isinstance(atom, core.Literal) else env[atom]


def apply(eqn: Any, operands: Sequence[Any]) -> list:
    """The outputs of one equation, as a list."""
    params = eqn.primitive.get_bind_params(eqn.params)
    # jax before 0.7 returned the functions beside the parameters, later among them.
    functions, params = params if isinstance(params, tuple) else ((), params)
    found = eqn.primitive.bind(*functions, *operands, **params)
    return list(found) if eqn.primitive.multiple_results else [found]


def evaluate(closed: core.ClosedJaxpr, leaves: Sequence[Any], do: Do = apply) -> list:
    """The outputs of a program, as a list."""
    env = environment(closed, leaves, do)
    return [read(env, v) for v in closed.jaxpr.outvars]


def environment(closed: core.ClosedJaxpr, leaves: Sequence[Any], do: Do = apply) -> dict:
    """The value of every variable of a program."""
    jaxpr = closed.jaxpr
    env: dict = dict(zip(jaxpr.constvars, closed.consts, strict=True))
    env |= dict(zip(jaxpr.invars, leaves, strict=True))
    for eqn in jaxpr.eqns:
        operands = [read(env, v) for v in eqn.invars]
        env |= dict(zip(eqn.outvars, do(eqn, operands), strict=True))
    return env


def affine_in(eqn: Any, moving: list[bool]) -> bool:
    """Whether an equation is affine in the operands that move with the input."""
    name = eqn.primitive.name
    if name == "convert_element_type":
        floats = [jnp.issubdtype(v.aval.dtype, jnp.floating) for v in (*eqn.invars, *eqn.outvars)]
        return all(floats)
    if name in JOINTLY_LINEAR:
        return True
    if name in BILINEAR:
        return sum(moving) == 1
    return (name in LINEAR_IN_FIRST and not any(moving[1:])) or (
        name == "select_n" and not moving[0]
    )


def split(predict: Callable, leaves: Sequence[Any]) -> Split:
    """Cut `predict`, a function of leaves, where its affine part in those leaves ends.

    Parameters
    ----------
    predict : leaves -> array or list of arrays
    leaves : arrays, float, whose shapes and types the program is captured for
    """
    closed = inline(jax.make_jaxpr(predict)(*leaves))
    jaxpr = closed.jaxpr
    fixed: dict = dict(zip(jaxpr.constvars, closed.consts, strict=True))
    affine = set(jaxpr.invars)
    head, tail = [], []
    for eqn in jaxpr.eqns:
        moving = [not isinstance(v, core.Literal) and v not in fixed for v in eqn.invars]
        if not any(moving) and not getattr(eqn, "effects", None):
            operands = [read(fixed, v) for v in eqn.invars]
            fixed |= dict(zip(eqn.outvars, apply(eqn, operands), strict=True))
        elif affine_in(eqn, moving) and all(
            v in affine for v, m in zip(eqn.invars, moving, strict=True) if m
        ):
            affine |= set(eqn.outvars)
            head.append(eqn)
        else:
            tail.append(eqn)
    needed = [v for eqn in tail for v in eqn.invars] + list(jaxpr.outvars)
    cut = list(dict.fromkeys(v for v in needed if not isinstance(v, core.Literal) and v in affine))

    def prefix(values: list) -> list:
        env = fixed | dict(zip(jaxpr.invars, values, strict=True))
        return [env[v] for v in cut] if not head else [run(head, env)[v] for v in cut]

    def suffix(hidden: list) -> list:
        env = run(tail, fixed | dict(zip(cut, hidden, strict=True)))
        return [read(env, v) for v in jaxpr.outvars]

    return Split(prefix, suffix, closed)


def run(eqns: list, env: dict) -> dict:
    """The environment after the equations."""
    env = dict(env)
    for eqn in eqns:
        env |= dict(zip(eqn.outvars, apply(eqn, [read(env, v) for v in eqn.invars]), strict=True))
    return env


def structure(closed: core.ClosedJaxpr, *, derived: bool = True) -> Hashable:
    """A key that two programs share only when they compute the same from the same constants.

    Derived: and only when their custom derivatives do.
    """
    return _structure(closed.jaxpr, derived=derived)


def _structure(jaxpr: core.Jaxpr, *, derived: bool) -> Hashable:
    """The equations of a jaxpr with variables numbered by first appearance."""
    number: dict = {}

    def label(atom: Any) -> Hashable:
        if isinstance(atom, core.Literal):
            return ("literal", str(atom.aval), np.asarray(atom.val).tobytes())
        return (number.setdefault(atom, len(number)), str(atom.aval))

    heads = tuple(label(v) for v in (*jaxpr.constvars, *jaxpr.invars))
    body = tuple(
        (
            eqn.primitive.name,
            tuple(label(v) for v in eqn.invars),
            tuple(label(v) for v in eqn.outvars),
            tuple((k, _parameter(eqn.params[k], derived)) for k in _compared(eqn)),
            _derivative(eqn) if derived and eqn.primitive.name.startswith("custom_") else None,
        )
        for eqn in jaxpr.eqns
    )
    return heads, body, tuple(label(v) for v in jaxpr.outvars)


def _compared(eqn: Any) -> list[str]:
    """The parameters that tell equations apart; a custom rule is known by its derivative."""
    rules = {"jvp_jaxpr_fun", "fwd_jaxpr_thunk", "bwd", "out_trees"}
    custom = eqn.primitive.name.startswith("custom_")
    return sorted(k for k in eqn.params if not (custom and k in rules))


def _derivative(eqn: Any) -> Hashable:
    """What a custom derivative rule computes, as a key."""

    def pulled(*operands: Any) -> Any:
        found, pull = jax.vjp(lambda *o: apply(eqn, o), *operands)
        return pull([jnp.ones_like(f) for f in found])

    try:
        closed = jax.make_jaxpr(pulled)(*shapes(eqn.invars))
    except (TypeError, ValueError):
        # A rule over integers, say: such a program is compiled at each call.
        return object()
    return _structure(closed.jaxpr, derived=False) if not closed.consts else object()


def _parameter(value: Any, derived: bool) -> Hashable:
    """One parameter as a key; what cannot be compared counts as unlike anything else."""
    if isinstance(value, core.ClosedJaxpr):
        # Constants inside a call are values of the program, not its structure.
        return _structure(value.jaxpr, derived=derived) if not value.consts else object()
    if isinstance(value, core.Jaxpr):
        return _structure(value, derived=derived)
    if isinstance(value, (tuple, list)):
        return tuple(_parameter(v, derived) for v in value)
    try:
        hash(value)
    except TypeError:
        return object()
    return value
