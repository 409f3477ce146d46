"""What decides how a model is trained, apart from its data and its losses."""

from dataclasses import asdict, dataclass, replace

from mea_lib.scale import Scale

OPTIMIZERS = ("adamw", "adam", "sgd")
SCHEDULES = ("one-cycle", "step", "constant")


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of one run of the loop.

    Attributes:
        epochs: passes over the images.
        batch_size: clean images in a step.
        learning_rate: the highest one of the schedule.
        weight_decay: decoupled for adamw, as an L2 term for the others.
        momentum: of sgd only.
        optimizer: one of OPTIMIZERS.
        schedule: "one-cycle" over the whole run, "step" (times `step_factor` every `step_epochs`), "constant".
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

    def to_dict(self) -> dict:
        """Plain values, for the recipe of a stored model."""
        return asdict(self)

    def but(self, **changes) -> "TrainingSettings":
        """The same settings with some of them changed."""
        return replace(self, **changes)


def owner_settings(scale: Scale, seed: int = 0) -> TrainingSettings:
    """How an owner trains at this scale."""
    return TrainingSettings(scale.epochs, scale.batch_size, scale.learning_rate, seed=seed)


def ablation_settings(scale: Scale, seed: int = 0) -> TrainingSettings:
    """How the many small victims of a comparison are trained at this scale."""
    return TrainingSettings(scale.ablation_epochs, scale.batch_size, scale.learning_rate, seed=seed)


def thief_settings(scale: Scale, seed: int = 0) -> TrainingSettings:
    """How a thief trains at this scale."""
    return TrainingSettings(scale.extract_epochs, scale.batch_size, scale.learning_rate, seed=seed)
