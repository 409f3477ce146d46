"""Extraction of an encoder: it extracts, it counts, it finds its surrogates again."""

import math
from dataclasses import replace

import pytest
import torch

import mea_lib as mea
from mea_lib.extraction import cont_steal, feature_distillation, stolen_encoder
from mea_lib.extraction.answers_digest import answers_digest
from mea_lib.extraction.cont_steal import ContStealSettings, cont_steal_objective, views_to_ask
from mea_lib.extraction.encoder_student import own_features, student_training
from mea_lib.extraction.feature_distillation import FeatureDistillationSettings, distillation_objective
from mea_lib.extraction.stolen_encoder import (
    RELEASED,
    RELEASED_TRAINING,
    RELEASED_VIEWS,
    VIEWS,
    StolenEncoderSettings,
    stolen_encoder_objective,
)
from mea_lib.losses import contrastive_stealing_loss
from mea_lib.models import NETWORKS
from mea_lib.models.encoder import build_encoder
from mea_lib.training import GREY_28, Batch, Store, TrainingSettings, features_of, train_encoder
from mea_lib.training.views import view

SMOKE = mea.preset("smoke")
TRAINING = TrainingSettings(8, 64, 5e-3, weight_decay=1e-4, augment=False)
QUICK = TRAINING.but(epochs=1)
BY_DISTANCE = (feature_distillation, stolen_encoder)
THEFTS = (*BY_DISTANCE, cont_steal)


@pytest.fixture(scope="module")
def victim(digits, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("victim"))
    return train_encoder(digits.owner, SMOKE, training=TRAINING.but(epochs=3), store=store)


def untrained(digits, network="nine_layer_cnn", **options):
    data = digits.owner
    options = {"channels": 1, "size": 16, "width": 4, "mean": data.mean, "std": data.std} | options
    return build_encoder(network, **options).eval()


def unlike(encoder, victim, images):
    """Mean squared difference of features, as a share of what the victim's features vary by."""
    ours, theirs = (features_of(model, images) for model in (encoder, victim))
    return ((ours - theirs).square().mean() / (theirs - theirs.mean(0)).square().mean()).item()


def alike(encoder, victim, images):
    """Mean cosine of both encoders' features, each less its own mean: 0 where nothing was learnt."""
    ours, theirs = (features_of(model, images) for model in (encoder, victim))
    return torch.cosine_similarity(ours - ours.mean(0), theirs - theirs.mean(0)).mean().item()


def batch_of(digits, number=12, seed=5):
    index = torch.arange(40, 40 + number)
    return Batch(digits.queries[index], index, torch.Generator().manual_seed(seed), 0.0)


def some_answers(digits, features=16, seed=0):
    return torch.randn(len(digits.queries), features, generator=torch.Generator().manual_seed(seed)) + 1


