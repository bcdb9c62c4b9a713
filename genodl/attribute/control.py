"""Rules for loops and branches: differences pass back through each turn of the body."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core

from genodl.attribute.program import evaluate
from genodl.attribute.rules import Step
from genodl.errors import InputError

Multipliers = Callable[..., list]
MovingOut = Callable[[core.ClosedJaxpr, list], list]


def moved(eqn: Any, operands: list[bool], moving_out: MovingOut) -> list[bool]:
    """Which outputs of a loop or branch depend on the moving operands."""
    params = eqn.params
    if eqn.primitive.name == "cond":
        index, *rest = operands
        branches = [moving_out(b, rest) for b in params["branches"]]
        return [index or any(m) for m in zip(*branches, strict=True)]
    if eqn.primitive.name == "while":
        skipped, consts = params["cond_nconsts"], params["body_nconsts"]
        fixed, carry = operands[skipped : skipped + consts], operands[skipped + consts :]
        return spread(params["body_jaxpr"], fixed, carry, [], moving_out)
    consts, carries = params["num_consts"], params["num_carry"]
    fixed, carry, xs = parts(operands, consts, carries)
    carry = spread(params["jaxpr"], fixed, carry, xs, moving_out)
    return carry + moving_out(params["jaxpr"], [*fixed, *carry, *xs])[carries:]


def spread(
    body: core.ClosedJaxpr, fixed: list, carry: list, xs: list, moving_out: MovingOut
) -> list[bool]:
    """Which carried values move in the end."""
    while True:
        after = moving_out(body, [*fixed, *carry, *xs])[: len(carry)]
        joined = [a or b for a, b in zip(carry, after, strict=True)]
        if joined == carry:
            return carry
        carry = joined


def parts(values: list, first: int, second: int) -> tuple[list, list, list]:
    """A list in three."""
    return values[:first], values[first : first + second], values[first + second :]


def empty(values: list, moving: list[bool], like: jax.Array) -> list:
    """Zero multipliers for the moving values."""
    return [
        jnp.zeros(jnp.shape(v), _kind(v, like)) for v, m in zip(values, moving, strict=True) if m
    ]


def _kind(value: Any, like: jax.Array) -> Any:
    """The type of a value's multiplier."""
    kind = jnp.result_type(value)
    return kind if jnp.issubdtype(kind, jnp.floating) else like.dtype


def filled(found: list, values: list, moving: list[bool], like: jax.Array) -> list:
    """The multipliers of the moving values, zeros where none was reached."""
    return [
        jnp.zeros(jnp.shape(v), _kind(v, like)) if f is None else f
        for f, v, m in zip(found, values, moving, strict=True)
        if m
    ]


def apart(compact: list, moving: list[bool]) -> list:
    """Multipliers at their places, None where a value does not move."""
    rest = iter(compact)
    return [next(rest) if m else None for m in moving]


def scan(step: Step, m: list, multipliers: Multipliers, moving_out: MovingOut) -> list:
    """A scan: the states of both runs are kept, then the body is passed back turn by turn."""
    params = step.eqn.params
    body, count = params["jaxpr"], (params["num_consts"], params["num_carry"])
    fixed, start, xs = parts(step.x, *count)
    fixed_b, start_b, xs_b = parts(step.b, *count)
    fixed_m, carry_m, xs_m = parts(step.moving, *count)
    carry_m = spread(body, fixed_m, carry_m, xs_m, moving_out)
    ys_m = moving_out(body, [*fixed_m, *carry_m, *xs_m])[count[1] :]
    whole = [*fixed_m, *carry_m, *xs_m]
    options = {"length": params["length"], "unroll": params["unroll"]}

    def states(consts: list, first: list, inputs: list) -> list:
        def turn(carry: list, x: list) -> tuple[list, list]:
            out = evaluate(body, [*consts, *carry, *x])
            return out[: count[1]], carry

        return lax.scan(turn, list(first), list(inputs), reverse=params["reverse"], **options)[1]

    kept = states(fixed, start, xs)
    kept_b = [jnp.zeros_like(k) for k in kept] if step.zero else states(fixed_b, start_b, xs_b)

    def turn_back(carried: tuple, now: tuple) -> tuple[tuple, list]:
        after, total = carried
        state, state_b, x, x_b, m_y = now
        m_out = apart(after, carry_m) + apart(m_y, ys_m)
        ins, ins_b = [*fixed, *state, *x], [*fixed_b, *state_b, *x_b]
        found = multipliers(body, ins, ins_b, whole, m_out, zero=step.zero)
        f, s, g = parts(found, *count)
        total = [a + b for a, b in zip(total, filled(f, fixed, fixed_m, m[0]), strict=True)]
        before = filled(s, state, carry_m, m[0])
        return (before, total), filled(g, x, xs_m, m[0])

    m_carry = [v for v, moves in zip(m[: count[1]], carry_m, strict=True) if moves]
    m_ys = [v for v, moves in zip(m[count[1] :], ys_m, strict=True) if moves]
    (first, total), each = lax.scan(
        turn_back,
        (m_carry, empty(fixed, fixed_m, m[0])),
        (kept, kept_b, list(xs), list(xs_b), m_ys),
        reverse=not params["reverse"],
        **options,
    )
    return [
        v if moves else None
        for v, moves in zip(
            apart(total, fixed_m) + apart(first, carry_m) + apart(each, xs_m),
            step.moving,
            strict=True,
        )
    ]


