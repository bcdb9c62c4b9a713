"""Whether attributions can be believed: one report of curves and sanity checks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import rankdata

from genodl.attribute.batches import checked
from genodl.attribute.capture import Program, capture
from genodl.attribute.methods import attribute, method_named
from genodl.attribute.perturb import numbered
from genodl.attribute.result import Attribution


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """How an attribution stands up to checks.

    Attributes
    ----------
    fractions : float, (points,), share of inputs replaced
    deletion, insertion : float, (points,), share of the way from the baseline's prediction to the
        sample's that is left, or won, as inputs are replaced, or given, the most important first
    deletion_random, insertion_random : the same in a random order
    gain : area between the insertion and the deletion curve, less that of the random orders: above
        zero where the ranking finds what the model uses
    seed_correlation : mean Spearman correlation of absolute attributions between seeds of the
        method, or between the retrained models where given; nan where neither varies
    randomised_correlation : the same with the model's weights shuffled: near zero, unless the
        method shows the input rather than the model
    worst_completeness : the largest completeness error
    """

    fractions: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray
    deletion_random: np.ndarray
    insertion_random: np.ndarray
    gain: float
    seed_correlation: float
    randomised_correlation: float
    worst_completeness: float


def assess(
    predict: Callable[[Any], Any],
    x: Any,
    *,
    baseline: Any,
    method: str = "integrated_gradients",
    output: int = 0,
    points: int = 11,
    retrained: Sequence[Callable[[Any], Any]] = (),
    seed: int = 0,
    **settings: Any,
) -> Faithfulness:
    """Deletion and insertion curves, sensitivity to seeds, and a check with shuffled weights.

    Parameters
    ----------
    predict, x, baseline, method, settings : as in `attribute`; inputs are replaced by the baseline,
        or by the mean of a background set
    output : the output that is explained
    points : points of the curves, both ends among them
    retrained : the same model trained from other seeds; without them, the method's own seed varies
    seed : of the random orders and the shuffled weights

    Source
    ------
    Petsiuk, Das and Saenko 2018 (curves); Adebayo et al. 2018 (shuffled weights).
    """
    background = method_named(method).background
    inputs, start = checked(x, baseline, background=background)
    rows = len(jax.tree.leaves(inputs)[0])
    program, outputs = capture(predict, inputs, {1, 2, rows}, differentiated=False)
    chosen = output if outputs else None
    kept = {
        "baseline": baseline,
        "method": method,
        "output": chosen,
        "batch_size": rows,
        **settings,
    }
    found = attribute(predict, x, **kept)
    rng = np.random.default_rng(seed)
    # Towards the sample's own prediction, whether that is above or below the baseline's.
    scores = flat(found.values) * np.sign(found.prediction - found.baseline_prediction)[:, None]
    filler = jax.tree.map(lambda b: b.mean(axis=1), start) if background else start
    ask = partial(_answers, program, inputs, filler, output, points)
    ranked, random = ask(scores), ask(rng.permuted(scores, axis=1))
    others = [attribute(p, x, **kept) for p in retrained] or reseeded(predict, x, method, kept)
    shuffled = attribute(shuffle(program, outputs, rng), x, **kept)
    gain = np.trapezoid(ranked[1] - ranked[0] - random[1] + random[0], dx=1 / (points - 1))
    return Faithfulness(
        np.linspace(0, 1, points),
        *ranked,
        *random,
        gain=float(gain),
        seed_correlation=agreement(found, others),
        randomised_correlation=agreement(found, [shuffled]),
        worst_completeness=float(found.completeness_error.max()),
    )


def flat(values: Any) -> np.ndarray:
    """(samples, inputs of all parts)."""
    parts = [np.asarray(v).reshape(len(v), -1) for v in jax.tree.leaves(values)]
    return np.concatenate(parts, axis=1)


def _answers(
    program: Program, x: Any, filler: Any, output: int, points: int, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Deletion and insertion curves, (points,), as the inputs go by falling score."""
    place = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1)
    labels, count = numbered(None, x)
    wide = jax.tree.map(lambda b, v: jnp.broadcast_to(b, v.shape), filler, x)

    def at(first: jax.Array, second: jax.Array) -> np.ndarray:
        # The first in order come from one, the rest from the other.
        answers = [
            _mixed(program, first, second, labels, jnp.asarray(place < k))[:, output]
            for k in np.round(np.linspace(0, count, points)).astype(int)
        ]
        return np.asarray(answers, np.float64)

    deletion, insertion = at(wide, x), at(x, wide)
    gap = deletion[0] - deletion[-1]
    size = np.abs(gap).mean() or 1.0

    def share(answers: np.ndarray) -> np.ndarray:
        return ((answers - deletion[-1]) * np.sign(gap)).mean(axis=1) / size

    return share(deletion), share(insertion)


@jax.jit
def _mixed(program: Program, first: Any, second: Any, labels: Any, early: jax.Array) -> jax.Array:
    """Predictions where the early inputs come from the first and the others from the second."""
    return program(
        jax.tree.map(lambda a, b, g: jnp.where(early[:, g], a, b), first, second, labels)
    )


def reseeded(predict: Callable[[Any], Any], x: Any, method: str, kept: dict) -> list[Attribution]:
    """The attribution with another seed, where the method draws."""
    if "seed" not in inspect.signature(method_named(method).run).parameters:
        return []
    return [attribute(predict, x, **{**kept, "seed": kept.get("seed", 0) + 1})]


def shuffle(program: Program, outputs: int, rng: np.random.Generator) -> Callable[[Any], Any]:
    """The captured model with the entries of each of its arrays in random order."""
    known: dict[int, Any] = {}

    def mixed(value: Any) -> Any:
        array = np.asarray(value)
        if array.size < 2 or array.dtype.kind != "f":
            return value
        if id(value) not in known:
            known[id(value)] = jnp.asarray(rng.permutation(array.ravel()).reshape(array.shape))
        return known[id(value)]

    random = Program(program.code, {n: [mixed(c) for c in v] for n, v in program.consts.items()})
    return random if outputs else lambda z: random(z)[:, 0]


def agreement(one: Attribution, others: Sequence[Attribution]) -> float:
    """Mean Spearman correlation of absolute attributions over samples and others."""

    def ranks(found: Attribution) -> np.ndarray:
        order = np.apply_along_axis(rankdata, 1, np.abs(flat(found.values)))
        centred = order - order.mean(axis=1, keepdims=True)
        size = np.linalg.norm(centred, axis=1, keepdims=True)
        return np.divide(centred, size, out=np.zeros_like(centred), where=size > 0)

    if not others:
        return float("nan")
    return float(np.mean([(ranks(one) * ranks(o)).sum(axis=1) for o in others]))
