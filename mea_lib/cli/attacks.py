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
    budget: int | None = None,
    **fields: Any,
) -> "ImageClassifier":
    """Run one of ATTACKS.

    Args:
        attack: which one.
        victim: an `Oracle` or one like it.
        data: the adversary's images.
        like: images of the victim's shape.
        scale: of the adversary.
        seed: of what is drawn.
        budget: queries at most.
        fields: of the attack's class; None for its own default.

    Returns:
        The surrogate, in evaluation mode.
    """
    from mea_lib.data.resize import to_form
    from mea_lib.extraction import DataFree, Distillation, Jacobian, Knockoff
    from mea_lib.extraction.foreign import adapt

    fields = {name: value for name, value in fields.items() if value is not None}
    if attack == "data-free":
        method = DataFree(**fields | ({"queries": budget} if budget else {}))
        queries = like.images[:0]
    elif attack == "knockoff":
        method = Knockoff(queries=budget or len(data.queries), **fields)
        if data.pool is None:
            queries = adapt(data.adversary, like.channels, like.size)
        else:
            queries = to_form(data.pool, like.channels, like.size)
    else:
        method = {"jacobian": Jacobian, "distillation": Distillation}[attack](**fields)
        queries = to_form(data.queries[:budget], like.channels, like.size)
    return method.extract(victim, queries, scale, seed=seed)
