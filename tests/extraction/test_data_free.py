"""Data-free extraction: the estimated gradient against autograd, queries counted, interruptions, store."""

import copy

import pytest
import torch

import mea_lib as mea
from mea_lib import proof
from mea_lib.extraction import data_free
from mea_lib.extraction.data_free import (
    TRUONG,
    BestStudent,
    DataFreeSettings,
    disagreement,
    extract,
    recovered_logits,
)
from mea_lib.extraction.forward_differences import estimate_gradient
from mea_lib.extraction.query_generator import QueryGenerator
from mea_lib.training import Store, TrainingSettings

SMOKE = mea.preset("smoke")
SHAPE = (1, 16, 16)
SMALL = DataFreeSettings(queries=500, batch=20, noise=8, generator_width=2, student_steps=3)
ITERATION = 20 * (2 + 3)


@pytest.fixture(scope="module")
def victims(digits, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("victims"))
    training = TrainingSettings(12, 64, 5e-3, augment=False)
    return [mea.train_clean(digits.owner, SMOKE, settings=training, seed=s, store=store) for s in (0, 1)]


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


def test_the_generators_steps_raise_the_disagreement(victims, tiny):
    settings = DataFreeSettings(
        batch=64, noise=8, generator_width=4, directions=4, generator_rate=1e-2, balance=0
    )
    questions = data_free._Questions(mea.Oracle(victims[0]), SHAPE, settings, seed=0)
    optimizer = torch.optim.Adam(questions.maker.parameters(), settings.generator_rate)

    def measured():
        images, answers = questions.ask(500)
        with torch.no_grad():
            return disagreement(tiny(images), answers, settings.floor).mean().item()

    before = measured()
    for _ in range(30):
        data_free._generator_step(tiny, questions, optimizer, settings)
    assert measured() > 1.2 * before


def test_the_balance_keeps_more_classes_among_the_images(victims):
    student = victims[1]

    def entropy(balance):
        settings = DataFreeSettings(
            batch=64, noise=8, generator_width=4, generator_rate=1e-2, balance=balance
        )
        questions = data_free._Questions(mea.Oracle(victims[0]), SHAPE, settings, seed=0)
        optimizer = torch.optim.Adam(questions.maker.parameters(), settings.generator_rate)
        for _ in range(20):
            data_free._generator_step(student, questions, optimizer, settings)
        with torch.no_grad():
            shares = student(questions.ask(500)[0]).softmax(1).mean(0)
        return -(shares * shares.log()).sum().item()

    assert entropy(500.0) > entropy(0.0) + 0.3


@pytest.mark.parametrize("budget", [1, 19, 20, 21, 20 + ITERATION, 2 * ITERATION + 7, None])
def test_a_budget_is_spent_to_the_last_image_and_never_beyond(tiny, store, budget):
    oracle = mea.Oracle(tiny, budget=budget)
    student = extract(oracle, SHAPE, SMOKE, settings=SMALL, store=store)
    assert oracle.queries == (budget or SMALL.queries)
    assert student.card["history"]["queries"] == oracle.queries
    assert not student.training


def test_what_each_question_is_for(tiny, store):
    oracle = mea.Oracle(tiny, budget=20 + ITERATION + 45)
    extract(oracle, SHAPE, SMOKE, settings=SMALL, store=store)
    fingerprint, estimate, students, rest = [20], [40], [20, 20, 20], [20, 20, 5]
    assert [query.images for query in oracle.log] == fingerprint + estimate + students + rest


def test_no_budget_is_refused(tiny, store):
    with pytest.raises(mea.BudgetSpent):
        extract(mea.Oracle(tiny, budget=0), SHAPE, SMOKE, settings=SMALL, store=store)
    assert not list(store.root.glob("*.json"))


def test_an_attack_that_was_stopped_is_made_again_whole(tiny, store, tmp_path):
    class Interrupted(mea.Oracle):
        def __call__(self, images):
            if len(self.log) == 9:
                raise KeyboardInterrupt
            return super().__call__(images)

    with pytest.raises(KeyboardInterrupt):
        extract(Interrupted(tiny), SHAPE, SMOKE, settings=SMALL, store=store)
    assert not list(store.root.glob("*.json"))
    again = extract(mea.Oracle(tiny), SHAPE, SMOKE, settings=SMALL, store=store)
    never_stopped = extract(mea.Oracle(tiny), SHAPE, SMOKE, settings=SMALL, store=Store(tmp_path / "other"))
    assert torch.equal(weights(again), weights(never_stopped))


def test_a_finished_student_is_found_for_one_batch(tiny, store):
    made = extract(mea.Oracle(tiny), SHAPE, SMOKE, settings=SMALL, store=store)
    oracle = mea.Oracle(tiny)
    found = extract(oracle, SHAPE, SMOKE, settings=SMALL, store=store)
    assert found.card == made.card
    assert torch.equal(weights(found), weights(made))
    assert oracle.queries == SMALL.batch
    assert found.card["history"]["queries"] == SMALL.queries


