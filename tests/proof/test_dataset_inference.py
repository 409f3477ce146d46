"""Dataset inference: distances against slow walks and closed forms, the test against scipy, who is convicted."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import hmean, ttest_ind

import mea_lib as mea
from mea_lib.data import ImageSet
from mea_lib.proof import BlindWalk, DatasetInference, MinGD, verify_dataset
from mea_lib.proof.dataset_inference import harmonic_mean, separation, welch_p_values

NAMES = tuple("abcd")
SHORT = DatasetInference(BlindWalk(1, steps=8, laplace=0.02, normal=0.02, uniform=0.02), epochs=100)


def painted(number, seed, depth):
    """Grey images whose corner says class, depth and a number; noise leaves the first two readable."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(number) % 4
    images = torch.full((number, 1, 8, 8), 128, dtype=torch.uint8)
    images[:, 0, 0, 0] = (labels * 60 + 30).to(torch.uint8)
    deep = (depth + 0.15 * torch.randn(number, generator=generator)).clamp(0, 1)
    images[:, 0, 0, 1] = (deep * 255).to(torch.uint8)
    images[:, 0, 0, 2] = torch.randint(256, (number,), generator=generator).to(torch.uint8)
    return ImageSet(images, labels, NAMES, "painted")


PRIVATE, PUBLIC = painted(200, 0, 0.7), painted(200, 1, 0.4)
SAME = painted(200, 2, 0.4)


