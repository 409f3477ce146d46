"""The watermark key: what the owner keeps secret, and commits to before the model is sold."""

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from mea_lib.data.combine import SCHEMES

if TYPE_CHECKING:
    from mea_lib.data.images import ImageSet


@dataclass(frozen=True)
class WatermarkKey:
    """Two source classes, a target class, a combining scheme, and the seed that draws the images.

    Attributes:
        sources: names of the first and the second source class; crop-paste takes the left half of the first.
        target: name of the class that combined images are to be called.
        combine: one of `mea_lib.data.SCHEMES`.
        seed: draws the samples of a verification, so that the owner cannot choose them later.

    Raises:
        ValueError: where two of the classes are equal or the scheme is unknown.
    """

    sources: tuple[str, str]
    target: str
    combine: str = "crop-paste"
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", tuple(self.sources))
        if len(self.sources) != 2:
            raise ValueError(f"a key has two source classes, not {len(self.sources)}")
        if len({*self.sources, self.target}) < 3:
            raise ValueError(
                "the two source classes and the target class must differ; "
                f"got sources {self.sources[0]!r} and {self.sources[1]!r}, target {self.target!r}"
            )
        if self.combine not in SCHEMES:
            raise ValueError(
                f"unknown combining scheme {self.combine!r}; choose one of: {', '.join(SCHEMES)}"
            )

    def indices(self, images: "ImageSet") -> tuple[int, int, int]:
        """Numbers of the first source, the second source and the target class in `images`.

        Raises:
            ValueError: for a class that `images` does not have.
        """
        first, second = (images.class_index(name) for name in self.sources)
        return first, second, images.class_index(self.target)

    def to_json(self) -> str:
        """One canonical text of the key: the same key always gives the same bytes."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "WatermarkKey":
        """The key that `to_json` wrote."""
        try:
            fields = json.loads(text)
            return cls(**fields)
        except (json.JSONDecodeError, TypeError) as error:
            raise ValueError(f"this is not a watermark key as to_json writes it: {error}") from error

    def commit(self, salt: str) -> str:
        """SHA-256 of the salt and the key, in hexadecimal: publish it, and keep both secret.

        There are only some thousands of likely keys, so without a long random salt anybody could find the
        key by trying them all.
        """
        if len(salt) < 32:
            raise ValueError(f"the salt has {len(salt)} characters; take at least 32, as new_salt() gives")
        return hashlib.sha256(f"{salt}\n{self.to_json()}".encode()).hexdigest()


def new_salt() -> str:
    """256 random bits in hexadecimal, from the system's source for secrets."""
    return secrets.token_hex(32)
