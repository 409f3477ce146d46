"""What every method is: a frozen dataclass whose fields are its settings, and whose models are found or made."""

from dataclasses import dataclass
from typing import Any

from mea_lib.scale import Scale
from mea_lib.training.device import best_device, training_dtype
from mea_lib.training.own_code import PACKAGE, own_code_digest
from mea_lib.training.plain import as_plain


@dataclass(frozen=True)
class Method:
    """The base of all methods: watermarks, extractions, removals and whatever else trains a model.

    A subclass is a frozen dataclass too. Its fields are its settings, so none of them can be forgotten in the recipe
    under which its models are kept.
    """

    def recipe(self, scale: Scale, **inputs: Any) -> dict[str, Any]:
        """Everything that decides what this method makes, apart from what it is given: to find it in the store.

        Args:
            scale: gives its name.
            inputs: what the method is given, in values that `as_plain` knows: data, key, answers, training and so on.

        Returns:
            values that JSON knows. "module" names the code that takes part (`mea_lib.shaping_code`); code from outside
            the package brings a hash of its own.
        """
        device = best_device()
        own_code = own_code_digest(self, inputs)
        return {
            "method": type(self).__name__,
            "module": self.module(),
            **({"own_code": own_code} if own_code else {}),
            "settings": as_plain(self),
            "scale": scale.name,
            "device": device.type,
            "precision": str(training_dtype(device)),
            **as_plain(inputs),
        }

    @classmethod
    def module(cls) -> str:
        """The module of the package whose code takes part; of a method from outside, that of its base."""
        return next(one.__module__ for one in cls.__mro__ if one.__module__.split(".")[0] == PACKAGE)