def model(reads_depth, seed=0):
    """Names the class until the grey strays too far, which is farther for deep images, if it reads the depth."""

    def ask(images):
        label, depth, number = images[:, 0, 0, :3].long().T
        strayed = (images[:, 0, 1:].flatten(1).float() - 128).abs().mean(1) / 255
        of_its_own = (number * (2 * seed + 1) % 64) / 64
        bound = 0.02 + 0.01 * of_its_own + (0.05 * depth / 255 if reads_depth else 0.03)
        label = torch.where(strayed > bound, label // 60 + 1, label // 60) % 4
        return torch.nn.functional.one_hot(label, 4).float()

    return ask


VICTIM = model(True)
CLEAN = [model(False, seed) for seed in range(1, 4)]


def test_a_blind_walk_is_a_slow_loop_over_images():
    walk = BlindWalk(directions=3, steps=7, laplace=0.02, normal=0.02, uniform=0.03, seed=4)
    data = SAME.subset(12)
    found = walk.distances(VICTIM, data)
    generator = torch.Generator().manual_seed(4)
    queries = 12
    for norm in range(3):
        for direction in range(3):
            noise = walk._noise(("l1", "l2", "linf")[norm], tuple(data.images.shape), generator)
            for n in range(12):
                for step in range(1, 8):
                    pixels = (data.images[n : n + 1] / 255 + step * noise[n : n + 1]).clamp(0, 1)
                    moved = (pixels * 255).round().to(torch.uint8)
                    queries += 1
                    if VICTIM(moved).argmax() != data.labels[n]:
                        break
                offset = (moved.float() - data.images[n].float()).flatten() / 255
                expected = [offset.abs().sum(), offset.square().sum().sqrt(), offset.abs().max()][norm]
                assert found.values[n, norm, direction] == pytest.approx(expected.item(), rel=1e-5)
    assert found.queries == queries <= walk.most_queries(12)


def test_noise_has_the_scale_that_is_said():
    walk = BlindWalk(laplace=0.3, normal=0.2, uniform=0.1)
    noise = {
        norm: walk._noise(norm, (50, 1, 20, 20), torch.Generator().manual_seed(0))
        for norm in ("l1", "l2", "linf")
    }
    assert noise["l1"].abs().mean() == pytest.approx(0.3, rel=0.02)
    assert noise["l1"].square().mean() == pytest.approx(2 * 0.3**2, rel=0.05)
    assert noise["l2"].std() == pytest.approx(0.2, rel=0.02)
    assert noise["linf"].abs().max() == pytest.approx(0.1, rel=0.01)
    assert noise["linf"].std() == pytest.approx(0.1 / 3**0.5, rel=0.02)
    assert all(abs(one.mean()) < 0.01 for one in noise.values())


def test_an_image_called_otherwise_is_at_the_boundary_and_one_that_stays_is_as_far_as_the_last_step():
    walk = BlindWalk(directions=1, steps=4, uniform=0.02)
    wrong = replace(SAME, labels=(SAME.labels + 1) % 4)
    assert (walk.distances(VICTIM, wrong).values == 0).all()
    steady = walk.distances(lambda images: torch.eye(4)[images[:, 0, 0, 0].long() // 60 % 4], SAME)
    assert steady.values[:, 2].max() <= 4 * 0.02 + 1 / 255
    assert steady.values[:, 2].min() > 3 * 0.02


class Linear(torch.nn.Module):
    """Logits that are linear in the pixels."""

    def __init__(self, classes=2, seed=0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = torch.nn.Parameter(torch.randn(classes, 16, generator=generator))

    def forward(self, images):
        pixels = images.float() / 255 if images.dtype == torch.uint8 else images
        return (pixels - 0.5).flatten(1) @ self.weight.T


def linear_data(model, number=12):
    images = torch.randint(120, 136, (number, 1, 4, 4), generator=torch.Generator().manual_seed(1))
    images = images.to(torch.uint8)
    names = tuple(map(str, range(len(model.weight))))
    return ImageSet(images, model(images).argmax(1), names, "linear")


def test_gradient_descent_finds_the_closed_form_distances_of_a_linear_model():
    linear = Linear()
    data = linear_data(linear)
    steps = MinGD(l1_step=0.001, coordinates=1, l2_step=0.001, linf_step=0.0005)
    found = steps.distances(linear, data).values[:, :, 0]  # (N, 3), to the one other class
    logits = linear(data.images).detach()
    gap = logits.amax(1) - logits.amin(1)
    across = (linear.weight[0] - linear.weight[1]).detach()
    dual = (across.abs().max(), across.norm(), across.abs().sum())
    for norm, step in enumerate((0.001, 0.001, 0.0005)):
        exact = gap / dual[norm]
        assert (found[:, norm] >= exact - 1e-5).all()
        assert (found[:, norm] <= exact + step + 1e-5).all()


def test_other_classes_come_nearest_first_and_a_mistaken_image_has_no_way_to_go():
    linear = Linear(classes=5)
    data = linear_data(linear)
    few = MinGD(classes=2, l2_step=0.05, linf_step=0.02, l1_step=0.2, coordinates=4)
    found, every = few.distances(linear, data).values, replace(few, classes=9).distances(linear, data).values
    assert found.shape == (12, 3, 2)
    assert every.shape == (12, 3, 4)
    assert (every.diff(dim=2) >= 0).all()
    assert (found[:, :, 0] > 0).all()
    second = replace(data, labels=linear(data.images).topk(2).indices[:, 1])
    assert (few.distances(linear, second).values[:, :, 0] == 0).all()


def test_p_values_are_scipys():
    generator = np.random.default_rng(0)
    private, public = generator.normal(0, 1, (20, 10)), generator.normal(0.3, 2, (20, 10))
    expected = ttest_ind(public, private, axis=1, equal_var=False, alternative="greater").pvalue
    np.testing.assert_allclose(welch_p_values(private, public), expected)
    assert harmonic_mean(expected) == pytest.approx(hmean(expected))
    flat = np.zeros((1, 10))
    assert welch_p_values(flat, flat) == welch_p_values(flat + 1, flat) == 1
    assert welch_p_values(flat, flat + 1) == 0
    assert harmonic_mean(np.array([0.0, 0.5])) == 0


def test_images_of_one_distribution_are_told_apart_no_oftener_than_alpha():
    generator = np.random.default_rng(1)
    method = DatasetInference(repetitions=50)
    p_values = [separation(*generator.normal(size=(2, 60)), method).p_value for _ in range(200)]
    assert np.mean(np.array(p_values) < 0.01) < 0.03
    apart = separation(generator.normal(-2, 1, 60), generator.normal(0, 1, 60), method)
    assert apart.p_value < 0.01
    assert apart.difference == pytest.approx(2, abs=0.5)


@pytest.mark.parametrize("clean", [(), CLEAN], ids=["alone", "beside null models"])
def test_who_knows_the_private_images_is_convicted_and_clean_models_are_not(clean):
    guilty = verify_dataset(model(True, 9), VICTIM, PRIVATE, PUBLIC, clean, SHORT)
    assert guilty.is_stolen
    assert guilty.separation.private == guilty.separation.public == 100
    innocent = verify_dataset(model(False, 20), VICTIM, PRIVATE, PUBLIC, clean, SHORT)
    assert not innocent.is_stolen
    assert not verify_dataset(VICTIM, VICTIM, SAME, PUBLIC, clean, SHORT).is_stolen


def test_private_images_that_are_easier_for_everybody_need_null_models():
    """Szyller et al.: an independent model is accused, where nobody says what such models do."""
    others = [model(True, seed) for seed in range(1, 4)]
    alone = verify_dataset(model(True, 9), VICTIM, PRIVATE, PUBLIC, (), SHORT)
    beside = verify_dataset(model(True, 9), VICTIM, PRIVATE, PUBLIC, others, SHORT)
    assert alone.is_stolen
    assert not beside.is_stolen
    assert beside.paper_p_value == alone.p_value < 0.01 < beside.null_p_value


def test_images_without_an_answer_are_left_out_and_silence_makes_no_accusation():
    def silent(images):
        answers = VICTIM(images)
        unmoved = (images[:, 0, 1:] == 128).flatten(1).all(1)
        answers[unmoved & (images[:, 0, 0, 0] < 60)] = torch.nan
        return answers

    partly = SHORT.embedding.distances(silent, SAME)
    assert partly.values[SAME.labels == 0].isnan().all()
    assert not partly.values[SAME.labels != 0].isnan().any()
    nothing = verify_dataset(
        lambda images: torch.full((len(images), 4), torch.nan), VICTIM, PRIVATE, PUBLIC, (), SHORT
    )
    assert "no verdict" in nothing.verdict
    assert (nothing.is_stolen, nothing.p_value) == (False, 1.0)
    few = separation(np.full(100, np.nan), np.zeros(100), SHORT)
    assert few is None


def test_the_report_is_for_people_and_for_programs(tmp_path):
    evidence = verify_dataset(VICTIM, VICTIM, PRIVATE, PUBLIC, CLEAN, SHORT)
    assert "Verdict: knows the owner's images" in str(evidence)
    assert "3 clean models" in str(evidence)
    evidence.save(tmp_path / "evidence.json")
    saved = json.loads((tmp_path / "evidence.json").read_text())
    assert saved["is_stolen"] is True
    assert saved["separation"]["private"] == 100
    assert saved["p_value"] == max(saved["paper_p_value"], saved["null_p_value"])
    assert "no clean models" in str(replace(evidence, null_models=()))


def test_what_proves_nothing_is_refused(tiny):
    with pytest.raises(ValueError, match="same classes"):
        verify_dataset(VICTIM, VICTIM, PRIVATE, replace(PUBLIC, classes=tuple("wxyz")))
    with pytest.raises(ValueError, match="needs 20 of either kind, not 19"):
        verify_dataset(VICTIM, VICTIM, PRIVATE.subset(19), PUBLIC)
    with pytest.raises(ValueError, match="at least 2 clean models, not 1"):
        verify_dataset(VICTIM, VICTIM, PRIVATE, PUBLIC, CLEAN[:1])
    with pytest.raises(TypeError, match="MinGD needs the model itself"):
        verify_dataset(VICTIM, VICTIM, PRIVATE, PUBLIC, (), DatasetInference(MinGD()))
    with pytest.raises(ValueError, match="at least 2 samples"):
        DatasetInference(samples=1)
    with pytest.raises(ValueError, match="alpha must lie between 0 and 1"):
        DatasetInference(alpha=1)
    with pytest.raises(ValueError, match="at least 1 direction"):
        BlindWalk(directions=0)
    with pytest.raises(ValueError, match="must be at least 1"):
        MinGD(steps=0)
    asked = mea.Oracle(tiny, budget=5_000)
    with pytest.raises(mea.BudgetSpent, match="takes up to 5080 queries"):
        verify_dataset(asked, VICTIM, PRIVATE, PUBLIC, (), SHORT)
    assert asked.queries == 0
