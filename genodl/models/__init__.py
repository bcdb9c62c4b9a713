"""Networks: each maps (batch, inputs) to (batch, outputs) row by row."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from genodl.errors import InputError, nearest
from genodl.models.joined import Attention, AttentionConfig, Fusion, FusionConfig
from genodl.models.sequence import CNN, GRU, LSTM, CNNConfig, RecurrentConfig
from genodl.models.tabular import (
    MLP,
    Linear,
    LinearConfig,
    MLPConfig,
    Pathway,
    PathwayConfig,
    Structure,
)

MODELS: dict[str, tuple[Any, Any]] = {
    "linear": (LinearConfig, Linear),
    "mlp": (MLPConfig, MLP),
    "pathway": (PathwayConfig, Pathway),
    "cnn": (CNNConfig, CNN),
    "lstm": (RecurrentConfig, LSTM),
    "gru": (RecurrentConfig, GRU),
    "attention": (AttentionConfig, Attention),
    "fusion": (FusionConfig, Fusion),
}
Factory = Callable[..., nnx.Module]
__all__ = ["MODELS", "Factory", "Structure", "build"]


class _Own(nnx.Module):
    """A user's module with the interface of ours."""

    def __init__(self, module: Any):
        self.module = module
        self.takes_key = "key" in inspect.signature(type(module).__call__).parameters

    def __call__(self, x: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """Predictions, (batch, outputs)."""
        return self.module(x, key=key) if self.takes_key else self.module(x)

    def shrink(self, amount: jax.Array) -> None:
        """The module's own shrinking, if it has one."""
        if hasattr(self.module, "shrink"):
            self.module.shrink(amount)


def build(
    name: str | Factory, settings: dict[str, Any], inputs: int, outputs: int, *, seed: Any
) -> Any:
    """The model with fresh parameters.

    Parameters
    ----------
    name : an entry of `MODELS`, or a factory `(inputs, outputs, *, rngs, **settings)` of a
        `flax.nnx.Module` that maps (batch, inputs) to (batch, outputs) row by row; where its call
        takes a `key`, that is None but in training, and where it has `shrink(amount)`, training
        calls it after every step
    settings : fields of the model's configuration
    inputs, outputs : widths of a row and of its prediction
    seed : an integer or a JAX key

    Raises
    ------
    InputError : no such model, or a setting it does not have
    """
    if callable(name):
        return _Own(name(inputs, outputs, rngs=nnx.Rngs(seed), **settings))
    if name not in MODELS:
        raise InputError(
            f"no model named {name!r}, nearest {nearest(name, MODELS)}",
            where="[model] name",
            mend=f"use one of {', '.join(MODELS)}",
        )
    config, model = MODELS[name]
    known = config.__dataclass_fields__
    for setting in settings:
        if setting not in known:
            raise InputError(
                f"model {name!r} has no setting {setting!r}",
                where="[model] settings",
                mend=f"use one of {', '.join(known)}" if known else "leave the settings out",
            )
    return model(config(**settings), inputs, outputs, rngs=nnx.Rngs(seed))
