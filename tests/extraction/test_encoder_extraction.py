"""Extraction of an encoder: it extracts, it counts, it finds its surrogates again."""

import math
from dataclasses import replace

import pytest
import torch

import mea_lib as mea
from mea_lib.extraction import ContSteal, FeatureDistillation, StolenEncoder, cont_steal
from mea_lib.extraction.base import answers_digest, network_features
from mea_lib.extraction.stolen_encoder import RELEASED, RELEASED_TRAINING, RELEASED_VIEWS, VIEWS
from mea_lib.losses import contrastive_stealing_loss
from mea_lib.models import NETWORKS, Input
from mea_lib.models.encoder import build_encoder
from mea_lib.training import GREY_28, Batch, features_of
from mea_lib.training.views import view

BY_DISTANCE = (FeatureDistillation(), StolenEncoder())
EXTRACTIONS = (*BY_DISTANCE, ContSteal())


def by_name(method):
    return type(method).__name__


@pytest.fixture(scope="module")
def victim(digits, quick):
    return mea.train_encoder(digits.owner, quick.but(encoder=quick.encoder.but(epochs=3)))


@pytest.fixture
def longer(quick):
    """Eight epochs of an adversary."""
    return quick.adversary_but(epochs=8)


def untrained(digits, network="nine_layer_cnn", **options):
    return build_encoder(network, Input.of(digits.owner), **{"width": 4} | options).eval()


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


@pytest.mark.parametrize("method", BY_DISTANCE, ids=by_name)
def test_the_surrogate_is_like_its_victim_and_each_clean_image_was_sent_once(digits, victim, longer, method):
    watched = Watched(victim)
    oracle = mea.FeatureOracle(watched, budget=len(digits.queries))
    surrogate = method.extract(oracle, digits.queries, longer)
    assert oracle.queries == len(digits.queries)
    assert torch.equal(torch.cat(watched.asked), digits.queries)
    assert not surrogate.training
    assert unlike(surrogate, victim, digits.test.images) < 0.3
    assert unlike(untrained(digits), victim, digits.test.images) > 1


@pytest.mark.parametrize("method", EXTRACTIONS, ids=by_name)
def test_another_architecture_has_the_victims_number_of_features_and_learns_too(
    digits, victim, longer, method
):
    network = {"network": "vgg_like", "width": 6}
    surrogate = method.extract(mea.FeatureOracle(victim), digits.queries, longer.but(**network))
    assert (surrogate.size, surrogate.spec["features"], surrogate.spec["network"]) == (16, 16, "vgg_like")
    fresh = untrained(digits, **network, features=16)
    assert alike(fresh, victim, digits.test.images) < 0.2
    assert alike(surrogate, victim, digits.test.images) > 0.4


def test_a_network_that_has_as_many_features_gets_no_layer_for_them(digits, victim, quick):
    oracle = mea.FeatureOracle(victim)
    for network, width, features in (("nine_layer_cnn", 4, None), ("resnet18", 2, None), ("resnet18", 3, 16)):
        scale = quick.but(network=network, width=width)
        surrogate = FeatureDistillation().extract(oracle, digits.queries, scale)
        assert (surrogate.spec["features"], surrogate.size) == (features, 16)


@pytest.mark.parametrize("network", NETWORKS)
def test_network_features_are_those_of_the_network_itself(digits, quick, network):
    found = network_features(digits.owner, quick.but(network=network, width=2))
    assert found == untrained(digits, network, width=2).size


@pytest.mark.parametrize("method", EXTRACTIONS, ids=by_name)
def test_the_projection_head_stays_as_it_was_drawn(digits, victim, quick, method):
    decaying = quick.but(encoder=quick.encoder.but(weight_decay=0.5))
    surrogate = method.extract(mea.FeatureOracle(victim), digits.queries, decaying, seed=3)
    fresh = untrained(digits, seed=3)
    for own, drawn in zip(surrogate.projection.parameters(), fresh.projection.parameters(), strict=True):
        assert torch.equal(own, drawn)


