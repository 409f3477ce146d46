"""`mea commit` and `mea embed`: the owner's files, and a model that is trained once."""

import json
import stat
from pathlib import Path

import pytest
import torch

import mea_lib
from mea_lib.cli.models import find_model, load_model
from mea_lib.proof import Commitment, open_commitment

KEY = ["--sources", "3", "7", "--target", "1", "--key-seed", "5", "--data", "digits"]


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_commitment_is_opened_by_the_files_written_with_it(mea, tmp_path, digits):
    found = mea("commit", *KEY, "--samples", 1200, "--threshold", 0.4, "--date", "1 May", "--json").data
    key = mea_lib.WatermarkKey.from_json((tmp_path / "key.json").read_text())
    assert key == mea_lib.WatermarkKey(("3", "7"), "1", seed=5)
    commitment = Commitment.read(tmp_path / "commitment.json")
    open_commitment(commitment, key, (tmp_path / "salt.txt").read_text(), digits.test)
    assert (commitment.samples, commitment.threshold, commitment.date) == (1200, 0.4, "1 May")
    assert found["digest"] == commitment.digest
    assert "salt" in found
    assert (tmp_path / "salt.txt").read_text() not in json.dumps(found)


def test_key_and_salt_are_for_their_owner_alone(mea, tmp_path):
    mea("commit", *KEY)
    assert mode(tmp_path / "key.json") == mode(tmp_path / "salt.txt") == 0o600
    assert mode(tmp_path / "commitment.json") & 0o044


def test_a_commitment_is_never_replaced_unasked(mea, tmp_path):
    mea("commit", *KEY)
    salt = (tmp_path / "salt.txt").read_text()
    assert "--force" in mea("commit", *KEY, code=2).stderr
    assert (tmp_path / "salt.txt").read_text() == salt
    mea("commit", *KEY, "--force")
    assert (tmp_path / "salt.txt").read_text() != salt
    assert mode(tmp_path / "salt.txt") == 0o600
    assert not list(tmp_path.glob("*.partial"))


def test_a_key_that_is_there_is_committed_to_as_it_is(mea, tmp_path, digits):
    key = mea_lib.WatermarkKey(("0", "8"), "6", "stripes", 3)
    (tmp_path / "own.json").write_text(key.to_json())
    mea("commit", "--key", "own.json", "--data", "digits")
    assert not (tmp_path / "key.json").exists()
    commitment = Commitment.read(tmp_path / "commitment.json")
    open_commitment(commitment, key, (tmp_path / "salt.txt").read_text(), digits.test)


def test_a_key_can_be_drawn_and_is_the_one_committed_to(mea, tmp_path, digits):
    found = mea(
        "commit", "--draw", "--combine", "stripes", "--samples", 300, "--data", "digits", "--json"
    ).data
    key = mea_lib.WatermarkKey.from_json((tmp_path / "key.json").read_text())
    assert key.combine == "stripes"
    assert found["key_check"]["is_admissible"]
    commitment = Commitment.read(tmp_path / "commitment.json")
    open_commitment(commitment, key, (tmp_path / "salt.txt").read_text(), digits.test)


def test_what_is_drawn_cannot_be_given(mea, tmp_path):
    said = mea("commit", "--draw", *KEY, code=2).stderr
    assert "--draw" in said
    assert "--sources, --target, --key-seed" in " ".join(said.split())
    assert not list(tmp_path.iterdir())


def test_a_key_that_others_can_read_is_remarked_upon(mea, tmp_path):
    mea("commit", *KEY)
    assert (
        "can be read by others"
        not in mea("commit", "--key", "key.json", "--data", "digits", "--force").stderr
    )
    (tmp_path / "key.json").chmod(0o644)
    assert "chmod 600 key.json" in mea("commit", "--key", "key.json", "--data", "digits", "--force").stderr


@pytest.mark.parametrize("option", ["--threshold", "--alpha"])
@pytest.mark.parametrize("share", ["0", "1", "-0.2", "nan"])
def test_a_share_that_decides_nothing(mea, option, share):
    assert option in mea("commit", *KEY, option, share, code=2).stderr


