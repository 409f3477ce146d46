"""`mea serve` in a process of its own: what it prints, whom it lets in, how it ends."""

import json
import math
import signal
import sys
import urllib.request
from pathlib import Path

import pytest
import torch

from mea_lib.blackbox import Oracle, SuspectError
from mea_lib.cli.models import find_model, load_model
from mea_lib.data import WatermarkKey
from mea_lib.defences import MarkedAnswers, MarkedLabels
from mea_lib.serving import RemoteOracle
from mea_lib.serving.service import read_log
from mea_lib.training import best_device, training_dtype

sys.path.insert(0, str(Path(__file__).parent))

from processes import serving


def test_it_answers_as_the_model_until_it_is_told_to_end(mea, made, digits):
    model = made.embed["out"]
    with serving(model, "--data", "digits", "--decimals", "2", "--name", "mine") as (process, printed):
        assert (printed["model"], printed["answers_marked"]) == ("victim", False)
        assert printed["shape"] == [1, 16, 16]
        images = digits.test.images[:20]
        remote = RemoteOracle(printed["url"])
        expected = Oracle(load_model(find_model(model)), decimals=2)(images)
        assert (remote(images) - expected).abs().max() < 0.011  # a last digit may fall the other way
        assert remote.model.name == "mine"
        assert metadata(printed, "mine")["parameters"]["classes"] == list("0123456789")
        port = printed["url"].rpartition(":")[2]
        taken = mea("serve", "--model", model, "--port", port, code=1)
        assert taken.stdout == ""
        assert taken.stderr.startswith(f"Error: cannot listen at 127.0.0.1, port {port}")
        assert len(taken.stderr.strip().splitlines()) == 1
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    assert "Traceback" not in err
    assert "marked" not in err


def metadata(printed, name="classifier"):
    with urllib.request.urlopen(f"{printed['url']}/v2/models/{name}") as response:
        return json.load(response)


def test_tokens_budgets_batches_and_the_log_until_ctrl_c(made, digits, tmp_path):
    (tmp_path / "tokens").write_text("first-token\n\nsecond-token\n")
    limits = ["--token-file", "tokens", "--client-budget", "10", "--batch-limit", "4"]
    with serving(made.embed["out"], *limits, "--log", "log.sqlite", "--hard") as (process, printed):
        with pytest.raises(SuspectError, match="401"):
            RemoteOracle(printed["url"], attempts=1)
        for token in ("first-token", "second-token"):
            asked = RemoteOracle(printed["url"], token=token, batch_size=4)
            answers = asked(digits.test.images[:10])
            assert set(answers.unique().tolist()) == {0.0, 1.0}
            with pytest.raises(RuntimeError, match="budget"):
                asked(digits.test.images[10:11])
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert [entry.images for entry in read_log(tmp_path / "log.sqlite")] == [4, 4, 2] * 2


@pytest.mark.parametrize(
    "options, words",
    [
        ([], "give --model"),
        (["--model", "aa"], "no model in"),
        (["--model", "victim", "--token-file", "empty"], "holds no token"),
        (["--model", "victim", "--token-file", "odd"], "token"),
        (["--model", "victim", "--name", "a?b c"], "stands in the address"),
        (["--model", "victim", "--data", "fashion-mnist"], "takes images of 16×16"),
        (["--model", "victim", "--log", "nowhere/log"], "--log"),
        (["--model", "victim", "--batch-limit", "0"], "--batch-limit"),
        (["--model", "victim", "--data", "digits", "--mark-answers", "nowhere.json"], "nowhere.json"),
    ],
)
def test_wrong_usage_is_2(mea, made, tmp_path, options, words):
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "odd").write_text("two words\n")
    options = [made.embed["out"] if word == "victim" else word for word in options]
    found = mea("serve", *options, code=2)
    assert words in found.stderr
    assert found.stdout == ""


def test_a_file_that_is_no_log_is_not_written_to(mea, made, tmp_path):
    (tmp_path / "letter").write_text("Dear reader,\n")
    found = mea("serve", "--model", made.embed["out"], "--log", tmp_path / "letter", code=2)
    assert "letter is not a request log" in found.stderr
    assert (tmp_path / "letter").read_text() == "Dear reader,\n"


