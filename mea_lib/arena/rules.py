"""The rules of a contest: what everybody who enters it knows beforehand."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rules:
    """How many models an entry meets, and what it may cost.

    Attributes:
        keys: hidden keys, and so watermarked models.
        surrogates: whether a removal also meets a surrogate of each watermarked model, extracted with soft labels.
        clean: models without a watermark. A removal must not spoil them, and a defence is compared with them.
        decoys: further hidden keys, with which a defence's models are verified although they were never given
            them; none shares its target and a source class with a key that a model carries.
        images: of the adversary, without labels.
        points: percentage points of accuracy that may be lost on any one model; beyond, an entry is disqualified.
        seconds: that an entry may take for one model, where it runs in a process of its own and can be ended.

    Raises:
        ValueError: where a contest could not be decided.
    """

    keys: int = 3
    clean: int = 1
    decoys: int = 2
    images: int = 10_000
    points: float = 5.0
    seconds: float = 600.0
    surrogates: bool = False

    def __post_init__(self) -> None:
        if min(self.keys, self.clean, self.decoys, self.images) < 1 or min(self.points, self.seconds) <= 0:
            raise ValueError(
                "keys, clean, decoys and images must be at least 1, points and seconds above 0; got "
                f"{self.keys}, {self.clean}, {self.decoys}, {self.images}, {self.points:g} and {self.seconds:g}"
            )
