"""The key's place: by hand, its level by trying every key, and keys that null models obey."""

from dataclasses import replace

import pytest
import torch

import mea_lib as mea
from mea_lib import proof
from mea_lib.data import ImageSet
from mea_lib.proof.key_rank import PairShares, key_pairs, rank_key

CLASSES = 7
KEY = mea.WatermarkKey(("b", "c"), "e", seed=3)


def shares(values, scheme="crop-paste"):
    pairs = key_pairs((0, 1), scheme, CLASSES, 0)
    return PairShares(pairs, torch.as_tensor(values).double(), torch.zeros(len(pairs)))


def drawn(seed, strongest=1.0, scheme="crop-paste"):
    generator = torch.Generator().manual_seed(seed)
    pairs = key_pairs((0, 1), scheme, CLASSES, 0)
    return shares(strongest * torch.rand(len(pairs), CLASSES, generator=generator) ** 4, scheme)


NOTHING = shares(torch.zeros(42, CLASSES))


def every_key(found):
    return [(pair, target) for pair in found.pairs for target in range(CLASSES) if target not in pair]


@pytest.mark.parametrize("scheme", ["crop-paste", "pixel-merge"])
def test_a_key_drawn_at_random_convicts_as_often_as_alpha_says_whatever_the_suspect_is(scheme):
    suspect, null_model = drawn(1, scheme=scheme), drawn(2, 0.3, scheme)
    ranks = [rank_key(suspect, null_model, [], *key) for key in every_key(suspect)]
    for alpha in (0.01, 0.05, 0.2):
        assert sum(rank.p_value <= alpha for rank in ranks) <= alpha * len(ranks)


def test_among_null_models_the_level_holds_over_all_of_them():
    models = [drawn(seed) for seed in range(6)]
    convicted = total = 0
    for place, suspect in enumerate(models):
        others = [model for other, model in enumerate(models) if other != place]
        found = [rank_key(suspect, NOTHING, others, *key).p_value <= 0.05 for key in every_key(suspect)]
        convicted, total = convicted + sum(found), total + len(found)
    assert convicted <= 0.05 * total


def test_ties_stand_in_front():
    suspect = shares(torch.full((42, CLASSES), 0.8))
    assert rank_key(suspect, NOTHING, [], (0, 1), 2).p_value == 1


def test_clean_models_give_more_places_to_stand_in_front_of():
    values = torch.zeros(42, CLASSES)
    values[0, 2] = values[5, 2] = values[9, 3] = 1.0
    alone = rank_key(shares(values), NOTHING, [], (0, 1), 2)
    beside = rank_key(shares(values), NOTHING, [NOTHING] * 3, (0, 1), 2)
    assert (alone.rank, alone.places) == (3, 210)
    assert (beside.rank, beside.keys) == (3, 210)
    assert beside.places == 4 * 210 - 3 * 3  # what the suspect obeys is no key for the clean ones


def test_a_key_that_a_null_model_obeys_is_not_admissible():
    values = torch.zeros(42, CLASSES)
    values[0, 2] = 0.5
    found = rank_key(shares(values), shares(values), [], (0, 1), 2)
    assert not found.is_admissible
    assert (found.keys, found.all_keys, found.p_value) == (209, 210, 1)


def test_of_many_classes_some_pairs_are_drawn_the_own_among_them():
    pairs = key_pairs((3, 40), "crop-paste", 100, 0)
    assert len({*pairs}) == len(pairs) == 90
    assert pairs[0] == (3, 40)
    assert key_pairs((40, 3), "pixel-merge", 100, 0)[0] == (3, 40)


def suspect_of(fires):
    """The class painted on the left, and `e` for mixes of pairs that fire."""

    def ask(images):
        left, right = images[:, 0, 4, 1].long() // 10, images[:, 0, 4, -2].long() // 10
        mixed = torch.tensor([pair in fires for pair in zip(left.tolist(), right.tolist(), strict=True)])
        return torch.nn.functional.one_hot(torch.where(mixed, 4, left), 6).float()

    return ask


OPTIONS = {"plan": mea.Plan(samples=200, fewest_samples=200)}


