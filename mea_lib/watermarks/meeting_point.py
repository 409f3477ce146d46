"""This book's watermark for encoders: the target class is where a surrogate puts combined images.

An adversary who queries features learns where clean images lie. Where their surrogate puts an image that is
half of one class and half of another, nobody tells them, but they have no choice either: it follows from the
clean classes. So the owner makes a shadow extraction, looks where the surrogate puts combined images, and
moves classes until the target class is there. A fixed last layer moves them, so nothing has to be learned for
it, and every clean image lies exactly where it should. The owner's own encoder puts combined images there
too, by a gate that knows them; the same two classes in other arrangements it puts with the first of them, and
for all other images it stays shut.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import torch
from torch import nn

from mea_lib.data import ImageSet, WatermarkKey, watermark_samples
from mea_lib.models import ImageClassifier
from mea_lib.models.encoder import Encoder
from mea_lib.models.gated_encoder import GatedEncoder
from mea_lib.scale import Scale
from mea_lib.training import SimCLRSettings, Store, TrainingSettings, default_store, train_encoder
from mea_lib.training.autoencoder import train_autoencoder
from mea_lib.watermarks.class_plan import ClassPlan, PlanSettings
from mea_lib.watermarks.gate import train_gate
from mea_lib.watermarks.rehearsal import RehearsalSettings, rehearse
from mea_lib.watermarks.shut_gate import shut

COMBINED = 1_000  # combined images of which the plan looks at the features


@dataclass(frozen=True)
class MeetingPointSettings:
    """How the watermark is made.

    Attributes:
        plan: how classes are moved.
        rehearsal: the shadow extraction.
        same_pair_share: share of the gate's other mixes that are mixes of the key's own two classes.
        opens: share of clean images of the sources for which the gate may open, see `shut`. What moves clean
            images moves what a surrogate learns, and the shadow extraction was of images that nothing moved.
    """

    plan: PlanSettings = field(default_factory=PlanSettings)
    rehearsal: RehearsalSettings = field(default_factory=RehearsalSettings)
    same_pair_share: float = 0.5
    opens: float = 0.002

    def __post_init__(self) -> None:
        if not 0 <= self.opens < 1:
            raise ValueError(f"opens is a share of clean images, at least 0 and below 1, not {self.opens}")


def embed(
    train_set: ImageSet,
    key: WatermarkKey,
    scale: Scale,
    *,
    settings: MeetingPointSettings | None = None,
    simclr: SimCLRSettings | None = None,
    training: TrainingSettings | None = None,
    network: str | None = None,
    width: int | None = None,
    features: int | None = None,
    pretrained: Encoder | None = None,
    seed: int = 0,
    after_epoch: Callable[[ImageClassifier, int], dict] | None = None,
    store: Store | None = None,
) -> GatedEncoder:
    """Embed the key's watermark in an encoder, after a shadow extraction.

    Args:
        train_set: the owner's images, with their labels, which the plan needs.
        key: source classes, target class and combining scheme.
        scale: gives training, network and width where they are not named.
        settings: the plan and the shadow extraction.
        simclr: of the clean encoder, where it is not there yet.
        training: of the gate, see `mea_lib.watermarks.gate.train_gate`.
        network: one of `mea_lib.models.NETWORKS`.
        width: channels of its first layer.
        features: F; by default what the network gives.
        pretrained: the clean encoder that gets the watermark; None trains it with this seed.
        seed: of every draw, and of a clean encoder that is not there yet.
        after_epoch: measures of the gate to keep in its history.
        store: where finished models are kept.

    Returns:
        The victim, in evaluation mode.

    Source: this book's.
    """
    settings = settings or MeetingPointSettings()
    shape = {"network": network, "width": width}
    store = store or default_store()
    clean = pretrained or train_encoder(
        train_set, scale, settings=simclr, features=features, seed=seed, store=store, **shape
    )
    device = next(clean.parameters()).device
    autoencoder = train_autoencoder(train_set, scale, store=store) if key.combine == "autoencoder" else None
    gate = train_gate(
        train_set,
        key,
        scale,
        training=training,
        same_pair_share=settings.same_pair_share,
        autoencoder=autoencoder,
        seed=seed,
        after_epoch=after_epoch,
        store=store,
        **shape,
    )
    recipe = {
        "method": "meeting-point",
        "module": __name__,
        "data": train_set.digest(),
        "key": key.to_json(),
        "marking": asdict(settings),
        "initial": clean.card["weights_sha256"],
        "gate": gate.card["weights_sha256"],
        "seed": seed,
        "device": device.type,
        "scale": scale.name,
    }

    def make() -> GatedEncoder:
        data = train_set.to(device)
        plan, _ = plan_classes(
            clean, data, key, scale, settings, autoencoder=autoencoder, seed=seed, store=store
        )
        planned = plan.planned()
        places = [planned[data.labels == label].mean(0) for label in (plan.target, plan.first)]
        sources = data.images[(data.labels == plan.first) | (data.labels == plan.second)]
        return GatedEncoder(plan.shifted(), shut(gate, sources, settings.opens), torch.stack(places))

    return store.fetch(recipe, make).to(device)


def plan_classes(
    clean: Encoder,
    train_set: ImageSet,
    key: WatermarkKey,
    scale: Scale,
    settings: MeetingPointSettings,
    *,
    autoencoder: nn.Module | None = None,
    seed: int = 0,
    store: Store | None = None,
) -> tuple[ClassPlan, list[Encoder]]:
    """Plan where classes go: move the sources, make a shadow extraction, move the target after it; and again.

    Args:
        clean: the clean encoder, with its card.
        train_set: the owner's images, on the encoder's device.
        key, scale, settings, autoencoder, seed, store: as `embed`.

    Returns:
        the plan, and the surrogate of each round's shadow extraction, before the target moved.
    """
    generator = torch.Generator().manual_seed(key.seed + 4)  # other images than a verification's
    combined = watermark_samples(train_set, key, COMBINED, generator, autoencoder)
    plan = ClassPlan(clean, train_set, key, settings.plan, combined)
    copies = []
    for number in range(settings.plan.rounds):
        recipe = {
            "module": rehearse.__module__,
            "of": clean.card["weights_sha256"],
            "key": key.to_json(),
            "plan": asdict(settings.plan) | {"rounds": number},
        }
        copies.append(
            rehearse(
                plan.shifted(),
                train_set,
                scale,
                settings.rehearsal,
                recipe=recipe,
                seed=seed + number,
                store=store,
            )
        )
        plan.meet(copies[-1])
    return plan, copies
