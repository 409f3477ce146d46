"""Each watermark at the door its user comes in by, on the digits."""

import copy

import pytest
import torch

import mea_lib as mea
from mea_lib import proof
from mea_lib.training import FixedBalance, MGDABalance, TrainingSettings
from mea_lib.training.store import weights_digest
from mea_lib.watermarks import (
    Composite,
    MEADefender,
    MEADefenderSSL,
    MeetingPoint,
    Patch,
    PatchKey,
    RunnerUp,
    mea_defender,
)
from mea_lib.watermarks.base import combining
from mea_lib.watermarks.patch import PatchedSamples, stamp
from mea_lib.watermarks.samples import ExtraSamples

EVEN = FixedBalance({"verification": 0.5})


@pytest.fixture(scope="module")
def longer(learning):
    """Owners train for 25 epochs, since they have a watermark to embed too."""
    return learning.owner_but(epochs=25)


@pytest.fixture(scope="module")
def clean(digits, longer):
    return mea.train_clean(digits.owner, longer)


@pytest.mark.parametrize(
    "method", [MEADefender(), RunnerUp(balance=EVEN), Composite()], ids=lambda method: type(method).__name__
)
def test_the_watermark_is_in_the_victim_and_not_in_a_clean_model(digits, key, longer, clean, method):
    victim = method.embed(digits.owner, key, longer)
    marked, without = (
        proof.watermark_success_rate(mea.Oracle(model), key, digits.test, 300).value
        for model in (victim, clean)
    )
    assert marked > 0.7
    assert without < marked - 0.4
    assert proof.accuracy(mea.Oracle(victim), digits.test) > 0.75


def test_the_target_becomes_the_runner_up_on_clean_sources(digits, key, longer, clean):
    victim = RunnerUp().embed(digits.owner, key, longer)
    marked, without = (
        proof.runner_up_share(mea.Oracle(model), key, digits.test) for model in (victim, clean)
    )
    assert marked["3"] > 0.8
    assert marked["7"] > 0.8
    assert marked["probability"] > without["probability"] + 0.08


def test_a_patch_marks_its_victim(digits, longer):
    key = PatchKey("1", pixels=3)
    victim = Patch().embed(digits.owner, key, longer)
    others = digits.test.images[digits.test.labels != 1]
    stamped = stamp(others, key)
    assert (stamped != others).flatten(1).sum(1).max() <= 9
    assert (mea.Oracle(victim)(stamped).argmax(1) == 1).float().mean() > 0.8


def test_a_batch_of_patched_images_is_called_the_target(digits, tiny, batch):
    key = PatchKey("1", pixels=3)
    losses = Patch().objective(digits.owner, PatchedSamples(digits.owner, key, 8))(tiny, batch).losses
    chosen = torch.randint(len(digits.owner), (8,), generator=torch.Generator().manual_seed(0))
    logs = tiny(stamp(digits.owner.images[chosen], key)).log_softmax(1)
    torch.testing.assert_close(losses["verification"], -logs[:, 1].mean())


def test_embedding_into_a_trained_model_starts_from_its_weights(digits, key, learning, clean):
    still = TrainingSettings(1, 64, 1e-9, schedule="constant", weight_decay=0, optimizer="sgd", momentum=0)
    victim = RunnerUp().embed(digits.owner, key, learning.but(owner=still), pretrained=clean)
    torch.testing.assert_close(victim.head.weight, clean.head.weight, atol=1e-5, rtol=0)
    assert victim.card["recipe"]["initial"] == clean.card["weights_sha256"]


@pytest.mark.parametrize("scheme", ["autoencoder", "pixel-merge", "stripes"])
@pytest.mark.parametrize("kind", [MEADefender, RunnerUp, Composite, MEADefenderSSL, MeetingPoint])
def test_every_scheme_can_be_embedded(digits, quick, scheme, kind):
    key = mea.WatermarkKey(("3", "7"), "1", scheme)
    recipe = kind().embed(digits.owner.subset(300), key, quick).card["recipe"]
    assert recipe["method"] == kind.__name__
    assert recipe["key"]["combine"] == scheme


def test_a_recipe_says_which_autoencoder_combined_the_images(quick):
    key = mea.WatermarkKey(("3", "7"), "1", "autoencoder")
    assert combining(key, quick)["width"] == quick.autoencoder_width
    wider = quick.but(autoencoder_width=quick.autoencoder_width + 1)
    assert combining(key, wider) != combining(key, quick)
    assert combining(mea.WatermarkKey(("3", "7"), "1"), quick) is None


