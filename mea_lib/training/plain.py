"""Settings and inputs in values that JSON knows, for the recipe of a stored model."""

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor


def as_plain(value: Any) -> Any:
    """The same in values that JSON knows: a dataclass by its name and fields, a tensor by its hash.

    Raises:
        TypeError: for something else, which could not be told from its like.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        settings = {one.name: as_plain(getattr(value, one.name)) for one in fields(value)}
        return {"is": type(value).__name__} | settings
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {name: as_plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(one) for one in value]
    if isinstance(value, Tensor):
        numbers = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        said = f"{value.dtype} {tuple(value.shape)}".encode()
        return hashlib.sha256(said + numbers.tobytes()).hexdigest()
    raise TypeError(
        f"a setting or an input of a method is a number, a text, a tensor, a list, a dict by names or a dataclass of "
        f"these, not {type(value).__name__}; a model cannot be found again by it"
    )