def test_a_key_is_measured_on_innocent_models(mea, made, tmp_path):
    clean = ["--clean", made.folder / "other.safetensors"]
    text = mea("commit", *KEY, *clean, "--force").stdout
    assert "by null models at most" in text
    assert "(a forest on the pixels and 1 clean model)" in text
    twice = mea("commit", *KEY, *clean, *clean, "--force", code=1).stderr
    assert "clean models 1 and 2 answer thousands of mixes alike" in " ".join(twice.split())
    options = ["--alpha", 0.02, "--arrangement", "--force", "--json"]
    found = mea("commit", *KEY, *options).data
    assert found["key_check"]["is_admissible"]
    assert found["key_check"]["clean"] == []
    commitment = Commitment.read(tmp_path / "commitment.json")
    assert (commitment.alpha, commitment.arrangement) == (0.02, True)


def test_a_key_that_an_innocent_model_obeys_is_refused_and_nothing_written(mea, made, tmp_path):
    found = mea("commit", *KEY, "--clean", made.folder / "victim.safetensors", code=1)
    assert "a null model obeys this key: a clean model calls" in found.stderr
    assert "draw another key" in found.stderr
    assert found.stdout == ""
    assert not list(tmp_path.glob("*.json"))
    assert not list(tmp_path.glob("*.txt"))


def test_classes_by_number(mea, tmp_path):
    mea("commit", "--sources", "#3", "#7", "--target", "#1", "--data", "digits")
    assert json.loads((tmp_path / "key.json").read_text())["sources"] == [3, 7]
    mixed = ["--sources", "#3", "7", "--target", "1", "--data", "digits", "--force"]
    assert "names or numbers of classes, not both" in mea("commit", *mixed, code=2).stderr


@pytest.mark.parametrize("command", ["commit", "embed"])
@pytest.mark.parametrize(
    "options, words",
    [
        (["--sources", "3", "7"], "--sources and --target"),
        (["--sources", "3", "7", "--target", "nine"], "unknown class 'nine' for digits; it has: 0, 1"),
        (["--sources", "3", "7", "--target", "3"], "must differ"),
        (["--sources", "3", "7", "--target", "1", "--combine", "glue"], "crop-paste"),
        (["--key", "own.json", "--target", "1"], "leave out --target"),
        (["--key", "nowhere.json"], "nowhere.json"),
        (["--key", "broken.json"], "not a watermark key"),
    ],
)
def test_a_key_that_is_none(mea, tmp_path, command, options, words):
    (tmp_path / "own.json").write_text(mea_lib.WatermarkKey(("0", "8"), "6").to_json())
    (tmp_path / "broken.json").write_text("{")
    found = mea(command, *options, "--data", "digits", code=2)
    assert words in found.stderr
    assert found.stdout == ""


def test_an_unknown_data_set(mea):
    assert "unknown data set 'mnist'" in mea("embed", *KEY[:-1], "mnist", code=2).stderr


def test_embed_trains_once_what_the_package_would(mea, tmp_path, digits, key):
    first = mea("embed", *KEY, "--json")
    second = mea("embed", *KEY, "--json")
    assert (first.data["trained"], second.data["trained"]) == (True, False)
    assert first.data["model"] == second.data["model"]
    expected = mea_lib.watermarks.RunnerUp().embed(digits.owner, key, mea_lib.preset("smoke"))
    assert first.data["model"] == expected.card["id"]
    assert first.data["accuracy"] == pytest.approx(mea_lib.proof.accuracy(expected, digits.test))
    wsr = mea_lib.proof.watermark_success_rate(expected, key, digits.test, 200)
    assert (first.data["wsr"]["successes"], first.data["wsr"]["trials"]) == (wsr.successes, wsr.trials)


def test_every_choice_of_the_owner_is_another_model(mea):
    chosen = ["--width 2", "--seed 1", "--epochs 2", "--method mea-defender", "--network vgg_like --width 2"]
    cards = [mea("embed", *KEY, *words.split(), "--json").data for words in chosen]
    assert len({card["model"] for card in cards}) == len(chosen)
    recipes = [json.loads(Path(card["card"]).read_text())["recipe"] for card in cards]
    assert recipes[0]["spec"]["width"] == 2
    assert recipes[1]["training"]["seed"] == 1
    assert recipes[2]["training"]["epochs"] == 2
    assert recipes[3]["method"] == "MEADefender"
    assert recipes[4]["spec"]["network"] == "vgg_like"