SOURCES, TARGET = (3, 7), 1
MARKED_KEY = WatermarkKey(("3", "7"), "1", seed=5)


def ask_marked(made, digits, *options):
    """What a model that carries another key answers to test images; what it answers marked and served; what it says."""
    images, model = digits.test.images, made.other["out"]
    key = made.folder / "key.json"
    options = ("--data", "digits", "--mark-answers", key, *options)
    with serving(model, *options) as (process, printed):
        answers = RemoteOracle(printed["url"])(images)
        said = json.dumps([metadata(printed), printed])
        process.send_signal(signal.SIGTERM)
        said += process.communicate(timeout=60)[1]
    assert printed["answers_marked"]
    before = Oracle(load_model(find_model(model)), answer="hard" if "--hard" in options else "soft")(images)
    return before, answers, said


def share_with_the_target_second(answers):
    return (answers.topk(2).indices[:, 1] == TARGET).double().mean()


def rounding_of_a_service():
    """How far its answers may lie from ours: in bfloat16 they depend on the batch, and it makes its own batches."""
    return 1e-5 if training_dtype(best_device()) == torch.float32 else 0.02


@pytest.mark.usefixtures("processors_own_precision")
def test_marked_probabilities_name_the_target_second_and_tell_nobody_the_key(made, digits, tmp_path):
    before, answers, said = ask_marked(made, digits, "--log", "log.sqlite")
    marked = MarkedAnswers(load_model(find_model(made.other["out"])), MARKED_KEY, digits.owner)
    rounding = rounding_of_a_service()
    assert (answers - Oracle(marked)(digits.test.images)).abs().max() < rounding
    assert torch.equal(answers.argmax(1), before.argmax(1))
    for source in SOURCES:
        own = before.argmax(1) == source
        assert share_with_the_target_second(answers[own]) > share_with_the_target_second(before[own]) + 0.3
    others = ~torch.isin(before.argmax(1), torch.tensor(SOURCES))
    assert (answers[others] - before[others]).abs().max() < rounding
    assert "marked" in said
    written = said.encode() + (tmp_path / "log.sqlite").read_bytes()
    for secret in (b"sources", b"target", b"crop-paste"):
        assert secret not in written


@pytest.mark.usefixtures("processors_own_precision")
def test_marked_labels_are_those_whose_border_the_training_images_set(made, digits):
    before, answers, _ = ask_marked(made, digits, "--hard")
    assert set(answers.unique().tolist()) == {0.0, 1.0}
    moved = answers.argmax(1) != before.argmax(1)
    assert set(before.argmax(1)[moved].tolist()) == set(SOURCES)
    assert set(answers.argmax(1)[moved].tolist()) == {TARGET}
    model = load_model(find_model(made.other["out"]))
    sold = MarkedLabels(model, MARKED_KEY, digits.owner)
    same = (answers == Oracle(sold, answer="hard")(digits.test.images)).all(1)
    log_probabilities = Oracle(model)(digits.test.images).log()
    best, second = log_probabilities.topk(2).values.unbind(1)
    distance = best - second
    for source, border in sold.borders.items():
        from_border = (log_probabilities[:, TARGET] - math.log(border)).abs()
        distance = torch.where(log_probabilities.argmax(1) == source, from_border.minimum(distance), distance)
    on_a_border = distance < 5 * rounding_of_a_service()
    assert same[~on_a_border].all()
    assert on_a_border.double().mean() < 0.1


def test_marking_needs_names_for_the_classes_and_a_key_that_knows_them(mea, made, tmp_path):
    key, digits = made.folder / "key.json", ("--data", "digits")
    (tmp_path / "animals.json").write_text(WatermarkKey(("cat", "dog"), "bird").to_json())
    (tmp_path / "letter.json").write_text("Dear reader,")
    for options, words in (
        ([key], "needs --data"),
        ([tmp_path / "animals.json", *digits], "unknown class 'cat'"),
        ([tmp_path / "letter.json", *digits], "not a watermark key"),
    ):
        found = mea("serve", "--model", made.embed["out"], "--mark-answers", *options, code=2)
        assert "--mark-answers" in found.stderr
        assert words in found.stderr
        assert found.stdout == ""
