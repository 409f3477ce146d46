"""Data-free extraction: the estimated gradient against autograd, queries counted, interruptions, store."""

import copy
from dataclasses import replace

import pytest
import torch

import mea_lib as mea
from mea_lib import proof
from mea_lib.extraction import DataFree, data_free
from mea_lib.extraction.data_free import TRUONG, BestSurrogate, disagreement, recovered_logits
from mea_lib.extraction.forward_differences import estimate_gradient
from mea_lib.extraction.query_generator import QueryGenerator

SHAPE = (1, 16, 16)
NO_IMAGES = torch.empty(0, *SHAPE, dtype=torch.uint8)
SMALL = DataFree(queries=500, batch=20, noise=8, generator_width=2, surrogate_steps=3)
ITERATION = 20 * (2 + 3)


@pytest.fixture(scope="module")
def victims(digits, learning):
    return [mea.train_clean(digits.owner, learning, seed=seed) for seed in (0, 1)]


def weights(model):
    return torch.cat([value.flatten().float() for value in model.state_dict().values()])


def smooth_loss(pixels):
    """A differentiable loss of (N, C, H, W) pixels in [0, 1], far from linear in the whole range."""
    flat = pixels.flatten(1)
    mixing = torch.linspace(-1, 1, 3 * flat.shape[1]).view(flat.shape[1], 3).sin()
    return (flat @ mixing).sin().sum(1) + flat.square().mean(1)


@pytest.mark.parametrize("step", [0.5, 1.0, 2.0])
def test_many_directions_give_the_gradient_of_autograd(step):
    images = torch.randint(40, 215, (4, 1, 8, 8), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    pixels = (images / 255).requires_grad_()
    (true,) = torch.autograd.grad(smooth_loss(pixels).sum(), pixels)
    found = estimate_gradient(
        lambda asked: smooth_loss(asked / 255),
        images,
        directions=8_000,
        step=step,
        generator=torch.Generator().manual_seed(2),
    )
    assert torch.cosine_similarity(true.flatten(1), found.flatten(1)).min() > 0.98
    ratio = found.flatten(1).norm(dim=1) / true.flatten(1).norm(dim=1)
    assert (ratio - 1).abs().max() < 0.05


@pytest.mark.parametrize("step", [0.3, 1.0, 4.0])
def test_the_direction_is_the_step_that_was_taken_after_rounding(step):
    """Of a linear loss the estimate by one direction is exact along the images that were queried."""
    images = torch.randint(0, 256, (5, 3, 6, 6), generator=torch.Generator().manual_seed(3)).to(torch.uint8)
    slope = torch.randn(3 * 36, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    calls = []

    def loss(asked):
        calls.append(asked)
        return (asked.flatten(1).double() / 255) @ slope

    found = estimate_gradient(loss, images, directions=1, step=step, generator=torch.Generator())
    (asked,) = calls
    assert asked.dtype == torch.uint8
    assert torch.equal(asked[:5], images)
    taken = (asked[5:].double() - images.double()).flatten(1) / 255  # (N, D)
    assert (taken.abs().max(1).values * 255 <= 6 * step + 1).all()
    along = (found.flatten(1) * taken).sum(1)
    assert along.tolist() == pytest.approx((3 * 36 * (taken @ slope)).tolist(), rel=1e-4)


def test_an_image_that_did_not_move_gives_no_slope():
    images = torch.full((2, 1, 4, 4), 7, dtype=torch.uint8)
    found = estimate_gradient(
        lambda asked: torch.rand(len(asked)), images, directions=3, step=1e-3, generator=torch.Generator()
    )
    assert torch.equal(found, torch.zeros(2, 1, 4, 4))


def test_recovered_logits_are_the_logits_less_their_mean():
    logits = torch.randn(30, 10, generator=torch.Generator().manual_seed(0)) * 2
    expected = logits - logits.mean(1, keepdim=True)
    found = recovered_logits(logits.softmax(1), floor=1e-9)
    assert torch.allclose(found, expected, atol=1e-4)
    assert disagreement(expected, logits.softmax(1), 1e-9).max() < 1e-4
    assert disagreement(expected + 0.5, logits.softmax(1), 1e-9).tolist() == pytest.approx(
        [0.5] * 30, rel=1e-3
    )


def test_hard_labels_are_recovered_as_one_hot_rows_raised_to_the_floor():
    found = recovered_logits(torch.eye(4), floor=torch.e**-8)
    assert torch.allclose(found, 8 * torch.eye(4) - 2, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 28, 28), (3, 32, 32), (3, 17, 17)])
