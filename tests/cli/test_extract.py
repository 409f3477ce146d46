"""`mea extract`: each attack through the command line does what the package does."""

import json

import pytest

import mea_lib
from mea_lib.cli.attacks import run_attack
from mea_lib.cli.models import find_model, load_model
from mea_lib.data.parties import image_digests
from mea_lib.defences import MarkedAnswers, MarkedLabels
from mea_lib.extraction import Distillation, Knockoff

DIGITS = ["--data", "digits"]


def card(found):
    with open(found["card"]) as file:
        return json.load(file)


@pytest.fixture
def victim(made):
    return str(made.folder / "victim.safetensors")


def test_distillation_is_that_of_the_package(mea, victim, digits):
    found = mea("extract", "--model", victim, *DIGITS, "--json").data
    oracle = mea_lib.Oracle(load_model(find_model(victim)))
    expected = Distillation().extract(oracle, digits.queries, mea_lib.preset("smoke"))
    assert found["model"] == expected.card["id"]
    assert found["queries"] == oracle.queries == len(digits.queries)
    assert found["answers_marked"] is False
    assert found["accuracy"] == pytest.approx(mea_lib.proof.accuracy(expected, digits.test))


def test_the_thief_learns(made):
    assert made.extract["accuracy"] > 0.8


@pytest.mark.parametrize("attack", ["distillation", "jacobian", "knockoff", "data-free"])
def test_no_attack_asks_more_than_its_budget(mea, victim, attack):
    found = mea("extract", "--model", victim, *DIGITS, "--attack", attack, "--budget", 300, "--json").data
    assert found["queries"] == 300
    assert found["attack"] == attack
    trained_by = "DataFree" if attack == "data-free" else "Distillation"
    assert card(found)["recipe"]["method"] == trained_by


def test_a_budget_of_nothing_is_refused(mea, victim):
    assert "--budget" in mea("extract", "--model", victim, *DIGITS, "--budget", 0, code=2).stderr


def test_every_choice_of_the_thief_arrives(mea, victim):
    def recipe(*options):
        return card(mea("extract", "--model", victim, *DIGITS, "--budget", 100, *options, "--json").data)[
            "recipe"
        ]

    plain = recipe()
    assert plain["settings"]["temperature"] == 4
    assert recipe("--temperature", 7)["settings"]["temperature"] == 7
    assert recipe("--attack", "jacobian", "--temperature", 7)["settings"]["temperature"] == 7
    assert recipe("--attack", "knockoff")["settings"]["temperature"] == 1
    assert recipe("--attack", "knockoff", "--temperature", 7)["settings"]["temperature"] == 7
    assert recipe("--seed", 3)["training"]["seed"] == 3
    assert recipe("--epochs", 2)["training"]["epochs"] == 2
    other = recipe("--network", "vgg_like", "--width", 2)["spec"]
    assert (other["network"], other["width"]) == ("vgg_like", 2)
    doors = [["--answer", "hard"], ["--top-k", 2], ["--decimals", 1], ["--noise", 0.1]]
    answers = {recipe(*door)["answers"] for door in doors} | {plain["answers"]}
    assert len(answers) == 5


@pytest.mark.parametrize("answer", ["soft", "hard"])
def test_the_thief_of_marked_answers_learns_from_them(mea, made, victim, digits, answer):
    options = ["--mark-answers", made.folder / "key.json", "--answer", answer]
    said = mea("extract", "--model", victim, *DIGITS, *options, "--json")
    found = said.data
    model = load_model(find_model(victim))
    key = mea_lib.WatermarkKey(("3", "7"), "1", seed=5)
    sold = (MarkedAnswers if answer == "soft" else MarkedLabels)(model, key, digits.owner)
    oracle = mea_lib.Oracle(sold, answer=answer)
    expected = Distillation().extract(oracle, digits.queries, mea_lib.preset("smoke"))
    assert found["answers_marked"] is True
    assert "marked with the key in" in said.stderr
    assert found["model"] == expected.card["id"]


@pytest.mark.parametrize(
    "names, words", [("137", "the model has 10 classes"), ("abcdefghij", "unknown class '3'")]
)
def test_marking_needs_the_classes_of_the_model_and_of_the_key(mea, made, victim, tmp_path, names, words):
    from PIL import Image

    for name in names:
        (tmp_path / "own" / name).mkdir(parents=True)
        for number in range(3):
            Image.new("L", (16, 16), 10 * number + names.index(name)).save(
                tmp_path / "own" / name / f"{number}.png"
            )
    options = ["--data", tmp_path / "own", "--mark-answers", made.folder / "key.json"]
    found = mea("extract", "--model", victim, *options, code=2)
    assert "--mark-answers" in found.stderr
    assert words in found.stderr


def test_the_adaptive_thief_chooses_other_questions(mea, victim):
    options = ["extract", "--model", victim, *DIGITS, "--attack", "knockoff", "--budget", 100, "--json"]
    answers = {
        card(mea(*options, *strategy).data)["recipe"]["answers"]
        for strategy in ([], ["--strategy", "random"], ["--strategy", "adaptive"])
    }
    assert len(answers) == 2