@pytest.mark.parametrize("answer", ["soft", "hard"])
def test_other_victims_seeds_settings_and_budgets_are_other_copies(victims, store, answer):
    short = DataFreeSettings(queries=120, batch=100, noise=8, generator_width=4)

    def name(victim=0, budget=None, settings=short, **options):
        oracle = mea.Oracle(victims[victim], budget, answer=answer)
        return extract(oracle, SHAPE, SMOKE, settings=settings, store=store, **options).card["id"]

    names = [
        name(),
        name(victim=1),
        name(budget=110),
        name(seed=1),
        name(width=3),
        name(network="vgg_like"),
        name(settings=DataFreeSettings(queries=120, batch=100, noise=8, generator_width=4, floor=1e-3)),
    ]
    assert len(set(names)) == len(names)
    assert name() == names[0]


def test_the_same_seed_plays_the_same_game(tiny, tmp_path):
    copies = [
        extract(mea.Oracle(tiny), SHAPE, SMOKE, settings=SMALL, seed=seed, store=Store(tmp_path / str(place)))
        for place, seed in enumerate((4, 4, 5))
    ]
    assert torch.equal(weights(copies[0]), weights(copies[1]))
    assert not torch.equal(weights(copies[0]), weights(copies[2]))


def test_measures_are_kept_on_the_way(tiny, store):
    seen = []

    def measure(student, queries):
        assert not student.training
        seen.append(queries)
        return {"twice": 2 * queries}

    student = extract(mea.Oracle(tiny), SHAPE, SMOKE, settings=SMALL, after_check=measure, store=store)
    checks = student.card["history"]["checks"]
    assert seen == sorted(set(seen))
    assert seen[-1] == SMALL.queries
    assert [check["queries"] for check in checks] == seen
    assert [check["twice"] for check in checks] == [2 * queries for queries in seen]
    assert all(0 <= check["agreement"] <= 1 and check["disagreement"] > 0 for check in checks)


def test_the_student_that_agrees_on_more_is_kept(tiny, digits):
    student = copy.deepcopy(tiny)
    images = digits.owner.images[:100]
    best = BestStudent(student, 1e-6, None)
    answers = tiny(images).softmax(1).detach()
    best.compare([(images, answers)], 100)
    with torch.no_grad():
        student.head.bias -= 100 * torch.nn.functional.one_hot(answers.argmax(1).mode().values, 10)
    best.compare([(images, answers)], 200)
    assert torch.equal(weights(best.student), weights(tiny))
    assert best.history[0]["agreement"] == 1 > best.history[1]["agreement"]
    best.compare([(images, student(images).softmax(1).detach())], 300)
    assert torch.equal(weights(best.student), weights(student))


def test_a_student_that_diverges_is_an_error(tiny, digits):
    student = copy.deepcopy(tiny)
    student.head.bias.data.fill_(float("nan"))
    images = digits.owner.images[:5]
    with pytest.raises(FloatingPointError, match="lower student_rate"):
        BestStudent(student, 1e-6, None).compare([(images, tiny(images).softmax(1))], 5)


@pytest.mark.parametrize(("answer", "least"), [("soft", 0.35), ("hard", 0.17)])
def test_noise_alone_beats_chance(digits, victims, store, answer, least):
    """The largest class has 12 % of the test images. 20,000 queries are few: the authors' are 2,000,000."""
    settings = DataFreeSettings(queries=20_000, batch=32, generator_width=8)
    copied = extract(mea.Oracle(victims[0], answer=answer), SHAPE, SMOKE, settings=settings, store=store)
    assert proof.accuracy(mea.Oracle(copied), digits.test) > least


def test_the_authors_settings():
    assert (TRUONG.queries, TRUONG.batch, TRUONG.noise, TRUONG.generator_width) == (20_000_000, 256, 256, 64)
    assert (TRUONG.generator_steps, TRUONG.student_steps, TRUONG.directions) == (1, 5, 1)
    assert (TRUONG.student_rate, TRUONG.generator_rate, TRUONG.weight_decay) == (0.1, 5e-4, 5e-4)
    assert (TRUONG.milestones, TRUONG.decay) == ((0.1, 0.3, 0.5), 0.3)
    assert (TRUONG.contrast, TRUONG.balance) == (1.0, 0.0)


def test_impossible_settings_are_refused(tiny):
    for name in ("queries", "batch", "noise", "generator_width", "generator_steps", "student_steps"):
        with pytest.raises(ValueError, match=name):
            DataFreeSettings(**{name: 0})
    for options in ({"directions": 0}, {"step": 0}, {"contrast": 0}, {"student_rate": 0}, {"decay": 0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            DataFreeSettings(**options)
    for options in (
        {"weight_decay": -1},
        {"balance": -1},
        {"floor": 1},
        {"floor": 0},
        {"milestones": (0.5, 1.0)},
    ):
        with pytest.raises(ValueError, match=next(iter(options))):
            DataFreeSettings(**options)
    for shape in ((1, 16), (1, 16, 28), (5, 1, 16, 16)):
        with pytest.raises(ValueError, match=r"\(C, H, H\)"):
            extract(mea.Oracle(tiny), shape, SMOKE)