def test_the_generator_makes_images_of_the_shape(shape):
    pixels = QueryGenerator(8, shape, width=2)(torch.randn(5, 8))
    assert pixels.shape == (5, *shape)
    assert 0 <= pixels.min() < 0.5 < pixels.max() <= 1
    assert pixels.std(0).max() > 0.05


def test_more_contrast_makes_more_black_and_white():
    noise = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    spread = [QueryGenerator(8, SHAPE, 4, contrast)(noise).std().item() for contrast in (0.5, 1.0, 3.0)]
    assert spread == sorted(spread)


@pytest.mark.usefixtures("processors_own_precision")
def test_the_generators_steps_raise_the_disagreement(victims, tiny):
    settings = DataFree(batch=64, noise=8, generator_width=4, directions=4, generator_rate=1e-2, balance=0)
    queries = data_free._GeneratedQueries(mea.Oracle(victims[0]), SHAPE, settings, seed=0)
    optimizer = torch.optim.Adam(queries.maker.parameters(), settings.generator_rate)

    def measured():
        images, answers = queries.ask(500)
        with torch.no_grad():
            return disagreement(tiny(images), answers, settings.floor).mean().item()

    before = measured()
    for _ in range(30):
        data_free._generator_step(tiny, queries, optimizer, settings)
    assert measured() > 1.2 * before


def test_the_balance_keeps_more_classes_among_the_images(victims):
    surrogate = victims[1]

    def entropy(balance):
        settings = DataFree(batch=64, noise=8, generator_width=4, generator_rate=1e-2, balance=balance)
        queries = data_free._GeneratedQueries(mea.Oracle(victims[0]), SHAPE, settings, seed=0)
        optimizer = torch.optim.Adam(queries.maker.parameters(), settings.generator_rate)
        for _ in range(20):
            data_free._generator_step(surrogate, queries, optimizer, settings)
        with torch.no_grad():
            shares = surrogate(queries.ask(500)[0]).softmax(1).mean(0)
        return -(shares * shares.log()).sum().item()

    assert entropy(500.0) > entropy(0.0) + 0.3


@pytest.mark.parametrize("budget", [1, 19, 20, 21, 20 + ITERATION, 2 * ITERATION + 7, None])
def test_a_budget_is_spent_to_the_last_image_and_never_beyond(tiny, quick, budget):
    oracle = mea.Oracle(tiny, budget=budget)
    surrogate = SMALL.extract(oracle, NO_IMAGES, quick)
    assert oracle.queries == (budget or SMALL.queries)
    assert surrogate.card["history"]["queries"] == oracle.queries
    assert not surrogate.training


def test_what_each_query_is_for(tiny, quick):
    oracle = mea.Oracle(tiny, budget=20 + ITERATION + 45)
    SMALL.extract(oracle, NO_IMAGES, quick)
    fingerprint, estimate, surrogates, rest = [20], [40], [20, 20, 20], [20, 20, 5]
    assert [query.images for query in oracle.log] == fingerprint + estimate + surrogates + rest


def test_only_the_shape_of_images_is_looked_at(tiny, digits, quick):
    names = {
        SMALL.extract(mea.Oracle(tiny), images, quick).card["id"]
        for images in (NO_IMAGES, digits.queries, digits.adversary)
    }
    assert len(names) == 1


def test_an_attack_that_was_stopped_is_made_again_whole(tiny, quick, store, tmp_path):
    class Interrupted(mea.Oracle):
        def __call__(self, images):
            if len(self.log) == 9:
                raise KeyboardInterrupt
            return super().__call__(images)

    with pytest.raises(KeyboardInterrupt):
        SMALL.extract(Interrupted(tiny), NO_IMAGES, quick)
    assert not list(store.root.glob("*.json"))
    again = SMALL.extract(mea.Oracle(tiny), NO_IMAGES, quick)
    with mea.use_store(tmp_path / "other"):
        never_stopped = SMALL.extract(mea.Oracle(tiny), NO_IMAGES, quick)
    assert torch.equal(weights(again), weights(never_stopped))


def test_a_finished_surrogate_is_found_for_one_batch(tiny, quick):
    made = SMALL.extract(mea.Oracle(tiny), NO_IMAGES, quick)
    oracle = mea.Oracle(tiny)
    found = SMALL.extract(oracle, NO_IMAGES, quick)
    assert found.card == made.card
    assert torch.equal(weights(found), weights(made))
    assert oracle.queries == SMALL.batch
    assert found.card["history"]["queries"] == SMALL.queries


