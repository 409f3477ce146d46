"""What was read: where from, how many images of each class, what was done to them, what was left out."""

import logging
from dataclasses import dataclass, field, replace
from functools import cache

from mea_lib.data.images import ImageSet

NAMED = 3  # files named for each decision

_log = logging.getLogger("mea_lib.data")


@dataclass
class Tally:
    """Something that happened to some files: what, how often, and the first of them."""

    what: str
    number: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, file: str) -> None:
        """Count one more."""
        self.number += 1
        if len(self.first) < NAMED:
            self.first.append(file)

    @classmethod
    def count(cls, tallies: dict[str, "Tally"], what: str, file: str) -> None:
        """Count one more in the tally of this name."""
        tallies.setdefault(what, cls(what)).add(file)

    def __str__(self) -> str:
        named = ", ".join(self.first) + (", …" if self.number > len(self.first) else "")
        return f"{self.what}: {self.number:,}" + (f" ({named})" if self.first else "")


@dataclass(frozen=True)
class Part:
    """One part of a data set.

    Attributes:
        name: "train", "test" or "pool".
        classes: names and numbers of images; empty for images without labels.
        number: of images.
    """

    name: str
    classes: tuple[tuple[str, int], ...]
    number: int

    @classmethod
    def of(cls, name: str, images: ImageSet) -> "Part":
        """Count the images of a set."""
        return cls(name, tuple(zip(images.classes, images.by_class[1].tolist(), strict=True)), len(images))

    def __str__(self) -> str:
        named = ", ".join(f"{name} {number:,}" for name, number in self.classes)
        return f"{self.name}: {self.number:,} images" + (f" ({named})" if named else "")


@dataclass(frozen=True)
class Reading:
    """The summary of what was read.

    Attributes:
        source: where the images came from, in words.
        parts: how many images of each class there are in each part.
        channels: 1 or 3.
        size: height and width in pixels.
        done: what was done to images beside reading them, such as turning them upright.
        left_out: files and folders that were not read, by reason.
    """

    source: str
    parts: tuple[Part, ...]
    channels: int
    size: int
    done: tuple[Tally, ...] = ()
    left_out: tuple[Tally, ...] = ()

    def describe(self) -> str:
        """The summary in a few lines."""
        lines = [self.source, *(f"  {part}" for part in self.parts)]
        lines.append(f"  {self.size}×{self.size} pixels, {'grey' if self.channels == 1 else 'RGB'}")
        lines += [f"  {tally}" for tally in self.done]
        lines += [f"  left out, {tally}" for tally in self.left_out]
        return "\n".join(lines)

    def in_a_line(self) -> str:
        """Source, numbers and shape in one line."""
        numbers = " + ".join(f"{part.number:,}" for part in self.parts)
        kind = "grey" if self.channels == 1 else "RGB"
        return f"{self.source}, {numbers} images of {self.size}×{self.size} pixels, {kind}"

    def beside(self, other: "Reading") -> "Reading":
        """The summary of both, which have one shape."""
        return replace(
            self,
            source=f"{self.source}; {other.source}",
            parts=self.parts + other.parts,
            done=self.done + other.done,
            left_out=self.left_out + other.left_out,
        )

    def say(self) -> None:
        """Log the summary once a process: as a warning where anything was changed or left out."""
        _say_once(self.describe(), logging.WARNING if self.done or self.left_out else logging.INFO)


@dataclass(frozen=True)
class Parts:
    """A data set as it was read, before its three parties are drawn."""

    train: ImageSet
    test: ImageSet
    read: Reading

    @classmethod
    def of(cls, train: ImageSet, test: ImageSet, source: str, **tallies: tuple[Tally, ...]) -> "Parts":
        """Two sets with their summary; `tallies` are `done` and `left_out`."""
        parts = (Part.of("train", train), Part.of("test", test))
        return cls(train, test, Reading(source, parts, train.channels, train.size, **tallies))


@cache
def _say_once(text: str, level: int) -> None:
    _log.log(level, text)
