"""MEA-Defender in a small package: embed a watermark, extract the model, verify the surrogate."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors; `__getattr__` gives the same names
    from mea_lib import arena, defences, detection, extraction, models, removal, watermarks
    from mea_lib.blackbox import BudgetSpent, FeatureOracle, Oracle
    from mea_lib.data import Data, ImageSet, WatermarkKey, load
    from mea_lib.proof import Plan, verify_features, verify_ownership
    from mea_lib.scale import SCALES, Scale, preset
    from mea_lib.training import Store, train_clean, train_encoder, use_store

__version__ = "0.2.0.dev0"

__all__ = [
    "SCALES",
    "BudgetSpent",
    "Data",
    "FeatureOracle",
    "ImageSet",
    "Oracle",
    "Plan",
    "Scale",
    "Store",
    "WatermarkKey",
    "arena",
    "defences",
    "detection",
    "extraction",
    "load",
    "models",
    "preset",
    "removal",
    "train_clean",
    "train_encoder",
    "use_store",
    "verify_features",
    "verify_ownership",
    "watermarks",
]
_ROOMS = (
    "scale",
    "data",
    "models",
    "losses",
    "training",
    "watermarks",
    "blackbox",
    "defences",
    "extraction",
    "removal",
    "detection",
    "proof",
    "arena",
)


def __getattr__(name: str) -> Any:
    """Import the rooms when the first name is used: torch takes seconds, and `mea --help` needs none of it.

    All of them at once, since the store names its models after the code as it is when it is imported.
    """
    if name not in (*__all__, *_ROOMS):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    rooms = [import_module(f"{__name__}.{room}") for room in _ROOMS]  # a room becomes an attribute here
    for missing in set(__all__) - globals().keys():
        globals()[missing] = next(getattr(room, missing) for room in rooms if hasattr(room, missing))
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOMS})
