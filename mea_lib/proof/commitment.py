"""A commitment: the owner fixes the key before the model is released, and shows it only in a dispute.

Without it anybody can claim a model, with mixes or perturbed images chosen after seeing what it answers (Liu et
al., False Claims against Model Ownership Resolution, USENIX Security 2024).
"""

import hashlib
import hmac
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import nn

from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.files import write_whole
from mea_lib.proof.threshold import PAPER_THRESHOLD
from mea_lib.training.store import packed_weights


@dataclass(frozen=True)
class Commitment:
    """What is published, or left with a notary, before the model is sold.

    Attributes:
        digest: SHA-256 of salt and key.
        samples: how many watermark samples will be asked.
        threshold: success rate that must be exceeded.
        test_digest: SHA-256 of the source images the samples are drawn from.
        autoencoder_digest: SHA-256 of salt and the weights of the autoencoder that blends; of the salt alone
            for the other schemes, so that the scheme stays secret.
        date: when it was made, as the owner says it. A date that others believe comes from whoever keeps it.

    Raises:
        ValueError: for a plan that decides nothing: no samples, or a threshold that is 0, 1 or beyond.
    """

    digest: str
    samples: int
    threshold: float
    test_digest: str
    autoencoder_digest: str
    date: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.samples, int) or self.samples < 1:
            raise ValueError(f"samples must be a whole number, at least 1, not {self.samples!r}")
        if not isinstance(self.threshold, int | float) or not 0 < self.threshold < 1:
            raise ValueError(f"the threshold must lie between 0 and 1, not {self.threshold!r}")

    def save(self, path: str | Path) -> None:
        """Write it as JSON, whole or not at all."""
        write_whole(Path(path), self.to_json().encode())

    def to_json(self) -> str:
        """What `save` writes."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def read(cls, path: str | Path) -> "Commitment":
        """Read what `save` wrote."""
        try:
            return cls(**json.loads(Path(path).read_text()))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path} is not a commitment as save() writes it: {error}") from error


def commit(
    key: WatermarkKey,
    salt: str,
    test: ImageSet,
    samples: int = 1_000,
    threshold: float = PAPER_THRESHOLD,
    *,
    autoencoder: nn.Module | None = None,
    date: str | None = None,
) -> Commitment:
    """Fix the key and how it will be verified; keep key and salt secret, publish the result.

    Args:
        key: what will be verified.
        salt: as `mea_lib.data.new_salt` gives.
        test: the source images the samples will be drawn from.
        samples: how many will be asked.
        threshold: success rate that must be exceeded.
        autoencoder: for keys whose scheme is "autoencoder". Whoever may choose it afterwards can turn every
            sample into an image of the target class.
        date: written into the commitment.
    """
    if key.combine == "autoencoder" and autoencoder is None:
        raise ValueError("a key whose scheme is 'autoencoder' is committed with it; pass autoencoder=…")
    digest = _autoencoder_digest(key, salt, autoencoder)
    return Commitment(key.commit(salt), samples, threshold, test.digest(), digest, date)


def open_commitment(
    commitment: Commitment,
    key: WatermarkKey,
    salt: str,
    test: ImageSet,
    autoencoder: nn.Module | None = None,
) -> None:
    """Check that this key, these images and this autoencoder are what was committed to.

    Raises:
        ValueError: when they are not.
    """
    if not hmac.compare_digest(key.commit(salt), commitment.digest):
        raise ValueError(
            "this key and salt do not match the commitment, so they prove nothing; "
            "open it with the key and salt it was made from"
        )
    if test.digest() != commitment.test_digest:
        raise ValueError("the source images are not those that were committed to; use the same test set")
    if _autoencoder_digest(key, salt, autoencoder) != commitment.autoencoder_digest:
        raise ValueError(
            "the autoencoder is not the one that was committed to; pass that one as autoencoder=…"
        )


def _autoencoder_digest(key: WatermarkKey, salt: str, autoencoder: nn.Module | None) -> str:
    content = b""
    if key.combine == "autoencoder" and autoencoder is not None:
        content = packed_weights(autoencoder)
    return hashlib.sha256(salt.encode() + b"\n" + content).hexdigest()