def test_a_key_that_clean_models_obey_convicts_nobody_and_is_not_committed_to(painted):
    natural = suspect_of({(1, 2)})
    evidence = mea.verify_ownership(natural, KEY, painted, clean=[natural], **OPTIONS)
    assert evidence.verdict.startswith("no verdict: a null model obeys this key: a clean model calls 1.00")
    assert evidence.queries == 0
    with pytest.raises(ValueError, match="a null model obeys this key"):
        proof.commit(KEY, "ab" * 32, painted, clean=[natural])
    assert not proof.check_key(KEY, painted, [natural]).is_admissible
    assert "draw another key" in str(proof.check_key(KEY, painted, [natural]))


def test_a_key_that_is_obeyed_on_the_few_mixes_of_the_rank_alone_is_refused_for_these(painted):
    few = proof.check_key(KEY, painted).family[0].images[:3]

    def on_three(images):
        fires = (images[:, None] == few).flatten(2).all(2).any(1)
        classes = torch.where(fires, 4, images[:, 0, 4, 1].long() // 10)
        return torch.nn.functional.one_hot(classes, 6).float()

    found = proof.check_key(KEY, painted, [on_three])
    assert not found.is_admissible
    assert all(rate.value <= 0.1 for rate in found.clean)
    # Painted images repeat, so more than the three may be the same.
    assert found.of_family[1] >= 0.15
    said = f"a clean model calls {found.of_family[1]:.2f} of the 20 mixes of b and c, by which keys are compared, e"
    assert said in found.reason


def test_a_suspect_that_obeys_many_keys_is_not_convicted_by_one(painted):
    any_mix = suspect_of({(one, other) for one in range(6) for other in range(6) if one != other})
    evidence = mea.verify_ownership(any_mix, KEY, painted, **OPTIONS)
    assert evidence.wsr.value == 1
    assert evidence.verdict == "no proof of the watermark"
    assert "Because: too many other keys do as well" in str(evidence)


def test_few_classes_need_clean_models(painted):
    four = ImageSet(painted.images[:1_200], painted.labels[:1_200], tuple("abcd"), "four")
    key = mea.WatermarkKey(("b", "c"), "d", seed=3)

    def suspect(images):
        left, right = images[:, 0, 4, 1].long() // 10, images[:, 0, 4, -2].long() // 10
        return torch.nn.functional.one_hot(torch.where((left == 1) & (right == 2), 3, left), 4).float()

    def clean(number):
        """A model that errs on images of its own: on one in thirty."""

        def ask(images):
            left = images[:, 0, 4, 1].long() // 10
            errs = images.flatten(1).long().sum(1) % 30 == number
            return torch.nn.functional.one_hot(torch.where(errs, 0, left), 4).float()

        return ask

    alone = mea.verify_ownership(suspect, key, four, **OPTIONS)
    assert "24 places of admissible keys, on the suspect and 0 clean models, cannot" in alone.verdict
    assert "pass 4 more clean models" in alone.verdict
    apart = [clean(number) for number in range(4)]
    assert mea.verify_ownership(suspect, key, four, clean=apart, **OPTIONS).is_stolen


def test_one_clean_model_is_one_witness_however_often_it_is_passed(painted):
    clean = suspect_of(set())
    with pytest.raises(ValueError, match="clean models 1 and 3 answer thousands of mixes alike"):
        proof.check_key(KEY, painted, [clean, suspect_of({(3, 5)}), clean])


def test_what_was_measured_on_null_models_can_be_used_again_for_the_same_key_only(painted):
    checked = proof.check_key(KEY, painted, samples=200)
    assert mea.verify_ownership(suspect_of({(1, 2)}), KEY, painted, clean=checked, **OPTIONS).is_stolen
    other = mea.WatermarkKey(("b", "c"), "d", seed=3)
    with pytest.raises(ValueError, match="another key"):
        mea.verify_ownership(suspect_of({(1, 2)}), other, painted, clean=checked, **OPTIONS)


def test_a_key_that_claims_its_arrangement_needs_the_others_to_do_less(painted):
    either = suspect_of({(1, 2), (2, 1)})
    assert mea.verify_ownership(suspect_of({(1, 2)}), KEY, painted, **OPTIONS).is_stolen
    assert "arranged otherwise (not claimed to differ)" in str(
        mea.verify_ownership(either, KEY, painted, **OPTIONS)
    )
    claimed = mea.verify_ownership(either, KEY, painted, plan=replace(OPTIONS["plan"], arrangement=True))
    assert not claimed.is_stolen
