"""What the judge finds out about a suspect with a hidden key."""

from dataclasses import dataclass

from mea_lib.arena.contest import Contest
from mea_lib.blackbox import Suspect
from mea_lib.data import WatermarkKey
from mea_lib.proof import Plan, verify_ownership, watermark_success_rate


@dataclass(frozen=True)
class Verdict:
    """The WSR of a watermark, and whether there is proof of it.

    Attributes:
        wsr: from 0 to 1. It is measured also where a verification stops before it comes to it.
        proof: whether `verify_ownership` finds proof; where it reaches no verdict there is none.
        missing: what a proof would need and does not have, in words; nothing where there is proof.
    """

    wsr: float
    proof: bool
    missing: tuple[str, ...] = ()


def verdict_on(suspect: Suspect, key: WatermarkKey, contest: Contest) -> Verdict:
    """Query a suspect about one of the contest's hidden keys."""
    samples, test = contest.scale.verification_samples, contest.test
    wsr = watermark_success_rate(suspect, key, test, samples)
    plan = Plan(samples, fewest_samples=samples)
    evidence = verify_ownership(suspect, key, test, plan=plan, clean=contest.checks[key])
    # Why there is no verdict names classes of the key, which the table must not.
    missing = evidence.missing if evidence.is_decided else ["no verdict is reached"]
    return Verdict(wsr.value, evidence.is_stolen, tuple(missing))
