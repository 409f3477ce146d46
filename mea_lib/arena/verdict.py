"""What the judge finds out about a suspect with a hidden key."""

from dataclasses import dataclass

from mea_lib.arena.stage import Arena
from mea_lib.blackbox import Suspect
from mea_lib.data import WatermarkKey
from mea_lib.proof import verify_ownership, watermark_success_rate


@dataclass(frozen=True)
class Verdict:
    """The WSR of a watermark, and whether there is proof of it.

    Attributes:
        mark: WSR, from 0 to 1. It is measured also where a verification stops before it comes to it.
        proof: whether `verify_ownership` finds proof; where it reaches no verdict there is none.
    """

    mark: float
    proof: bool


def verdict_on(suspect: Suspect, key: WatermarkKey, arena: Arena) -> Verdict:
    """Ask a suspect about one of the arena's hidden keys."""
    samples = arena.scale.verification_samples
    rate = watermark_success_rate(suspect, key, arena.test, samples)
    evidence = verify_ownership(
        suspect, key, arena.test, samples=samples, fewest_samples=samples, clean=arena.checks[key]
    )
    return Verdict(rate.value, evidence.is_stolen)