def loop(step: Step, m: list, multipliers: Multipliers, moving_out: MovingOut) -> list:
    """A while loop whose number of turns does not depend on x; states are computed anew.

    The time grows with the square of the turns, as a loop of unknown length keeps no states.
    """
    params = step.eqn.params
    body, condition = params["body_jaxpr"], params["cond_jaxpr"]
    count = (params["cond_nconsts"], params["body_nconsts"])
    asked, fixed, start = parts(step.x, *count)
    _, fixed_b, start_b = parts(step.b, *count)
    asked_m, fixed_m, carry_m = parts(step.moving, *count)
    carry_m = spread(body, fixed_m, carry_m, [], moving_out)
    if moving_out(condition, [*asked_m, *carry_m])[0]:
        raise InputError(
            "no rule for the primitive 'while' with a number of turns that depends on x",
            where="deeplift",
            mend="use a scan, or method='integrated_gradients' or 'shapley'",
        )

    def on(consts: list, carry: list) -> list:
        return evaluate(body, [*consts, *carry])

    def more(state: tuple) -> jax.Array:
        return evaluate(condition, [*asked, *state[1]])[0]

    turns, _ = lax.while_loop(more, lambda s: (s[0] + 1, on(fixed, s[1])), (0, list(start)))

    def back(i: jax.Array, carried: tuple) -> tuple:
        after, total = carried
        before = turns - 1 - i
        state = lax.fori_loop(0, before, lambda _, c: on(fixed, c), list(start))
        state_b = (
            [jnp.zeros_like(s) if moves else s for s, moves in zip(state, carry_m, strict=True)]
            if step.zero
            else lax.fori_loop(0, before, lambda _, c: on(fixed_b, c), list(start_b))
        )
        found = multipliers(
            body,
            [*fixed, *state],
            [*fixed_b, *state_b],
            [*fixed_m, *carry_m],
            apart(after, carry_m),
            zero=step.zero,
        )
        f, s = found[: count[1]], found[count[1] :]
        total = [a + b for a, b in zip(total, filled(f, fixed, fixed_m, m[0]), strict=True)]
        return filled(s, state, carry_m, m[0]), total

    m_carry = [v for v, moves in zip(m, carry_m, strict=True) if moves]
    first, total = lax.fori_loop(0, turns, back, (m_carry, empty(fixed, fixed_m, m[0])))
    found = [None] * count[0] + apart(total, fixed_m) + apart(first, carry_m)
    return [v if moves else None for v, moves in zip(found, step.moving, strict=True)]


def branch(step: Step, m: list, multipliers: Multipliers, moving_out: MovingOut) -> list:
    """A branch chosen by something other than x: that branch is passed back."""
    index, moving = step.x[0], step.moving[1:]
    if step.moving[0]:
        raise InputError(
            "no rule for the primitive 'cond' with a branch that depends on x",
            where="deeplift",
            mend="use jnp.where, or method='integrated_gradients' or 'shapley'",
        )
    x, b = step.x[1:], step.b[1:]

    def passes(body: core.ClosedJaxpr) -> Callable[[], list]:
        moves = moving_out(body, moving)
        m_out = [v if k else None for v, k in zip(m, moves, strict=True)]
        return lambda: filled(
            multipliers(body, x, b, moving, m_out, zero=step.zero), x, moving, m[0]
        )

    chosen = lax.switch(index, [passes(body) for body in step.eqn.params["branches"]])
    return [None, *apart(chosen, moving)]


RULES = {"scan": scan, "while": loop, "cond": branch}