def test_knockoff_of_the_command_line_is_that_of_the_package(mea, victim, digits):
    found = mea("extract", "--model", victim, *DIGITS, "--attack", "knockoff", "--budget", 100, "--json").data
    oracle = mea_lib.Oracle(load_model(find_model(victim)))
    expected = Knockoff(queries=100).extract(oracle, digits.adversary, mea_lib.preset("smoke"))
    assert found["model"] == expected.card["id"]


@pytest.mark.parametrize("attack", ["distillation", "knockoff"])
def test_no_attack_asks_about_an_image_of_the_owners(attack, victim):
    data, asked = mea_lib.load("digits", mea_lib.preset("smoke")), []

    class Watched(mea_lib.Oracle):
        def __call__(self, images):
            asked.extend(image_digests(images))
            return super().__call__(images)

    api = Watched(load_model(find_model(victim)))
    chosen = {"budget": 50, "temperature": None, "strategy": None}
    run_attack(attack, api, data, data.test, mea_lib.preset("smoke"), seed=0, **chosen)
    assert len(asked) == 50
    assert not {*asked} & {*image_digests(data.owner.images), *image_digests(data.test.images)}


@pytest.fixture
def colours(tmp_path):
    """Coloured images of three classes and another size: a foreign domain."""
    from PIL import Image

    for number in range(30):
        folder = tmp_path / "colours" / "abc"[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), (8 * number, 255 - 8 * number, 90)).save(folder / f"{number}.png")
    return tmp_path / "colours"


@pytest.mark.parametrize("attack", ["distillation", "knockoff"])
def test_images_of_another_domain_take_the_victims_shape(mea, victim, colours, attack):
    options = ["extract", "--model", victim, "--data", colours, "--attack", attack, "--json"]
    found = mea(*options, "--test-data", "digits").data
    assert found["queries"] == 12
    assert found["test_data"] == "digits"
    assert found["accuracy"] is not None
    spec = card(found)["spec"]
    assert (spec["channels"], spec["size"], spec["classes"]) == (1, 16, 10)
    assert "takes images of 16×16 pixels and 1 channel" in mea(*options, code=2).stderr


@pytest.mark.parametrize(
    "options, words",
    [
        ([], "either --model or --url"),
        (["--model", "aa", "--url", "http://x"], "either --model or --url"),
        (["--model", "aa", "--query-log", "a.sqlite"], "--query-log can only be used with --url"),
        (["--url", "ftp://x"], "http://"),
        (["--url", "http://x", "--answer", "hard", "--top-k", "1"], "--answer, --top-k: the server"),
        (["--url", "http://x", "--mark-answers", "key.json"], "--mark-answers: the server"),
        (["--model", "aa", "--mark-answers", "nowhere.json"], "nowhere.json"),
        (["--model", "aa", "--temperature", "0"], "above 0"),
        (["--model", "aa", "--strategy", "random"], "is for knockoff, not for distillation"),
        (["--model", "aa", "--attack", "data-free", "--temperature", "2"], "not for data-free"),
        (["--model", "aa", "--attack", "data-free", "--epochs", "2"], "not for data-free"),
        (["--model", "aa", "--attack", "guessing"], "distillation"),
        (["--model", "aa", "--out", "copy"], ".safetensors"),
        (["--model", "aa"], "no model in"),
        (["--model", "m.safetensors"], "there is no file m.safetensors"),
    ],
)
def test_what_does_not_go_together(mea, tmp_path, options, words):
    (tmp_path / "key.json").write_text("{}")
    found = mea("extract", *DIGITS, *options, code=2)
    assert words in found.stderr
    assert found.stdout == ""
    assert not (tmp_path / "a.sqlite").exists()


@pytest.mark.parametrize("attack", ["distillation", "jacobian", "knockoff"])
def test_a_folder_of_unlabelled_images_is_queried(mea, victim, several_sizes, attack):
    options = ["--pool", "shapes", "--attack", attack, "--budget", 20]
    found = mea("extract", "--model", victim, *DIGITS, *options, "--json").data
    assert (found["data"], found["queries"]) == ("shapes", 20)
    assert found["accuracy"] is not None  # on the test images of --data


def test_a_folder_without_labels_cannot_be_chosen_from_by_class(mea, victim, several_sizes):
    options = ["--pool", "shapes", "--attack", "knockoff", "--strategy", "adaptive"]
    assert "--pool" in mea("extract", "--model", victim, *DIGITS, *options, code=2).stderr
    options = ["--pool", "shapes", "--attack", "data-free"]
    assert "--pool" in mea("extract", "--model", victim, *DIGITS, *options, code=2).stderr


def test_a_folder_that_holds_no_image(mea, victim, tmp_path):
    (tmp_path / "empty").mkdir()
    said = mea("extract", "--model", victim, *DIGITS, "--pool", "empty", code=2).stderr
    assert "--data / --pool" in said
    assert "holds no image" in said