@pytest.mark.parametrize("answer", ["soft", "hard"])
def test_other_victims_seeds_settings_and_budgets_are_other_surrogates(victims, quick, answer):
    short = DataFree(queries=120, batch=100, noise=8, generator_width=4)

    def name(victim=0, budget=None, method=short, scale=quick, seed=0):
        oracle = mea.Oracle(victims[victim], budget, answer=answer)
        return method.extract(oracle, NO_IMAGES, scale, seed=seed).card["id"]

    names = [
        name(),
        name(victim=1),
        name(budget=110),
        name(seed=1),
        name(scale=quick.but(width=3)),
        name(scale=quick.but(network="vgg_like")),
        name(method=replace(short, floor=1e-3)),
    ]
    assert len(set(names)) == len(names)
    assert name() == names[0]


def test_the_same_seed_plays_the_same_game(tiny, quick, tmp_path):
    made = []
    for place, seed in enumerate((4, 4, 5)):
        with mea.use_store(tmp_path / str(place)):
            made.append(SMALL.extract(mea.Oracle(tiny), NO_IMAGES, quick, seed=seed))
    assert torch.equal(weights(made[0]), weights(made[1]))
    assert not torch.equal(weights(made[0]), weights(made[2]))


def test_measures_are_kept_on_the_way(tiny, quick):
    checks = SMALL.extract(mea.Oracle(tiny), NO_IMAGES, quick).card["history"]["checks"]
    seen = [check["queries"] for check in checks]
    assert seen == sorted(set(seen))
    assert len(seen) > 2
    assert seen[-1] == SMALL.queries
    assert all(0 <= check["agreement"] <= 1 and check["disagreement"] > 0 for check in checks)


def test_the_surrogate_that_agrees_on_more_is_kept(tiny, digits):
    surrogate = copy.deepcopy(tiny)
    images = digits.owner.images[:100]
    best = BestSurrogate(surrogate, 1e-6)
    answers = tiny(images).softmax(1).detach()
    best.compare([(images, answers)], 100)
    with torch.no_grad():
        surrogate.head.bias -= 100 * torch.nn.functional.one_hot(answers.argmax(1).mode().values, 10)
    best.compare([(images, answers)], 200)
    assert torch.equal(weights(best.surrogate), weights(tiny))
    assert best.history[0]["agreement"] == 1 > best.history[1]["agreement"]
    best.compare([(images, surrogate(images).softmax(1).detach())], 300)
    assert torch.equal(weights(best.surrogate), weights(surrogate))


def test_a_surrogate_that_diverges_is_an_error(tiny, digits):
    surrogate = copy.deepcopy(tiny)
    surrogate.head.bias.data.fill_(float("nan"))
    images = digits.owner.images[:5]
    with pytest.raises(FloatingPointError, match="lower surrogate_rate"):
        BestSurrogate(surrogate, 1e-6).compare([(images, tiny(images).softmax(1))], 5)


@pytest.mark.usefixtures("processors_own_precision")
@pytest.mark.parametrize(("answer", "least"), [("soft", 0.35), ("hard", 0.17)])
def test_noise_alone_beats_chance(digits, victims, learning, answer, least):
    """The largest class has 12 % of the test images. 20,000 queries are few: the authors' are 2,000,000."""
    method = DataFree(queries=20_000, batch=32, generator_width=8)
    surrogate = method.extract(mea.Oracle(victims[0], answer=answer), NO_IMAGES, learning)
    assert proof.accuracy(mea.Oracle(surrogate), digits.test) > least


def test_the_authors_settings():
    assert (TRUONG.queries, TRUONG.batch, TRUONG.noise, TRUONG.generator_width) == (20_000_000, 256, 256, 64)
    assert (TRUONG.generator_steps, TRUONG.surrogate_steps, TRUONG.directions) == (1, 5, 1)
    assert (TRUONG.surrogate_rate, TRUONG.generator_rate, TRUONG.weight_decay) == (0.1, 5e-4, 5e-4)
    assert (TRUONG.milestones, TRUONG.decay) == ((0.1, 0.3, 0.5), 0.3)
    assert (TRUONG.contrast, TRUONG.balance) == (1.0, 0.0)


def test_impossible_settings_are_refused(tiny, quick):
    for name in ("queries", "batch", "noise", "generator_width", "generator_steps", "surrogate_steps"):
        with pytest.raises(ValueError, match=name):
            DataFree(**{name: 0})
    for options in ({"directions": 0}, {"step": 0}, {"contrast": 0}, {"surrogate_rate": 0}, {"decay": 0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            DataFree(**options)
    for options in (
        {"weight_decay": -1},
        {"balance": -1},
        {"floor": 1},
        {"floor": 0},
        {"milestones": (0.5, 1.0)},
    ):
        with pytest.raises(ValueError, match=next(iter(options))):
            DataFree(**options)
    with pytest.raises(ValueError, match="square images, not 16 by 28"):
        SMALL.extract(mea.Oracle(tiny), torch.empty(0, 1, 16, 28, dtype=torch.uint8), quick)