@pytest.mark.parametrize(
    ("method", "other"),
    list(
        zip(
            EXTRACTIONS,
            [FeatureDistillation("cosine"), StolenEncoder(views_number=2), ContSteal(temperature=0.2)],
            strict=True,
        )
    ),
    ids=map(by_name, EXTRACTIONS),
)
def test_other_answers_images_settings_and_networks_are_other_surrogates(
    digits, victim, quick, store, method, other
):
    queries = digits.queries[:300]

    def name(images=queries, oracle=None, method=method, scale=quick, seed=0):
        oracle = oracle or mea.FeatureOracle(victim)
        return method.extract(oracle, images, scale, seed=seed).card["id"]

    names = [
        name(),
        name(oracle=mea.FeatureOracle(victim, decimals=1)),
        name(queries[:299]),
        name(method=other),
        name(scale=quick.adversary_but(epochs=2)),
        name(scale=quick.but(width=3)),
        name(scale=quick.but(network="vgg_like")),
        name(seed=1),
    ]
    assert len(set(names)) == 8
    assert name() == names[0]
    assert len(store.cards()) == 8


def test_the_digest_sees_values_and_shape():
    answers = torch.arange(12.0).view(6, 2)
    assert answers_digest(answers) == answers_digest(answers.clone() + 1e-9)
    assert len({answers_digest(table) for table in (answers, answers.view(3, 4), answers + 1e-3)}) == 3


@pytest.mark.parametrize("method", EXTRACTIONS, ids=by_name)
def test_answers_that_are_not_of_these_images_are_refused(digits, quick, method):
    shape = (9, 1, 16) if isinstance(method, ContSteal) else (9, 16)
    with pytest.raises(ValueError, match="10 images need as many rows"):
        method.train_surrogate(digits.queries[:10], torch.ones(shape), quick)


@pytest.mark.parametrize("kind", [FeatureDistillation, StolenEncoder])
def test_an_unknown_distance_is_refused(kind):
    with pytest.raises(ValueError, match="unknown distance 'l3'; choose one of: mse, l1, l2, cosine"):
        kind(distance="l3")


@pytest.mark.parametrize("name", ["views_weight", "views_number"])
def test_impossible_views_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 0"):
        StolenEncoder(**{name: -1})


def test_only_distillation_lets_the_loop_augment(digits, quick):
    few, answers = digits.queries[:64], some_answers(digits)[:64]
    trainings = [
        method.train_surrogate(few, given, quick, seed=2).card["recipe"]["training"]
        for method, given in zip(EXTRACTIONS, (answers, answers, answers[:, None]), strict=True)
    ]
    assert [training["augment"] for training in trainings] == [True, False, False]
    for training in trainings:
        assert training | {"augment": True} == quick.encoder_surrogate.but(seed=2).to_dict()


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
    objective = FeatureDistillation(distance, standardise).objective(answers)
    found = objective(encoder, batch).losses["distance"].item()
    divisors = torch.ones(16)
    if standardise:
        mean = answers.mean(0)
        divisors = ((answers - mean) ** 2).mean(0).sqrt()
        divisors[5] = divisors.max() / 100
    expected = by_hand(encoder(batch.images) / divisors, answers[batch.index] / divisors, distance)
    assert found == pytest.approx(expected, rel=1e-4)


def test_answers_that_are_all_the_same_do_not_divide_by_nothing(digits):
    objective = FeatureDistillation("cosine", standardise=True).objective(torch.ones(len(digits.queries), 16))
    assert objective(untrained(digits), batch_of(digits)).losses["distance"].isfinite()


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("distance", ["l1", "l2", "cosine"])
def test_stolen_encoder_is_the_papers_sum(digits, distance, normalise):
    encoder, answers, batch = untrained(digits), some_answers(digits), batch_of(digits)
    losses = StolenEncoder(4.0, 3, distance, normalise).objective(answers)(encoder, batch).losses
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
    StolenEncoder(views_number=2).objective(some_answers(digits))(encoder, batch_of(digits))
    assert [len(images) for images in encoder.asked] == [36]
    assert torch.equal(encoder.asked[0][:12], batch_of(digits).images.float() / 255)


def test_without_views_only_the_clean_images_count(digits):
    objective = StolenEncoder(views_number=0).objective(some_answers(digits))
    assert set(objective(untrained(digits), batch_of(digits)).losses) == {"clean"}


