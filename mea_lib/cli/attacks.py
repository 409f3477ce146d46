"""What `mea extract --attack` runs: each attack on the images it needs, in the shape that the victim takes."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from torch import Tensor

    from mea_lib.data import Data, ImageSet
    from mea_lib.models import ImageClassifier
    from mea_lib.scale import Scale

ATTACKS = ("distillation", "jacobian", "knockoff", "data-free")


def check_fits(attack: str, only: dict[str, tuple[Any, tuple[str, ...]]]) -> None:
    """A usage error for an option that means nothing to this attack.

    Args:
        only: for each such option its value and the attacks it is for.
    """
    for option, (value, attacks) in only.items():
        if value is not None and attack not in attacks:
            raise typer.BadParameter(f"is for {', '.join(attacks)}, not for {attack}", param_hint=option)


def run_attack(
    attack: str,
    victim: "Callable[[Tensor], Tensor]",
    data: "Data",
    like: "ImageSet",
    scale: "Scale",
    *,
    budget: int | None,
    temperature: float | None,
    strategy: str | None,
    epochs: int | None,
    **student: Any,
) -> "ImageClassifier":
    """Run one of ATTACKS.

    Args:
        attack: which one.
        victim: an `Oracle` or one like it.
        data: the adversary's images.
        like: images of the victim's shape.
        scale: of the adversary.
        budget: queries at most; None for as many as the scale gives the adversary.
        temperature, strategy, epochs: where they are not the attack's own.
        student: network, width and seed of the surrogate.

    Returns:
        The surrogate, in evaluation mode.
    """
    from mea_lib.extraction import data_free, distillation, jacobian, knockoff
    from mea_lib.extraction.foreign import adapt
    from mea_lib.training import adversary_settings

    if attack == "data-free":
        chosen = data_free.DataFreeSettings(**({} if budget is None else {"queries": budget}))
        shape = (like.channels, like.size, like.size)
        return data_free.extract(victim, shape, scale, settings=chosen, **student)
    student |= {"training": adversary_settings(scale).but(epochs=epochs) if epochs else None}
    soft = None if temperature is None else distillation.DistillationSettings(temperature)
    softened = {} if soft is None else {"distillation": soft}
    if attack == "knockoff":
        chosen = knockoff.KnockoffSettings(
            queries=budget or len(data.queries), strategy=strategy or "random", **softened
        )
        pool = adapt(data.adversary, like.channels, like.size)
        return knockoff.extract(victim, pool, scale, settings=chosen, **student)
    queries = adapt(_without_labels(data, budget), like.channels, like.size).images
    if attack == "jacobian":
        chosen = jacobian.JacobianSettings(**softened)
        return jacobian.extract(victim, queries, scale, settings=chosen, **student)
    return distillation.extract(victim, queries, scale, settings=soft, **student)


def _without_labels(data: "Data", number: int | None) -> "ImageSet":
    """The first of the adversary's images; their labels are not theirs to know, and are all 0."""
    from mea_lib.data import ImageSet

    images = data.queries[:number]
    return ImageSet(images, images.new_zeros(len(images)).long(), data.owner.classes, data.name)
