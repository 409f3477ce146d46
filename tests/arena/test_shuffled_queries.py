"""All queries in one shuffled stream: turns cannot be told apart, and a change of mind is seen."""

from dataclasses import replace

import pytest
import torch

import mea_lib as mea
from mea_lib.arena import judge_removal
from mea_lib.arena.entry import EntryFailed
from mea_lib.arena.shuffled_queries import Transcript, query_shuffled
from mea_lib.proof import accuracy, verify_ownership


class Recorder(torch.nn.Module):
    """A model that writes down each image it is asked."""

    def __init__(self, model, seen):
        super().__init__()
        self.model = model
        self.seen = seen

    def forward(self, images):
        self.seen.extend(image.tobytes() for image in images.numpy())
        return self.model(images)


def test_five_lines_that_count_win_nothing(strong):
    """Accuracy was asked first, so an entry answered truly as often as there are test images, and then otherwise."""

    def counting(model, images, scale):
        asked = 0

        def ask(queries):
            nonlocal asked
            asked += len(queries)
            logits = model(queries)
            return logits if asked <= len(strong.test) else logits.roll(1, 1)

        return ask

    found = judge_removal("counting", counting, strong)
    assert "answers the same image differently when it is asked again" in found.failure
    assert found.trials == ()


@pytest.mark.parametrize("kind", ["noise", "turns", "batch"])
def test_answers_that_depend_on_more_than_the_image_are_caught(strong, kind):
    turn = 0

    def entry(model, images, scale):
        def ask(queries):
            nonlocal turn
            turn += 1
            logits = model(queries)
            if kind == "noise":
                return logits + 3 * torch.randn(logits.shape)
            if kind == "turns":
                return logits.roll(turn, 1)
            return logits - logits.mean(0) * 3

        return ask

    assert "asked again" in judge_removal(kind, entry, strong).failure


def test_rounding_is_no_change_of_mind(strong):
    """In bfloat16 and in other batches the numbers differ in the third digit."""

    def coarse(model, images, scale):
        return lambda queries: (model(queries) * (1 + 1e-3 * torch.rand(len(queries), 1))).bfloat16()

    assert judge_removal("coarse", coarse, strong).failure is None


def test_purposes_are_mixed_in_an_order_that_only_the_secret_gives(strong):
    model, seen = strong.watermarked[0], []
    query_shuffled(mea.Oracle(Recorder(model.model, seen)), model, strong)
    clean = {image.tobytes() for image in strong.test.images.numpy()}
    is_clean = [image in clean for image in seen]
    share = sum(is_clean) / len(is_clean)
    for start in range(0, len(is_clean) - 199, 200):
        assert abs(sum(is_clean[start : start + 200]) / 200 - share) < 0.2
    assert len(seen) >= len(set(seen)) * 9 / 8
    other = []
    query_shuffled(mea.Oracle(Recorder(model.model, other)), model, replace(strong, order="0" * 64))
    assert sorted(seen) != sorted(other)  # also which images are asked twice
    assert set(seen) == set(other)


def test_a_clean_model_is_asked_the_same_kinds_of_images(strong):
    """Or an entry would do its work only where mixes are among the queries."""
    shares = []
    clean = {image.tobytes() for image in strong.test.images.numpy()}
    for model in (*strong.watermarked, *strong.clean):
        seen = []
        query_shuffled(mea.Oracle(Recorder(model.model, seen)), model, strong)
        shares.append(sum(image in clean for image in seen) / len(seen))
    assert shares[0] == pytest.approx(shares[1], abs=0.05)


def test_a_transcript_says_what_the_suspect_would(strong):
    model = strong.watermarked[0]
    suspect = mea.Oracle(model.model)
    transcript = query_shuffled(suspect, model, strong)
    queries = suspect.queries
    assert accuracy(transcript, strong.test) == accuracy(suspect, strong.test)
    options = {"plan": mea.Plan(samples=200, fewest_samples=200), "clean": strong.checks[model.key]}
    by_transcript = verify_ownership(transcript, model.key, strong.test, **options)
    assert suspect.queries == queries + len(strong.test)
    found = verify_ownership(suspect, model.key, strong.test, **options)
    assert by_transcript.to_dict()["wsr"] == found.to_dict()["wsr"]
    assert (by_transcript.rank, by_transcript.wfpr, by_transcript.task) == (
        found.rank,
        found.wfpr,
        found.task,
    )


def test_what_was_not_asked_has_no_answer(strong):
    images = strong.test.images[:4]
    transcript = Transcript(images, torch.eye(10)[:4])
    assert torch.equal(transcript(images.flip(0)), torch.eye(10)[:4].flip(0))
    assert transcript.cost(images, 255 - images) == 4
    with pytest.raises(LookupError, match="4 of 4 images were not among the queries"):
        transcript(255 - images)


def test_a_suspect_that_fails_says_so_through_the_queries(strong):
    class Broken(torch.nn.Module):
        def forward(self, images):
            raise EntryFailed("its model fails when it is asked")

    with pytest.raises(EntryFailed, match="fails when it is asked"):
        query_shuffled(mea.Oracle(Broken()), strong.watermarked[0], strong)
