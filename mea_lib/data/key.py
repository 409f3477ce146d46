"""The watermark key: what the owner keeps secret, and commits to before the model is sold."""

import hashlib
import json
import secrets
import unicodedata
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from mea_lib.names import SCHEMES

if TYPE_CHECKING:
    from mea_lib.data.images import ImageSet

Class = str | int
NUMBER_SIGN = "#"


@dataclass(frozen=True)
class WatermarkKey:
    """Two source classes, a target class, a combining scheme, and the seed that draws the images.

    A class is a name (a text, also "3") or a number (a whole number, counted from 0): all three of one kind.

    Attributes:
        sources: the first and the second source class; crop-paste takes the left half of the first.
        target: class that combined images are to be called.
        combine: one of `mea_lib.data.SCHEMES`.
        seed: draws the samples of a verification, so that the owner cannot choose them later.

    Raises:
        TypeError: for a class that is neither a name nor a number, or a seed that is no whole number.
        ValueError: where names and numbers are mixed, two of the classes are equal, a number is negative or
            the scheme is unknown.
    """

    sources: tuple[Class, Class]
    target: Class
    combine: str = "crop-paste"
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.sources, tuple | list):
            raise TypeError(f"the source classes are two, as ('a', 'b'), not {self.sources!r}")
        if len(self.sources) != 2:
            raise ValueError(f"a key has two source classes, not {len(self.sources)}")
        object.__setattr__(self, "sources", tuple(map(_checked_class, self.sources)))
        object.__setattr__(self, "target", _checked_class(self.target))
        if len({type(one) for one in (*self.sources, self.target)}) > 1:
            raise ValueError(
                f"a key has names or numbers of classes, not both: got sources {list(self.sources)} "
                f"and target {self.target!r}; give all three as names"
            )
        if len({*self.sources, self.target}) < 3:
            raise ValueError(
                "the two source classes and the target class must differ; "
                f"got sources {self.sources[0]!r} and {self.sources[1]!r}, target {self.target!r}"
            )
        if self.combine not in SCHEMES:
            raise ValueError(
                f"unknown combining scheme {self.combine!r}; choose one of: {', '.join(SCHEMES)}"
            )
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise TypeError(f"a key's seed is a whole number, not {self.seed!r}")
        if not 0 <= self.seed < 2**62:
            raise ValueError(f"a key's seed lies between 0 and 2^62, not {self.seed}")

    def indices(self, images: "ImageSet") -> tuple[int, int, int]:
        """Numbers of the first source, the second source and the target class in `images`.

        Raises:
            ValueError: for a class that `images` does not have.
        """
        first, second, target = (_number(one, images) for one in (*self.sources, self.target))
        return first, second, target

    def named(self, images: "ImageSet") -> "WatermarkKey":
        """The same key by the names that the classes have in `images`.

        Raises:
            ValueError: for a class that `images` does not have.
        """
        first, second, target = (images.classes[number] for number in self.indices(images))
        return replace(self, sources=(first, second), target=target)

    def to_json(self) -> str:
        """One canonical text of the key: the same key always gives the same bytes."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "WatermarkKey":
        """The key that `to_json` wrote, or a person by hand.

        Raises:
            ValueError: says which member is wrong.
        """
        try:
            fields = json.loads(text, object_pairs_hook=_once)
            if not isinstance(fields, dict):
                raise TypeError(f"it is {type(fields).__name__}, not an object")
            return cls(**fields)
        except (ValueError, TypeError) as error:
            raise ValueError(f"this is not a watermark key as to_json writes it: {error}") from error

    @classmethod
    def from_options(
        cls, sources: tuple[str, str], target: str, combine: str = "crop-paste", seed: int = 0
    ) -> "WatermarkKey":
        """The key of a command line, where every class is a text: "#3" is the class number 3, the rest are names."""
        first, second, last = map(_class_of_option, (*sources, target))
        return cls((first, second), last, combine, seed)

    def commit(self, salt: str) -> str:
        """SHA-256 of the salt and the key, in hexadecimal. `mea_lib.proof.commit` fixes more than the key.

        There are only some thousands of likely keys, so without a long random salt anybody could find the
        key by trying them all.

        Raises:
            ValueError: for a short salt.
        """
        check_salt(salt)
        return hashlib.sha256(f"{salt}\n{self.to_json()}".encode()).hexdigest()


def new_salt() -> str:
    """256 random bits in hexadecimal, from the system's source for secrets."""
    return secrets.token_hex(32)


def check_salt(salt: str) -> None:
    """Raise a ValueError for a salt that could be guessed."""
    if len(salt) < 32:
        raise ValueError(f"the salt has {len(salt)} characters; take at least 32, as new_salt() gives")


def _checked_class(given: Any) -> Class:
    if isinstance(given, str):
        if not given:
            raise ValueError("a class cannot have an empty name")
        return unicodedata.normalize("NFC", given)
    if isinstance(given, bool) or not isinstance(given, int):
        raise TypeError(f"a class is a name or a whole number, not {given!r}")
    if given < 0:
        raise ValueError(f"classes are numbered from 0, so none has the number {given}")
    return given


def _number(given: Class, images: "ImageSet") -> int:
    if isinstance(given, int) and given >= len(images.classes):
        raise ValueError(
            f"{images.name} has no class number {given}: its {len(images.classes)} classes are numbered from 0"
        )
    return images.class_index(given)


def _class_of_option(text: str) -> Class:
    number = text.removeprefix(NUMBER_SIGN)
    return int(number) if number != text and number.isdecimal() else text


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The members of an object, none of which may stand twice."""
    names = [name for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} stands in it twice")
    return dict(pairs)
