"""Black-box verification of a suspect."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from mea_lib.blackbox.named_class import Suspect, most_probable
from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.proof.class_names import at_the_door
from mea_lib.proof.commitment import Opening, agreed_plan
from mea_lib.proof.dependence import effective_rate
from mea_lib.proof.evidence import Evidence
from mea_lib.proof.key_check import KeyCheck, checked_key
from mea_lib.proof.key_rank import canonical_pair, pair_shares, rank_key
from mea_lib.proof.plan import Plan, check_budget, check_samples
from mea_lib.proof.planned_queries import planned_queries
from mea_lib.proof.rates import Rate, target_rate
from mea_lib.proof.report import sent_so_far
from mea_lib.proof.samples import Mixes, distinct_samples
from mea_lib.proof.task import check_task


def verify_ownership(
    suspect: Callable[[Tensor], Tensor],
    key: WatermarkKey,
    test: ImageSet,
    *,
    plan: Plan | Opening = Plan(),
    clean: Sequence[Suspect] | KeyCheck = (),
    autoencoder: nn.Module | None = None,
) -> Evidence:
    """Query a suspect for the watermark and weigh the answers.

    1. Null models are queried first: a forest on the pixels of `test`, and the clean models. A key that one of
       them obeys proves nothing.
    2. The suspect is sent clean images of every class. One that does not know the task gets no verdict.
    3. It is sent different watermark samples, drawn by the key's own seed from images that were fixed beforehand,
       so the owner has no choice among them. Does the true rate exceed the threshold? (Binomial, one-sided, of as
       many samples as they are worth where they share source images.)
    4. It is sent a few mixes of every pair of classes. Does it obey the owner's key more than those the
       owner might have drawn as well? (`key_rank`. The test has level alpha for a key that was drawn at
       random and committed to. For one that the owner searched for, pass clean models.)
    5. It is sent mixes of the same classes arranged otherwise, and clean images of them.

    A suspect may be a `RemoteOracle`, and not answer every query. A watermark sample without an answer counts
    as not the target, so silence can only weaken the accusation. Silence does not clear the suspect either:
    with fewer answers than the plan's `fewest_samples` the evidence says "no verdict", unless there is proof all the
    same. Send such a suspect some more samples than are needed.

    Args:
        suspect: (N, C, H, W) uint8 images → (N, K) answers, of which only the largest counts, where it is
            alone; a row with NaN is no answer. Usually an `Oracle` or a `RemoteOracle`. Where it has them,
            its `classes` are compared with those of `test` by name, its `remaining` limits the queries,
            `cost(*images)` says how many of them it has still to send, and `describe()` and `failures` go to
            the evidence.
        key: source classes, target class, scheme and seed.
        test: the source images.
        plan: how it is tested; or what the owner published beforehand, `commitment.opened_with(salt)`, which the key
            must open.
        clean: models of the same task, trained without the owner's; or what `check_key` found on them. A handful
            brings keys that were searched for near the level (results/level_study.json).
        autoencoder: for keys whose scheme is "autoencoder".

    Returns:
        the evidence; print it, or `save` it.

    Raises:
        ValueError: for a key that does not match the commitment, or a clean model that does not know the task.
        BudgetSpent: when the suspect's budget does not cover the whole verification; then no query is sent.

    Source: MEA-Defender (S&P 2024), Sec. V-A and App. A; interval, tests and commitment are this book's.
    """
    plan, committed = agreed_plan(plan, key, test, autoencoder)
    key, suspect = key.named(test), at_the_door(suspect, test.classes)
    failures_before, sent_before = Counter(suspect.failures), sent_so_far(suspect)
    watermark = distinct_samples(test, key, plan.samples, autoencoder)
    outcome: dict[str, Any] = {"stopped": check_samples(watermark, plan)}
    if outcome["stopped"] is None:
        checked = checked_key(clean, key, test, samples=plan.samples, autoencoder=autoencoder)
        outcome = _query(suspect, key, test, plan, watermark, checked)
    sent = sent_so_far(suspect)
    return Evidence(
        key=key,
        threshold=plan.threshold,
        alpha=plan.alpha,
        fewest_samples=plan.fewest_samples,
        arrangement=plan.arrangement,
        commitment=committed,
        suspect=suspect.describe() or None,
        failures=dict(Counter(suspect.failures) - failures_before),
        queries_now=sent - sent_before if sent is not None and sent_before is not None else None,
        **outcome,
    )


def _query(
    suspect: Suspect, key: WatermarkKey, test: ImageSet, plan: Plan, watermark: Mixes, checked: KeyCheck
) -> dict[str, Any]:
    """What the suspect says, as members of the evidence; it is queried no further where nothing can follow."""
    outcome: dict[str, Any] = {"null_models": (checked.forest, *checked.clean)}
    stopped = checked.reason or _too_few_keys(checked, plan)
    if stopped:
        return outcome | {"stopped": stopped}
    planned = planned_queries(key, test, plan.samples, checked, watermark)
    queries = sum(map(len, planned.images))
    what = f"a verdict on {len(watermark)} samples"
    check_budget(suspect, queries, lambda: planned.images, what, "ask for fewer samples")
    task = check_task(suspect, key, test)
    outcome |= {"task": task, "queries": task.queries}
    if task.reason:
        return outcome | {"stopped": task.reason}
    first, second, target = key.indices(test)
    wsr, effective = _success(suspect, watermark, target)
    shares = pair_shares(suspect, checked.pairs, planned.family, len(test.classes))
    forest, *clean = checked.shares
    rank = rank_key(shares, forest, clean, canonical_pair((first, second), key.combine), target)
    return outcome | {
        "wsr": wsr,
        "effective": effective,
        "rank": rank,
        "wfpr": {way: target_rate(suspect, mixes.images, target) for way, mixes in planned.ways.items()},
        "control": target_rate(suspect, planned.control, target),
        "queries": queries,
    }


def _success(suspect: Suspect, watermark: Mixes, target: int) -> tuple[Rate, Rate]:
    """The WSR over samples, and over as many as they are worth."""
    answers = suspect(watermark.images)
    unanswered = answers.isnan().any(1)
    hits = (most_probable(answers) == target) & ~unanswered
    rate = Rate(int(hits.sum()), len(watermark), int(unanswered.sum()))
    return rate, effective_rate(hits, watermark.first, watermark.second, rate.unanswered)


def _too_few_keys(checked: KeyCheck, plan: Plan) -> str | None:
    if checked.places * plan.alpha > 1:
        return None
    more = max(1, int(1 / plan.alpha / max(checked.keys, 1)) - len(checked.clean))
    return (
        f"{checked.places} places of admissible keys, on the suspect and {len(checked.clean)} clean models, cannot give "
        f"a p-value below alpha {plan.alpha:g}; pass {more} more clean models, or agree beforehand on a larger alpha"
    )