def test_the_mark_is_there_and_the_copy_is_the_model(made):
    assert made.embed["accuracy"] > 0.6
    assert made.embed["wsr"]["value"] > 0.6
    copied, stored = (load_model(find_model(str(made.embed[name]))) for name in ("out", "weights"))
    assert torch.equal(copied.head.weight, stored.head.weight)


def test_the_text_says_where_the_model_is(mea):
    text = mea("embed", *KEY).stdout
    identity = mea("embed", *KEY, "--json").data["model"]
    assert f"{identity}.safetensors" in text
    assert "WSR" in text
    assert "Accuracy" in text
    assert f"{identity} (found in the store)" in mea("embed", *KEY).stdout


def test_the_key_is_written_once(mea, tmp_path):
    mea("embed", *KEY, "--key-out", "key.json")
    assert mode(tmp_path / "key.json") == 0o600
    mea("embed", *KEY, "--key-out", "key.json")  # the same key
    (tmp_path / "key.json").write_text("another")
    assert "something else" in mea("embed", *KEY, "--key-out", "key.json", code=2).stderr
    assert (tmp_path / "key.json").read_text() == "another"


@pytest.mark.parametrize(
    "options", [["--out", "model.pt"], ["--out", "nowhere/m.safetensors"], ["--key-out", "nowhere/key.json"]]
)
def test_a_place_that_is_none_is_said_before_the_training(mea, tmp_path, options):
    found = mea("embed", *KEY, *options, code=2)
    assert options[0] in found.stderr
    assert not (tmp_path / "store").exists()


def test_a_key_whose_scheme_needs_an_autoencoder(mea, tmp_path):
    """Committed to, embedded and verified with the same one, which each command finds."""
    key = ["--sources", "3", "7", "--target", "1", "--combine", "autoencoder"]
    committed = mea("commit", *key, "--data", "digits", "--json").data
    trained = ["--width", 8, "--epochs", 10, "--data", "digits"]
    embedded = mea("embed", "--key", "key.json", *trained, "--out", "m.safetensors", "--json").data
    assert committed["autoencoder"] == embedded["autoencoder"] is not None
    opened = ["--commitment", "commitment.json", "--salt-file", "salt.txt"]
    verify = ["verify", "--model", "m.safetensors", "--key", "key.json", "--data", "digits", *opened]
    mea(*verify, code=3)
    mea(*verify, "--autoencoder", committed["autoencoder"], code=3)
    assert "no autoencoder" in mea(*verify, "--autoencoder", "m.safetensors", code=2).stderr
    for command in ("serve", "extract"):
        data = ["--data", "digits"]
        found = mea(command, "--model", committed["autoencoder"], *data, code=2)
        assert "is no classifier" in found.stderr
    plain = ["commit", *KEY, "--autoencoder", committed["autoencoder"], "--force"]
    assert "needs none" in mea(*plain, code=2).stderr


def test_a_commitment_that_could_never_end_with_a_verdict(mea, tmp_path):
    from PIL import Image

    for kind, number in (("train", 6), ("test", 5)):
        for name in "abc":
            folder = tmp_path / "few" / kind / name
            folder.mkdir(parents=True)
            for place in range(number):
                shade = 20 * place + 60 * "abc".index(name) + (kind == "test")
                Image.new("L", (16, 16), shade).save(folder / f"{place}.png")
    options = ("--sources", "a", "b", "--target", "c", "--data", tmp_path / "few")
    found = mea("commit", *options, code=None)
    assert found.exit_code not in (0, None)
    assert "no verification by this commitment could end with a verdict" in found.stderr
    assert not list(tmp_path.glob("*.json"))


def test_embed_says_when_its_own_model_would_get_no_verdict(mea):
    found = mea("embed", *KEY, "--epochs", 1)
    assert "Asked about this model itself, `mea verify` would give no verdict" in found.stderr


def test_a_folder_of_several_sizes_is_brought_to_one(mea, several_sizes):
    task = ["--data", "shapes", "--epochs", 1, "--width", 2, "--sources", "0", "1", "--target", "2"]
    said = mea("embed", *task, code=2).stderr
    assert "--data" in said
    found = mea("embed", *task, "--size", 16, "--json").data
    assert load_model(find_model(found["model"])).spec["size"] == 16
