"""A commitment: the owner fixes the key before the model is released, and shows it only in a dispute.

Without it anybody can claim a model, with mixes or perturbed images chosen after seeing what it answers (Liu et
al., False Claims against Model Ownership Resolution, USENIX Security 2024). It must be the owner's only one for this
model: who publishes one for every key opens the one that a suspect obeys. A salted digest does not show that several
belong together, so whoever keeps commitments counts those of an owner, and with m of them the p-value of the key's rank
is m times as large.
"""

import hashlib
import hmac
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from torch import nn

from mea_lib.blackbox.named_class import Suspect
from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.data.key import check_salt
from mea_lib.files import read_json, write_whole
from mea_lib.proof.key_check import KeyCheck, checked_key
from mea_lib.proof.key_rank import MIXES, NULL_BOUND, PAIRS
from mea_lib.proof.plan import FEWEST_SAMPLES, Plan, check_samples
from mea_lib.proof.samples import distinct_samples
from mea_lib.proof.task import EACH
from mea_lib.training.store import packed_weights

FORMAT = 2
# The way of testing, by name and numbers; another version of it is another promise.
PROCEDURE = (
    f"key-rank-1: knows the task ({EACH} clean images a class), binomial over distinct samples, rank among the keys "
    f"that no innocent model obeys ({MIXES} mixes a pair, {PAIRS} pairs, bound {NULL_BOUND:g})"
)


