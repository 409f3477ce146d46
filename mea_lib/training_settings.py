"""What decides how a model is trained, apart from its data and its losses."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

OPTIMIZERS = ("muon", "adamw", "adam", "sgd")
SCHEDULES = ("one-cycle", "linear", "step", "constant")
CYCLED = (0.85, 0.95)  # the least and the largest momentum of "one-cycle", torch's usual ones


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of one run of the loop.

    Attributes:
        epochs: of the training images; those that fill no batch at an epoch's end, others each time, are left out.
        batch_size: clean images in a step.
        learning_rate: the highest one of the schedule; under muon, of what it leaves to AdamW. `rates_times` changes
            both rates.
        weight_decay: decoupled for adamw and what muon leaves to it, as an L2 term for the others.
        momentum: of sgd, where the schedule is not "one-cycle".
        optimizer: one of OPTIMIZERS; "muon" trains convolutions by `Muon` and the rest by AdamW.
        schedule: "one-cycle" over the whole run, "linear" up in the first tenth and down to zero, "step" (times
            `step_factor` every `step_epochs`), "constant". One cycle also moves every momentum, Adam's first among
            them, from the largest of CYCLED to the least and back, so it takes none that is set.
        muon_rate: the highest learning rate of the convolutions under muon.
        muon_momentum: their Nesterov momentum, where the schedule is not "one-cycle".
        augment: mirror and shift by up to a fourteenth of the width, drawn anew for every image and step.
        seed: of the weights, the order of the images and every other draw.
    """

    epochs: int
    batch_size: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    momentum: float = 0.9
    optimizer: str = "adamw"
    schedule: str = "one-cycle"
    muon_rate: float = 0.1
    muon_momentum: float = 0.6
    step_epochs: int = 10
    step_factor: float = 0.5
    augment: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"unknown optimizer {self.optimizer!r}; choose one of: {', '.join(OPTIMIZERS)}")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"unknown schedule {self.schedule!r}; choose one of: {', '.join(SCHEDULES)}")
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError(
                f"epochs and batch_size must be at least 1, not {self.epochs} and {self.batch_size}"
            )
        if self.step_epochs < 1:
            raise ValueError(f"step_epochs must be at least 1, not {self.step_epochs}")
        if self.schedule == "one-cycle":
            usual = {one.name: one.default for one in fields(self)}
            for name in ("momentum", "muon_momentum"):
                if getattr(self, name) != usual[name]:
                    raise ValueError(
                        f"{name}={getattr(self, name)} has no effect under the schedule 'one-cycle', which moves the "
                        f"momentum between {CYCLED[0]} and {CYCLED[1]}; choose another schedule, or leave it out"
                    )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the recipe of a stored model."""
        return asdict(self)

    def but(self, **changes: Any) -> Self:
        """The same settings with some of them changed."""
        return replace(self, **changes)

    def rates_times(self, factor: float) -> Self:
        """The same settings with every learning rate times `factor`, that of Muon's convolutions among them."""
        return self.but(learning_rate=factor * self.learning_rate, muon_rate=factor * self.muon_rate)
