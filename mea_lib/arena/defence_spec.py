"""The description of a network that a defence's process sends: checked before anything of that size is built."""

import json
from math import isfinite
from typing import Any

from mea_lib.arena.entry import EntryFailed
from mea_lib.data import ImageSet
from mea_lib.models import NETWORKS, PAPER_WIDTH

LONGEST_SPEC = 4_096  # bytes
_NAMES = {"network", "classes", "channels", "size", "width", "mean", "std"}


def read_spec(message: bytes, images: ImageSet) -> dict[str, Any]:
    """What `mea_lib.models.build_from_spec` can be given without fear of its size.

    Args:
        message: JSON.
        images: of the contest.

    Raises:
        EntryFailed: for anything but a network of this book for such images, of at most PAPER_WIDTH channels in its
            first layer.
    """
    try:
        spec = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise EntryFailed("the description of its classifier is no JSON") from error
    if not isinstance(spec, dict) or set(spec) != _NAMES:
        named = ", ".join(sorted(spec)) if isinstance(spec, dict) else type(spec).__name__
        raise EntryFailed(
            f"its classifier's spec has to name {', '.join(sorted(_NAMES))}, as mea_lib.models.build writes it; "
            f"it has {named or 'nothing'}"
        )
    if spec["network"] not in NETWORKS:
        raise EntryFailed(f"its network must be one of {', '.join(NETWORKS)}, not {spec['network']!r}")
    check_form(spec, images)
    width = spec["width"]
    if type(width) is not int or not 1 <= width <= PAPER_WIDTH:
        raise EntryFailed(f"its width must be a whole number from 1 to {PAPER_WIDTH}, not {width!r}")
    for name in ("mean", "std"):
        if not _is_numbers(spec[name], spec["channels"]):
            raise EntryFailed(f"its {name} must be {spec['channels']} finite numbers, one a channel")
    return spec


def check_form(spec: dict[str, Any], images: ImageSet) -> None:
    """EntryFailed for a network of other images or other classes than these."""
    wanted = {"classes": len(images.classes), "channels": images.channels, "size": images.size}
    form = {name: spec.get(name) for name in wanted}
    if form != wanted or not all(type(value) is int for value in form.values()):
        raise EntryFailed(f"returned a classifier for {form}, not for {wanted}")


def _is_numbers(values: Any, number: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == number
        and all(type(value) in (int, float) and abs(value) < 1e30 and isfinite(value) for value in values)
    )