@dataclass(frozen=True)
class Commitment:
    """What is published, or left with a notary, before the model is sold.

    Attributes:
        digest: SHA-256 of the salt, the key and everything below.
        samples: how many watermark samples will be sent.
        threshold: WSR that must be exceeded.
        alpha: level of the test.
        arrangement: whether the key claims its own arrangement, so that others must not do as well.
        procedure: the way of testing, named and numbered.
        test_digest: SHA-256 of the source images the samples are drawn from.
        classes: names of the data set's classes, in its order.
        autoencoder_digest: SHA-256 of salt and the weights of the autoencoder that blends; of the salt alone
            for the other schemes, so that the scheme stays secret.
        version: of mea_lib, which draws the samples.
        date: when it was made, as the owner says it. A date that others believe comes from whoever keeps it.
        format: of this file.

    Raises:
        ValueError: for a plan that decides nothing, or another format.
    """

    digest: str
    samples: int
    threshold: float
    alpha: float
    arrangement: bool
    procedure: str
    test_digest: str
    classes: tuple[str, ...]
    autoencoder_digest: str
    version: str
    date: str | None = None
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ValueError(f"its format is {self.format!r}, not {FORMAT}; commit anew with this version")
        object.__setattr__(self, "classes", tuple(self.classes))
        texts = (self.digest, self.procedure, self.test_digest, self.autoencoder_digest, self.version)
        for text in (*texts, *self.classes):
            if not isinstance(text, str):
                raise ValueError(f"digests, procedure, version and classes are text, not {text!r}")
        if isinstance(self.samples, bool) or not isinstance(self.samples, int) or self.samples < 1:
            raise ValueError(f"samples must be a whole number, at least 1, not {self.samples!r}")
        for name, share in (("threshold", self.threshold), ("alpha", self.alpha)):
            if not isinstance(share, int | float) or not 0 < share < 1:
                raise ValueError(f"the {name} must lie between 0 and 1, not {share!r}")

    def save(self, path: str | Path) -> None:
        """Write it as JSON, whole or not at all."""
        write_whole(Path(path), self.to_json().encode())

    def to_json(self) -> str:
        """What `save` writes."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)

    def opened_with(self, salt: str, fewest_samples: int = FEWEST_SAMPLES) -> "Opening":
        """The commitment with its salt: pass it to a verification as its plan.

        Args:
            salt: that it was made with.
            fewest_samples: as in `Plan`; it is no part of the commitment.
        """
        return Opening(self, salt, fewest_samples)

    @classmethod
    def read(cls, path: str | Path) -> "Commitment":
        """Read what `save` wrote.

        Raises:
            ValueError: for a file that is none, or of an older version, which fixed the key alone.
        """
        try:
            content = read_json(path)
            if isinstance(content, dict) and "test_digest" in content and "format" not in content:
                raise ValueError(
                    "an older version wrote it, whose digest holds the key alone; commit anew with this version"
                )
            return cls(**content)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path} is not a commitment as save() writes it: {error}") from error


@dataclass(frozen=True)
class Opening:
    """A commitment and the salt that opens it; made by `Commitment.opened_with`."""

    commitment: Commitment
    salt: str
    fewest_samples: int = FEWEST_SAMPLES

    def plan(self, key: WatermarkKey, test: ImageSet, autoencoder: nn.Module | None = None) -> Plan:
        """The plan that was committed to, for the key and images that were committed to.

        Raises:
            ValueError: when they are others.
        """
        promised = self.commitment
        open_commitment(promised, key, self.salt, test, autoencoder)
        return Plan(
            promised.samples, self.fewest_samples, promised.threshold, promised.alpha, promised.arrangement
        )


def agreed_plan(
    plan: Plan | Opening, key: WatermarkKey, test: ImageSet, autoencoder: nn.Module | None = None
) -> tuple[Plan, str | None]:
    """The plan of a verification, and the digest of the commitment that it was opened from; None where there is none.

    Raises:
        ValueError: for a key that does not match the commitment, or a commitment without its salt.
    """
    if isinstance(plan, Commitment):
        raise ValueError(
            "a commitment can only be opened with its salt; pass plan=commitment.opened_with(salt)"
        )
    if isinstance(plan, Opening):
        return plan.plan(key, test, autoencoder), plan.commitment.digest
    return plan, None


def commit(
    key: WatermarkKey,
    salt: str,
    test: ImageSet,
    plan: Plan = Plan(),
    *,
    clean: Sequence[Suspect] | KeyCheck = (),
    autoencoder: nn.Module | None = None,
    date: str | None = None,
) -> Commitment:
    """Fix the key and how it will be verified; keep key and salt secret, publish the result.

    Args:
        key: what will be verified.
        salt: as `mea_lib.data.new_salt` gives.
        test: the source images the samples will be drawn from.
        plan: how a suspect will be tested.
        clean: models of the same task without a watermark, on which the key is measured; or what `check_key` found.
        autoencoder: for keys whose scheme is "autoencoder". Whoever may choose it afterwards can turn every
            sample into an image of the target class.
        date: written into the commitment.

    Raises:
        ValueError: for a key that a null model obeys, a missing autoencoder, or fewer images than a verdict takes.
    """
    check_salt(salt)
    if key.combine == "autoencoder" and autoencoder is None:
        raise ValueError("a key whose scheme is 'autoencoder' is committed with it; pass autoencoder=…")
    made = Commitment(
        digest="",
        samples=plan.samples,
        threshold=plan.threshold,
        alpha=plan.alpha,
        arrangement=plan.arrangement,
        procedure=PROCEDURE,
        test_digest=test.digest(),
        classes=test.classes,
        autoencoder_digest=_autoencoder_digest(key, salt, autoencoder),
        version=sys.modules["mea_lib"].__version__,
        date=date,
    )
    too_few = check_samples(distinct_samples(test, key, plan.samples, autoencoder), plan)
    if too_few is not None:
        raise ValueError(f"no verification by this commitment could end with a verdict: {too_few}")
    checked = checked_key(clean, key, test, samples=plan.samples, autoencoder=autoencoder)
    if not checked.is_admissible:
        raise ValueError(checked.reason)
    return Commitment(**_values(made) | {"digest": _digest(made, key.named(test), salt)})


def open_commitment(
    commitment: Commitment,
    key: WatermarkKey,
    salt: str,
    test: ImageSet,
    autoencoder: nn.Module | None = None,
) -> None:
    """Check that this key, these images, this autoencoder and this plan are what was committed to.

    Raises:
        ValueError: when they are not.
    """
    if commitment.classes != test.classes:
        raise ValueError(
            f"the classes of {test.name} are not those that were committed to, or stand in another order"
        )
    found, promised = _digest(commitment, key.named(test), salt), commitment.digest
    # As bytes: a text that is not ASCII cannot be compared so, and a file may hold any.
    if not hmac.compare_digest(found.encode(), promised.encode(errors="backslashreplace")):
        raise ValueError(
            "this key, salt and plan do not match the commitment, so they prove nothing; open it with the key and "
            "salt it was made from, and leave its file as it was written"
        )
    if test.digest() != commitment.test_digest:
        raise ValueError("the source images are not those that were committed to; use the same test set")
    if _autoencoder_digest(key, salt, autoencoder) != commitment.autoencoder_digest:
        raise ValueError(
            "the autoencoder is not the one that was committed to; pass that one as autoencoder=…"
        )
    if commitment.procedure != PROCEDURE:
        raise ValueError(
            f"it was committed to another way of testing ({commitment.procedure}); verify with mea_lib {commitment.version}"
        )


def _digest(commitment: Commitment, key: WatermarkKey, salt: str) -> str:
    """SHA-256 of the salt and one canonical text of the key and all that is promised."""
    promised = _values(commitment) | {"digest": None, "key": json.loads(key.to_json())}
    text = json.dumps(promised, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(f"{salt}\n{text}".encode()).hexdigest()


def _values(commitment: Commitment) -> dict:
    return {field.name: getattr(commitment, field.name) for field in fields(commitment)}


def _autoencoder_digest(key: WatermarkKey, salt: str, autoencoder: nn.Module | None) -> str:
    content = b""
    if key.combine == "autoencoder" and autoencoder is not None:
        content = packed_weights(autoencoder)
    return hashlib.sha256(salt.encode() + b"\n" + content).hexdigest()
