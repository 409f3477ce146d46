"""What `mea extract --attack` runs: each attack on the images it needs, in the shape that the victim takes."""

from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from mea_lib.blackbox import Suspect
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
    victim: "Suspect",
    data: "Data",
    like: "ImageSet",
    scale: "Scale",
    *,
    seed: int,
    **chosen: Any,
) -> "ImageClassifier":
    """Run one of ATTACKS.

    Args:
        attack: which one.
        victim: an `Oracle` or one like it.
        data: the adversary's images.
        like: images of the victim's shape.
        scale: of the adversary.
        seed: of what is drawn.
        chosen: budget, temperature and strategy, where they are not None.

    Returns:
        The surrogate, in evaluation mode.
    """
    from mea_lib.extraction import DataFree, Distillation, Jacobian, Knockoff
    from mea_lib.extraction.foreign import adapt

    chosen = {name: value for name, value in chosen.items() if value is not None}
    budget = chosen.pop("budget", None)
    if attack == "data-free":
        method = DataFree(**({} if budget is None else {"queries": budget}))
        return method.extract(victim, like.images[:0], scale, seed=seed)
    if attack == "knockoff":
        method, own = Knockoff(queries=budget or len(data.queries), **chosen), data.adversary
    else:
        method = {"jacobian": Jacobian, "distillation": Distillation}[attack](**chosen)
        own = _without_labels(data, budget)
    return method.extract(victim, adapt(own, like.channels, like.size), scale, seed=seed)


def _without_labels(data: "Data", number: int | None) -> "ImageSet":
    """The first of the adversary's images; their labels are not theirs to know, and are all 0."""
    from mea_lib.data import ImageSet

    images = data.queries[:number]
    return ImageSet(images, images.new_zeros(len(images)).long(), data.owner.classes, data.name)
