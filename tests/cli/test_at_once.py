"""Commands that several people, or one person in two terminals, run at the same moment."""

import os
import time
from types import SimpleNamespace

from filelock import FileLock
from typer.testing import CliRunner

import mea_lib.arena
import mea_lib.data
from mea_lib import WatermarkKey
from mea_lib.arena import Outcome, ResultsTable, Trial
from mea_lib.cli import app
from mea_lib.cli.arena import _add_baselines
from mea_lib.cli.models import ModelFiles, copy_model, stored
from mea_lib.data import new_salt
from mea_lib.models import Input, build
from mea_lib.proof import Commitment, open_commitment
from mea_lib.training import current_store

SPEC = {"classes": 3, "inputs": Input(1, 16, (0.0,), (1.0,)), "width": 1}
RECIPE = {"method": "test", "seed": 1}


def invoke(*arguments):
    """Exit code and stderr of a command."""
    found = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return found.exit_code, found.stderr


def commit_at_once(at_once, *options):
    """Four owners with keys of their own, who have all seen that the names are free before one of them writes."""

    def commit(number, together):
        def salt_when_all_are_here():
            together.wait()
            return new_salt()

        mea_lib.data.new_salt = salt_when_all_are_here
        key = ["--sources", "3", "7", "--target", "1", "--key-seed", number, "--data", "digits"]
        return invoke("commit", *key, *options)

    return at_once(commit, 4)


def opens(folder, digits):
    """Whether key, salt and commitment belong together."""
    key = WatermarkKey.from_json((folder / "key.json").read_text())
    salt = (folder / "salt.txt").read_text()
    open_commitment(Commitment.read(folder / "commitment.json"), key, salt, digits.test)
    return True


def test_of_several_commitments_one_is_made_and_the_others_say_so(at_once, tmp_path, digits):
    found = commit_at_once(at_once)
    assert sorted(code for code, _ in found) == [0, 2, 2, 2]
    for words in (words for code, words in found if code):
        assert "key.json is there already and holds something else; nothing was written" in words
    assert opens(tmp_path, digits)
    assert not list(tmp_path.glob("*.partial"))


def test_commitments_that_replace_each_other_are_never_mixed(at_once, tmp_path, digits):
    assert [code for code, _ in commit_at_once(at_once, "--force")] == [0, 0, 0, 0]
    assert opens(tmp_path, digits)


def test_a_commitment_needs_three_files(mea, tmp_path):
    key = ["--sources", "3", "7", "--target", "1", "--data", "digits"]
    assert "must be different files" in mea("commit", *key, "--salt-out", "key.json", code=2).stderr
    assert not list(tmp_path.iterdir())


def replace_models(recipes, rounds):
    """Remove each model and make another of the same name, over and over."""
    for seed in range(rounds):
        for recipe in recipes:
            identity = current_store().identity(recipe)
            with FileLock(current_store().root / f"{identity}.lock"):
                stored(identity).card.unlink()
                stored(identity).weights.unlink()
            current_store().fetch(recipe, lambda seed=seed: build("nine_layer_cnn", seed=seed, **SPEC))


def on_a_slow_disk():
    """Leaves others time at every file that is read."""
    fast = os.fstat

    def slow(file):
        time.sleep(0.02)
        return fast(file)

    os.fstat = slow


def test_models_that_are_replaced_are_no_damage(at_once):
    recipes = [RECIPE | {"seed": seed} for seed in range(4)]
    for recipe in recipes:
        current_store().fetch(recipe, lambda: build("nine_layer_cnn", **SPEC))

    def work(number, together):
        together.wait()
        if number == 0:
            return replace_models(recipes, 8)
        on_a_slow_disk()
        for _ in range(8):
            assert invoke("store", "list" if number == 1 else "verify") == (0, "")
            current_store().cards()

    at_once(work, 3)


def test_copies_to_one_name_are_never_mixed(at_once, tmp_path):
    identities = [  # of one network, so that only the numbers tell them apart
        current_store()
        .fetch(RECIPE | {"seed": seed}, lambda seed=seed: build("nine_layer_cnn", seed=seed, **SPEC))
        .card["id"]
        for seed in (1, 2)
    ]
    out = tmp_path / "copy.safetensors"
    copy = ModelFiles(out, out.with_suffix(".json"))
    copy_model(stored(identities[0]), out)

    def work(number, together):
        together.wait()
        if number < 2:
            for _ in range(8):
                copy_model(stored(identities[number]), out)
        else:
            for _ in range(40):
                assert invoke("store", "verify", out)[0] != 1

    at_once(work, 3)
    copy.read()


def test_the_baselines_are_judged_once(at_once, tmp_path, monkeypatch):
    table = ResultsTable(tmp_path / "arena.json")

    def judge(name, entry, contest):
        with (tmp_path / "judged").open("a") as file:
            file.write(f"{name}\n")
        return Outcome(name, "removal", (Trial("key 1", 0.0, 0.5, False),), 5)

    monkeypatch.setattr(mea_lib.arena, "judge_removal", judge)

    def work(number, together):
        together.wait()
        _add_baselines(table, SimpleNamespace(identity="a"), "removal")

    at_once(work, 4)
    judged = (tmp_path / "judged").read_text().splitlines()
    assert sorted(judged) == sorted(mea_lib.arena.REMOVALS)
    assert {outcome.attempts for outcome in table.outcomes("removal")} == {1}


def test_a_table_belongs_to_the_contest_that_claimed_it_first(at_once, tmp_path):
    """Two judges with different secrets begin on one file: the second learns it before hours of work."""
    table = ResultsTable(tmp_path / "arena.json")

    def claim(number, together):
        together.wait()
        try:
            table.claim(f"contest {number}")
        except ValueError as error:
            return str(error)
        return "claimed"

    said = at_once(claim, 4)
    assert said.count("claimed") == 1
    assert table.contest == f"contest {said.index('claimed')}"
    assert all("results of another contest" in words for words in said if words != "claimed")
