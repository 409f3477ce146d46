"""Every extraction of a victim that leaves queries unanswered: rows of NaN are left out, and it is said."""

import warnings

import pytest
import torch

import mea_lib as mea
from mea_lib.blackbox.passed_on import PassedOn
from mea_lib.extraction import (
    CleanAnswers,
    ContSteal,
    DataFree,
    Distillation,
    FeatureDistillation,
    GuidedExtraction,
    Jacobian,
    Knockoff,
    MixedDistillation,
    StolenEncoder,
)
from mea_lib.extraction.forward_differences import estimate_gradient
from mea_lib.models import Input
from mea_lib.models.encoder import build_encoder

METHODS = {
    "clean answers": CleanAnswers(),
    "distillation": Distillation(),
    "distillation of hard labels too": Distillation(soft_weight=0.5),
    "guided extraction": GuidedExtraction(guide_images=50),
    "jacobian": Jacobian(seed_images=30, rounds=2),
    "knockoff": Knockoff(),
    "knockoff by a bandit": Knockoff(strategy="adaptive", batch=32),
    "mixed distillation": MixedDistillation(),
    "data-free": DataFree(queries=500, batch=20, noise=8, generator_width=2, surrogate_steps=3),
    "cont-steal": ContSteal(),
    "cont-steal of two views": ContSteal(views_queried=2),
    "feature distillation": FeatureDistillation(standardise=True),
    "stolen encoder": StolenEncoder(),
}
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


class Silent(PassedOn):
    """Leaves the images without an answer whose sum of pixels divided by `every` leaves a rest of 0."""

    def __init__(self, api, every):
        super().__init__(api)
        self.every = every

    def silent(self, images):
        return images.flatten(1).long().sum(1) % self.every == 0

    def __call__(self, images):
        return self.suspect(images).masked_fill(self.silent(images)[:, None], torch.nan)


@pytest.fixture
def api(method, tiny, digits):
    if isinstance(method, ContSteal | FeatureDistillation | StolenEncoder):
        return mea.FeatureOracle(build_encoder("nine_layer_cnn", Input.of(digits.owner), width=2).eval())
    return mea.Oracle(tiny)


@every_method
def test_images_without_an_answer_are_left_out_and_counted(method, api, digits, quick):
    victim = Silent(api, every=3)
    with pytest.warns(UserWarning, match=r"of \d+ images got no answer and are left out"):
        surrogate = method.extract(victim, digits.owner.subset(150), quick)
    assert all(value.isfinite().all() for value in surrogate.state_dict().values())


@every_method
def test_a_victim_that_is_silent_throughout_is_no_teacher(method, api, digits, quick):
    with pytest.raises(ValueError, match=r"none of the .* images got an answer"):
        method.extract(Silent(api, every=1), digits.owner.subset(60), quick)


@every_method
def test_without_images_there_is_nothing_to_query(method, api, digits, quick):
    if isinstance(method, DataFree):
        return  # which makes its own
    with pytest.raises(ValueError, match="no images to query with"):
        method.extract(api, digits.owner.subset(0), quick)
    assert api.queries == 0


def test_what_is_left_is_trained_on_as_if_nothing_else_had_been_asked(tiny, digits, quick):
    victim = Silent(mea.Oracle(tiny), every=3)
    images = digits.queries[:200]
    with pytest.warns(UserWarning, match="left out"):
        surrogate = Distillation().extract(victim, images, quick)
    same = Distillation().extract(mea.Oracle(tiny), images[~victim.silent(images)], quick)
    assert surrogate.card["id"] == same.card["id"]


def test_guide_labels_stay_with_their_images(tiny, digits, quick):
    victim, method = Silent(mea.Oracle(tiny), every=3), GuidedExtraction(guide_images=40)
    queries = digits.owner.subset(100)
    with pytest.warns(UserWarning, match="left out"):
        surrogate = method.extract(victim, queries, quick)
    heard = queries.subset((~victim.silent(queries.images)).nonzero()[:, 0])
    assert surrogate.card["id"] == method.extract(mea.Oracle(tiny), heard, quick).card["id"]


@every_method
def test_nothing_is_said_where_all_is_answered(method, api, digits, quick):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        method.extract(api, digits.owner.subset(60), quick)


def test_answers_that_hold_nan_are_not_trained_on(digits, quick):
    answers = torch.full((10, 10), 0.1)
    answers[3] = torch.nan
    for method in (Distillation(), FeatureDistillation()):
        with pytest.raises(ValueError, match="1 of 10 answers hold NaN"):
            method.train_surrogate(digits.queries[:10], answers, quick)
    with pytest.raises(ValueError, match="10 images need as many rows"):
        Distillation().train_surrogate(digits.queries[:10], answers[:9], quick)


def test_a_loss_that_nobody_told_gives_no_slope():
    images = torch.full((2, 1, 2, 2), 100, dtype=torch.uint8)

    def loss(queried):
        values = queried.flatten(1).float().sum(1)
        values[1::2] = torch.nan  # of the second image
        return values

    settings = {"directions": 3, "step": 5.0}
    found = estimate_gradient(loss, images, **settings, generator=torch.Generator().manual_seed(0))
    assert found[0].isfinite().all()
    assert not found[1].any()


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_settings_that_are_no_numbers_are_refused(wrong):
    for method in (Distillation, GuidedExtraction, ContSteal):
        with pytest.raises(ValueError, match="temperature must be above 0"):
            method(temperature=wrong)
    with pytest.raises(ValueError, match="answer_temperature"):
        CleanAnswers(answer_temperature=wrong)
    with pytest.raises(ValueError, match="surrogate_rate"):
        DataFree(surrogate_rate=wrong)


def test_answers_that_are_logits_are_refused(digits):
    images = digits.adversary.images[:64]
    answers = torch.randn(64, 10, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=r"from -.* which are no probabilities; .*answers='logits'"):
        Distillation().train_surrogate(images, answers, mea.preset("smoke"))