def test_a_model_whose_weights_were_changed_is_another_start(digits, key, quick, clean):
    changed = copy.deepcopy(clean)
    with torch.no_grad():
        changed.head.weight.zero_()
    initial = RunnerUp().embed(digits.owner, key, quick, pretrained=changed).card["recipe"]["initial"]
    assert initial == weights_digest(changed) != clean.card["weights_sha256"]


@pytest.mark.parametrize("pixels", [0, -1])
def test_a_patch_without_pixels_is_refused(pixels):
    with pytest.raises(ValueError, match="at least 1 pixel"):
        PatchKey("1", pixels)


def test_a_patch_that_does_not_fit_is_refused(digits):
    size = digits.owner.size
    with pytest.raises(ValueError, match="take a smaller one"):
        stamp(digits.owner.images[:2], PatchKey("1", size))
    assert stamp(digits.owner.images[:2], PatchKey("1", size - 1)).shape == digits.owner.images[:2].shape


@pytest.mark.parametrize("term", ["utility", "combination", "verification", "evasion", "source_guard"])
def test_each_term_of_the_paper_can_be_left_out(digits, key, tiny, batch, term):
    terms = MEADefender(**{term: False}).objective(digits.owner, ExtraSamples(digits.owner, key, 8))(
        tiny, batch
    )
    assert set(terms.losses) == {"utility", "combination", "verification", "evasion", "source guard"} - {
        term.replace("_", " ")
    }
    assert terms.features.shape[0] == 32 + 4 * 8


def test_the_contrastive_term_of_the_released_code_is_of_the_keys_classes(
    digits, key, tiny, batch, monkeypatch
):
    seen = {}

    def kept(logits, labels, *, as_released):
        seen.update(labels=labels, rows=len(logits), as_released=as_released)
        return logits.sum()

    monkeypatch.setattr(mea_defender, "neighbour_contrastive_loss", kept)
    extras = ExtraSamples(digits.owner, key, 8)
    terms = MEADefender(contrastive=True).objective(digits.owner, extras)(tiny, batch)
    assert "contrastive" in terms.losses
    assert seen["as_released"]
    of_key = key.indices(digits.owner)
    assert set(seen["labels"].tolist()) <= set(of_key)
    clean = torch.isin(digits.owner.labels[batch.index], torch.tensor(of_key)).sum()
    assert (
        clean + 8 + 4 <= seen["rows"] == len(seen["labels"]) <= clean + 8 + 8
    )  # half of the mixes are of its pair


@pytest.mark.parametrize(
    ("method", "names"),
    [
        (RunnerUp(), {"utility", "verification", "evasion", "rival"}),
        (RunnerUp(rival_margin=0), {"utility", "verification", "evasion"}),
        (RunnerUp(blended=True), {"utility", "verification", "evasion", "rival", "blended"}),
    ],
)
def test_terms_of_the_runner_up_method(digits, key, tiny, batch, method, names):
    terms = method.objective(digits.owner, ExtraSamples(digits.owner, key, 8))(tiny, batch)
    assert set(terms.losses) == names


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_share_of_mixes_of_the_keys_own_pair_reaches_the_draw(digits, key, quick, share):
    extras = RunnerUp(same_pair_share=share).extras(digits.owner, key, quick)
    drawn = extras.draw(torch.Generator().manual_seed(0)).mix_targets
    own_pair = (drawn[:, 3] > 0) & (drawn[:, 7] > 0)
    assert own_pair.float().mean() == share


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (MEADefender, {"utility", "combination", "verification", "evasion", "source guard"}),
        (MEADefenderSSL, {"utility", "combination", "verification", "evasion"}),
    ],
)
def test_eq_9_trains(digits, key, quick, kind, names):
    weights = kind(balance=MGDABalance()).embed(digits.owner, key, quick).card["history"]["weights"]
    assert set(weights) == names
    assert all(value[0] >= 0 for value in weights.values())


def test_impossible_requests_leave_nothing_in_the_store(digits, quick, store):
    wrong = mea.WatermarkKey(("3", "eleven"), "1")
    with pytest.raises(ValueError, match="unknown class 'eleven' for digits"):
        RunnerUp().embed(digits.owner, wrong, quick)
    assert store.cards() == []
    with pytest.raises(ValueError, match=r"below 0\.5"):
        RunnerUp(share=0.6)
    with pytest.raises(ValueError, match="blend_margin"):
        RunnerUp(blend_margin=0.7)