def test_the_released_adversary_is_the_authors():
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


def test_cont_steal_sends_views_and_comes_closer_to_its_victim(digits, victim, longer):
    watched = Watched(victim)
    oracle = mea.FeatureOracle(watched, budget=2 * len(digits.queries))
    method = ContSteal(views_queried=2)
    surrogate = method.extract(oracle, digits.queries, longer)
    assert oracle.remaining == 0
    asked = torch.cat(watched.asked)
    assert torch.equal(asked, method.views_to_ask(digits.queries).flatten(0, 1))
    assert (asked[: len(digits.queries)] != digits.queries).flatten(1).any(1).float().mean() > 0.95
    assert alike(untrained(digits), victim, digits.test.images) < 0.25
    assert alike(surrogate, victim, digits.test.images) > 0.45


def test_the_answers_to_an_images_views_stay_with_the_image(digits, victim, quick):
    method = ContSteal(views_queried=3)
    images, answers = method.ask(mea.FeatureOracle(victim), digits.queries[:20], quick, seed=4)
    views = method.views_to_ask(images, seed=4)
    assert answers.shape == (20, 3, 16)
    torch.testing.assert_close(answers[7, 2], features_of(victim, views[2, 7:8])[0])


def test_a_budget_pays_for_all_views_of_an_image_or_for_none(digits, victim, quick):
    oracle = mea.FeatureOracle(victim, budget=8)
    method = ContSteal(views_queried=3)
    images, answers = method.ask(oracle, digits.queries, quick, seed=4)
    assert torch.equal(images, digits.queries[:2])
    assert oracle.remaining == 2
    views = method.views_to_ask(digits.queries, seed=4)
    torch.testing.assert_close(answers[1, 2], features_of(victim, views[2, 1:2])[0])
    with pytest.raises(mea.BudgetSpent):
        method.ask(oracle, digits.queries, quick, seed=4)
    assert oracle.remaining == 2


def test_views_to_ask_are_whole_pixels_drawn_by_the_seed(digits, monkeypatch):
    monkeypatch.setattr(cont_steal, "VIEWED_AT_ONCE", 30)
    views = replace(GREY_28, jitter=0.0, crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0))
    method, images = ContSteal(views_queried=2, views=views), digits.queries[:40]
    views = method.views_to_ask(images, seed=1)
    assert views.dtype == torch.uint8
    mirrored = (views == images.flip(3)).flatten(2).all(2)
    assert (mirrored | (views == images).flatten(2).all(2)).all()
    assert not torch.equal(mirrored[0], mirrored[1])
    assert not torch.equal(views, method.views_to_ask(images, seed=2))


def test_cont_steal_contrasts_a_new_view_with_one_of_the_answers_to_its_image(digits):
    encoder, batch = untrained(digits), batch_of(digits)
    answers = torch.stack([some_answers(digits, seed=seed) for seed in range(3)], dim=1)  # (M, 3, F)
    found = ContSteal(temperature=0.2).objective(answers)(encoder, batch).losses["contrast"]
    draws = torch.Generator().manual_seed(5)
    features = encoder(view(batch.images, GREY_28, draws))
    drawn = torch.randint(3, (12,), generator=draws).tolist()
    assert set(drawn) == {0, 1, 2}
    wanted = torch.stack([answers[image, own] for image, own in zip(batch.index, drawn, strict=True)])
    torch.testing.assert_close(found, contrastive_stealing_loss(features, wanted, 0.2))


def test_without_views_of_its_own_cont_steal_takes_those_of_the_images(digits, victim, quick):
    images, oracle = digits.queries[:100], mea.FeatureOracle(victim)
    usual, named = (
        ContSteal(views=views).extract(oracle, images, quick).card["weights_sha256"]
        for views in (None, GREY_28)
    )
    assert usual == named


def test_impossible_contrasts_are_refused(digits, quick):
    with pytest.raises(ValueError, match="views_queried must be at least 1"):
        ContSteal(views_queried=0)
    with pytest.raises(ValueError, match="above 0"):
        ContSteal(temperature=0)
    with pytest.raises(ValueError, match=r"\(M, V, F\)"):
        ContSteal().train_surrogate(digits.queries[:10], torch.ones(10, 16), quick)