class Watched(torch.nn.Module):
    """A victim that remembers its queries."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder
        self.asked = []

    def forward(self, images):
        self.asked.append(images.clone())
        return self.encoder(images)


@pytest.mark.parametrize("theft", BY_DISTANCE)
def test_the_copy_is_like_its_victim_and_each_clean_image_was_asked_once(digits, victim, store, theft):
    watched = Watched(victim)
    oracle = mea.FeatureOracle(watched, budget=len(digits.queries))
    copy = theft.extract(oracle, digits.queries, SMOKE, training=TRAINING, store=store)
    assert oracle.queries == len(digits.queries)
    assert torch.equal(torch.cat(watched.asked), digits.queries)
    assert not copy.training
    assert unlike(copy, victim, digits.test.images) < 0.3
    assert unlike(untrained(digits), victim, digits.test.images) > 1


@pytest.mark.parametrize("theft", THEFTS)
def test_another_architecture_has_the_victims_number_of_features_and_learns_too(digits, victim, store, theft):
    student = {"network": "vgg_like", "width": 6}
    oracle = mea.FeatureOracle(victim)
    copy = theft.extract(oracle, digits.queries, SMOKE, **student, training=TRAINING, store=store)
    assert (copy.size, copy.spec["features"], copy.spec["network"]) == (16, 16, "vgg_like")
    fresh = untrained(digits, **student, features=16)
    assert alike(fresh, victim, digits.test.images) < 0.2
    assert alike(copy, victim, digits.test.images) > 0.4


def test_a_network_that_has_as_many_features_gets_no_layer_for_them(digits, victim, store):
    oracle = mea.FeatureOracle(victim)
    for network, width, features in (("nine_layer_cnn", 4, None), ("resnet18", 2, None), ("resnet18", 3, 16)):
        copy = feature_distillation.extract(
            oracle, digits.queries, SMOKE, network=network, width=width, training=QUICK, store=store
        )
        assert (copy.spec["features"], copy.size) == (features, 16)


@pytest.mark.parametrize("network", NETWORKS)
def test_own_features_are_those_of_the_network_itself(digits, network):
    assert own_features(network, 2, 1, 16) == untrained(digits, network, width=2).size


@pytest.mark.parametrize("theft", THEFTS)
def test_the_projection_head_stays_as_it_was_drawn(digits, victim, store, theft):
    decaying = QUICK.but(weight_decay=0.5)
    copy = theft.extract(
        mea.FeatureOracle(victim), digits.queries, SMOKE, training=decaying, seed=3, store=store
    )
    fresh = untrained(digits, seed=3)
    for own, drawn in zip(copy.projection.parameters(), fresh.projection.parameters(), strict=True):
        assert torch.equal(own, drawn)


@pytest.mark.parametrize("theft", THEFTS)
def test_a_budget_that_is_too_small_stops_before_anything_is_asked(digits, victim, store, theft):
    oracle = mea.FeatureOracle(victim, budget=len(digits.queries) - 1)
    with pytest.raises(mea.BudgetSpent):
        theft.extract(oracle, digits.queries, SMOKE, store=store)
    assert oracle.queries == 0
    assert not list(store.root.glob("*.json"))


@pytest.mark.parametrize(
    "theft, other",
    [
        (feature_distillation, FeatureDistillationSettings("cosine")),
        (stolen_encoder, StolenEncoderSettings(views_number=2)),
        (cont_steal, ContStealSettings(temperature=0.2)),
    ],
)
def test_other_answers_images_settings_and_students_are_other_copies(digits, victim, store, theft, other):
    queries = digits.queries[:300]

    def name(images=queries, oracle=None, **options):
        oracle = oracle or mea.FeatureOracle(victim)
        options = {"training": QUICK} | options
        return theft.extract(oracle, images, SMOKE, store=store, **options).card["id"]

    names = [
        name(),
        name(oracle=mea.FeatureOracle(victim, decimals=1)),
        name(queries[:299]),
        name(settings=other),
        name(training=TRAINING.but(epochs=2)),
        name(width=3),
        name(network="vgg_like"),
        name(seed=1),
    ]
    assert len(set(names)) == 8
    assert name() == names[0]
    assert len(store.cards()) == 8


def test_the_digest_sees_values_and_shape():
    answers = torch.arange(12.0).view(6, 2)
    assert answers_digest(answers) == answers_digest(answers.clone() + 1e-9)
    assert len({answers_digest(table) for table in (answers, answers.view(3, 4), answers + 1e-3)}) == 3


@pytest.mark.parametrize("theft", THEFTS)
def test_answers_that_are_not_of_these_images_are_refused(digits, store, theft):
    with pytest.raises(ValueError, match="10 images need as many rows"):
        theft.train_student(
            digits.queries[:10],
            torch.ones(9, 1, 16) if theft is cont_steal else torch.ones(9, 16),
            SMOKE,
            store=store,
        )


@pytest.mark.parametrize("settings", [FeatureDistillationSettings, StolenEncoderSettings])
def test_an_unknown_distance_is_refused(settings):
    with pytest.raises(ValueError, match="unknown distance 'l3'; choose one of: mse, l1, l2, cosine"):
        settings(distance="l3")


@pytest.mark.parametrize("name", ["views_weight", "views_number"])
def test_impossible_views_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 0"):
        StolenEncoderSettings(**{name: -1})


def test_a_thief_trains_at_an_encoders_rate_for_a_thiefs_time():
    scale = mea.preset("laptop")
    training = student_training(scale, seed=2)
    assert (training.optimizer, training.muon_rate, training.epochs) == ("muon", 0.05, 2)
    assert (training.learning_rate, training.weight_decay) == (5e-3, 1e-4)
    assert (training.augment, training.seed) == (True, 2)


def test_without_settings_only_distillation_lets_the_loop_augment(digits, store):
    few = digits.queries[:64]
    answers = some_answers(digits)[:64]
    augments = [
        theft.train_student(few, given, SMOKE, store=store).card["recipe"]["settings"]["augment"]
        for theft, given in zip(THEFTS, (answers, answers, answers[:, None]), strict=True)
    ]
    assert augments == [True, False, False]


def by_hand(first, second, distance):
    """Mean distance of two lists of rows, one number after the other."""
    total = 0.0
    for own, wanted in zip(first.tolist(), second.tolist(), strict=True):
        gaps = [a - b for a, b in zip(own, wanted, strict=True)]
        if distance == "l2":
            total += math.sqrt(sum(gap**2 for gap in gaps))
        elif distance == "cosine":
            dot = sum(a * b for a, b in zip(own, wanted, strict=True))
            total += 1 - dot / (math.hypot(*own) * math.hypot(*wanted))
        else:
            total += sum(gap**2 if distance == "mse" else abs(gap) for gap in gaps) / len(gaps)
    return total / len(first)


@pytest.mark.parametrize("distance", ["mse", "l1", "l2", "cosine"])
@pytest.mark.parametrize("standardise", [False, True])
def test_distillation_is_the_distance_to_the_answers_of_the_batch(digits, distance, standardise):
    encoder, answers, batch = untrained(digits), some_answers(digits), batch_of(digits)
    answers[:, 3] *= 7
    answers[:, 5] = 0  # a feature that is never there divides by a hundredth of the largest deviation
    settings = FeatureDistillationSettings(distance, standardise)
    found = distillation_objective(answers, settings)(encoder, batch).losses["distance"].item()
    divisors = torch.ones(16)
    if standardise:
        mean = answers.mean(0)
        divisors = ((answers - mean) ** 2).mean(0).sqrt()
        divisors[5] = divisors.max() / 100
    expected = by_hand(encoder(batch.images) / divisors, answers[batch.index] / divisors, distance)
    assert found == pytest.approx(expected, rel=1e-4)


def test_answers_that_are_all_the_same_do_not_divide_by_nothing(digits):
    settings = FeatureDistillationSettings("cosine", standardise=True)
    answers = torch.ones(len(digits.queries), 16)
    assert (
        distillation_objective(answers, settings)(untrained(digits), batch_of(digits))
        .losses["distance"]
        .isfinite()
    )


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("distance", ["l1", "l2", "cosine"])
def test_stolen_encoder_is_the_papers_sum(digits, distance, normalise):
    encoder, answers, batch = untrained(digits), some_answers(digits), batch_of(digits)
    settings = StolenEncoderSettings(4.0, 3, distance, normalise)
    losses = stolen_encoder_objective(answers, settings)(encoder, batch).losses
    draws = torch.Generator().manual_seed(5)
    views = [view(batch.images, VIEWS, draws) for _ in range(3)]

    def one(images):
        own, wanted = encoder(images), answers[batch.index]
        if normalise:
            own, wanted = (rows / rows.square().sum(1, keepdim=True).sqrt() for rows in (own, wanted))
        return by_hand(own, wanted, distance)

    assert losses["clean"].item() == pytest.approx(one(batch.images), rel=1e-4)
    assert losses["views"].item() == pytest.approx(4 * sum(map(one, views)) / 3, rel=1e-4)


def test_all_views_of_a_step_share_one_pass(digits):
    encoder = Watched(untrained(digits))
    settings = StolenEncoderSettings(views_number=2)
    stolen_encoder_objective(some_answers(digits), settings)(encoder, batch_of(digits))
    assert [len(images) for images in encoder.asked] == [36]
    assert torch.equal(encoder.asked[0][:12], batch_of(digits).images.float() / 255)


def test_without_views_only_the_clean_images_count(digits):
    settings = StolenEncoderSettings(views_number=0)
    terms = stolen_encoder_objective(some_answers(digits), settings)(untrained(digits), batch_of(digits))
    assert set(terms.losses) == {"clean"}


def test_the_released_thief_is_the_authors():
    assert (RELEASED.views_weight, RELEASED.views_number, RELEASED.distance) == (9, 9, "l2")
    assert RELEASED.normalise
    views = RELEASED.views
    assert (views.mirror, views.jitter, views.greyscale) == (0.5, 0.8, 0.2)
    assert (views.brightness, views.contrast, views.saturation, views.hue) == (0.4, 0.4, 0.4, 0.1)


def test_released_views_show_the_whole_image(digits):
    images = digits.queries[:20]
    still = replace(RELEASED_VIEWS, mirror=0.0, jitter=0.0, greyscale=0.0)
    shown = view(images, still, torch.Generator().manual_seed(0))
    torch.testing.assert_close(shown, images.float() / 255)


def test_the_released_step_on_a_sum_is_this_one_on_a_mean():
    """Two steps of SGD: their rate and decay on the sum over 256 images, ours on its mean."""
    weights = []
    for rate, decay, reduce in (
        (1e-3, 5e-4, torch.sum),
        (RELEASED_TRAINING.learning_rate, RELEASED_TRAINING.weight_decay, torch.mean),
    ):
        weight = torch.ones(3, dtype=torch.float64, requires_grad=True)
        rows = torch.randn(256, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        optimizer = torch.optim.SGD([weight], rate, weight_decay=decay, momentum=RELEASED_TRAINING.momentum)
        for _ in range(2):
            optimizer.zero_grad()
            reduce((rows @ weight - 1).square()).backward()
            optimizer.step()
        weights.append(weight.detach())
    torch.testing.assert_close(*weights)


def test_cont_steal_asks_views_and_comes_closer_to_its_victim(digits, victim, store):
    watched = Watched(victim)
    oracle = mea.FeatureOracle(watched, budget=2 * len(digits.queries))
    settings = ContStealSettings(views_asked=2)
    copy = cont_steal.extract(
        oracle, digits.queries, SMOKE, settings=settings, training=TRAINING, store=store
    )
    assert oracle.remaining == 0
    asked = torch.cat(watched.asked)
    assert torch.equal(asked, views_to_ask(digits.queries, settings).flatten(0, 1))
    assert (asked[: len(digits.queries)] != digits.queries).flatten(1).any(1).float().mean() > 0.95
    assert alike(untrained(digits), victim, digits.test.images) < 0.25
    assert alike(copy, victim, digits.test.images) > 0.45


def test_every_view_counts_against_the_budget_before_any_is_asked(digits, victim, store):
    oracle = mea.FeatureOracle(victim, budget=2 * len(digits.queries) - 1)
    settings = ContStealSettings(views_asked=2)
    with pytest.raises(mea.BudgetSpent):
        cont_steal.extract(oracle, digits.queries, SMOKE, settings=settings, store=store)
    assert oracle.queries == 0


def test_the_answers_to_an_images_views_stay_with_the_image(digits, victim, store, monkeypatch):
    given = {}
    monkeypatch.setattr(
        cont_steal, "train_student", lambda images, answers, scale, **options: given.update(answers=answers)
    )
    settings = ContStealSettings(views_asked=3)
    cont_steal.extract(mea.FeatureOracle(victim), digits.queries[:20], SMOKE, settings=settings, seed=4)
    views = views_to_ask(digits.queries[:20], settings, seed=4)
    assert given["answers"].shape == (20, 3, 16)
    torch.testing.assert_close(given["answers"][7, 2], features_of(victim, views[2, 7:8])[0])


def test_views_to_ask_are_whole_pixels_drawn_by_the_seed(digits, monkeypatch):
    monkeypatch.setattr(cont_steal, "VIEWED_AT_ONCE", 30)
    settings = ContStealSettings(
        views_asked=2, views=replace(GREY_28, jitter=0.0, crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0))
    )
    images = digits.queries[:40]
    views = views_to_ask(images, settings, seed=1)
    assert views.dtype == torch.uint8
    mirrored = (views == images.flip(3)).flatten(2).all(2)
    assert (mirrored | (views == images).flatten(2).all(2)).all()
    assert not torch.equal(mirrored[0], mirrored[1])
    assert not torch.equal(views, views_to_ask(images, settings, seed=2))


def test_cont_steal_contrasts_a_new_view_with_one_of_the_answers_to_its_image(digits):
    encoder, batch = untrained(digits), batch_of(digits)
    answers = torch.stack([some_answers(digits, seed=seed) for seed in range(3)], dim=1)  # (M, 3, F)
    found = cont_steal_objective(answers, GREY_28, 0.2)(encoder, batch).losses["contrast"]
    draws = torch.Generator().manual_seed(5)
    features = encoder(view(batch.images, GREY_28, draws))
    drawn = torch.randint(3, (12,), generator=draws).tolist()
    assert set(drawn) == {0, 1, 2}
    wanted = torch.stack([answers[image, own] for image, own in zip(batch.index, drawn, strict=True)])
    torch.testing.assert_close(found, contrastive_stealing_loss(features, wanted, 0.2))


def test_other_views_asked_are_other_copies(digits, victim, store):
    names = {
        cont_steal.extract(
            mea.FeatureOracle(victim),
            digits.queries[:100],
            SMOKE,
            settings=settings,
            training=QUICK,
            store=store,
        ).card["id"]
        for settings in (
            ContStealSettings(),
            ContStealSettings(views_asked=2),
            ContStealSettings(views=replace(GREY_28, mirror=0.0)),
            ContStealSettings(views=GREY_28),  # what None stands for on grey images
        )
    }
    assert len(names) == 3


def test_impossible_contrasts_are_refused(digits, store):
    with pytest.raises(ValueError, match="views_asked must be at least 1"):
        ContStealSettings(views_asked=0)
    with pytest.raises(ValueError, match="above 0"):
        ContStealSettings(temperature=0)
    with pytest.raises(ValueError, match=r"\(M, V, F\)"):
        cont_steal.train_student(digits.queries[:10], torch.ones(10, 16), SMOKE, store=store)
