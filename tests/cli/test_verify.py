"""`mea verify` on models on disk: the verdict is an exit code, and the evidence is a file."""

import json

import pytest

from mea_lib.cli.models import find_model


@pytest.fixture
def verify(mea, made):
    def run(model, *options, **kwargs):
        files = ["--model", made.folder / f"{model}.safetensors", "--key", made.folder / "key.json"]
        return mea("verify", *files, "--data", "digits", *options, **kwargs)

    return run


@pytest.fixture
def opened(made):
    return ["--commitment", made.folder / "commitment.json", "--salt-file", made.folder / "salt.txt"]


def test_proof_is_0(verify, evidence):
    assert "Verdict: carries the watermark" in verify("victim").stdout
    assert evidence["is_stolen"] is True


def test_no_proof_is_3(verify):
    assert "Verdict: no proof" in verify("other", code=3).stdout


def test_the_evidence_is_what_was_printed(verify, tmp_path, opened, made):
    found = verify("copy", *opened, "--evidence", "evidence.json", "--json").data
    assert found["is_stolen"] is True
    assert found["commitment"] == made.commit["digest"]
    assert found == json.loads((tmp_path / "evidence.json").read_text())
    assert (tmp_path / "evidence.json").stat().st_mode & 0o077 == 0  # it names the key


def test_the_threshold_decides(verify, evidence):
    rate = evidence["wsr"]["value"]
    assert verify("copy", "--threshold", rate + 0.01, "--json", code=3).data["is_stolen"] is False
    assert verify("copy", "--threshold", rate - 0.2, "--json").data["threshold"] == rate - 0.2


def test_alpha_decides(verify, evidence):
    threshold = evidence["wsr"]["value"] - 0.02  # so near that the p-value is no longer small
    likely = verify("copy", "--threshold", threshold, "--json", code=3).data["p_value"]
    verify("copy", "--threshold", threshold, "--alpha", likely * 1.1)


def test_few_samples_must_be_asked_for(verify):
    assert "--fewest-samples" in verify("copy", "--samples", 200, code=2).stderr
    few = verify("copy", "--samples", 200, "--fewest-samples", 200, "--json").data
    assert few["wsr"]["trials"] == 200


def test_another_salt_opens_nothing(verify, tmp_path, made):
    (tmp_path / "salt.txt").write_text("x" * 64)
    options = ["--commitment", made.folder / "commitment.json", "--salt-file", tmp_path / "salt.txt"]
    found = verify("copy", *options, "--evidence", "evidence.json", code=1)
    assert "do not match the commitment" in found.stderr
    assert found.stdout == ""
    assert not (tmp_path / "evidence.json").exists()


def test_a_file_that_is_no_commitment(verify, made):
    key = made.folder / "key.json"
    assert "not a commitment" in verify("copy", "--commitment", key, "--salt-file", key, code=2).stderr


def test_a_commitment_fixes_the_plan(verify, opened):
    for given in (["--samples", 2000], ["--threshold", 0.4], ["--alpha", 0.05], ["--arrangement"]):
        found = verify("copy", *opened, *given, code=2)
        assert f"{given[0]}: the commitment fixes that" in found.stderr
    assert "go together" in verify("copy", *opened[:2], code=2).stderr
    assert "go together" in verify("copy", *opened[2:], code=2).stderr


@pytest.mark.parametrize(
    "options, words",
    [
        (["--threshold", "0"], "--threshold"),
        (["--threshold", "1"], "--threshold"),
        (["--alpha", "0"], "--alpha"),
        (["--url", "http://x"], "either"),
        (["--evidence", "nowhere/e.json"], "--evidence"),
        (["--token", "t", "--query-log", "q.sqlite"], "--query-log can only"),
        (["--data", "fashion-mnist"], "unknown class '3' for fashion-mnist"),
    ],
)
def test_wrong_usage_is_2(verify, options, words):
    found = verify("copy", *options, code=2)
    assert words in found.stderr
    assert found.stdout == ""


def test_a_verification_without_a_key(mea):
    assert "--key" in mea("verify", "--model", "aa", code=2).stderr


def test_damaged_weights_are_a_failure_and_stay_where_they_are(mea, made, tmp_path):
    files = find_model(str(made.folder / "copy.safetensors"))
    (tmp_path / "m.safetensors").write_bytes(files.weights.read_bytes()[:-4] + b"1234")
    (tmp_path / "m.json").write_bytes(files.card.read_bytes())
    options = ["--model", "m.safetensors", "--key", made.folder / "key.json", "--data", "digits"]
    found = mea("verify", *options, code=1)
    assert "does not hold the weights" in found.stderr
    assert found.stdout == ""
    assert (tmp_path / "m.safetensors").exists()


def test_runner_ups_are_seen_on_clean_images(verify, made, opened):
    clean = ["--clean", made.folder / "other.safetensors"]
    found = verify("victim", "--runner-up", *clean, "--alpha", "0.99", "--json").data
    assert found["keys"] == 360
    assert [rate["trials"] > 0 for rate in found["runner_up"]] == [True, True]
    alone = verify("victim", "--runner-up", "--alpha", "0.99", "--json").data
    assert alone["null_models"] == [0, 0]
    assert "Place of the key" in verify("other", "--runner-up", *opened, code=3).stdout
    assert "the commitment fixes" in verify("victim", "--runner-up", *opened, "--alpha", 0.5, code=2).stderr


def test_runner_ups_of_a_key_that_a_null_model_obeys_prove_nothing(verify, made):
    clean = ["--clean", made.folder / "victim.safetensors"]  # which obeys it
    found = verify("victim", "--runner-up", *clean, code=4)
    assert "No verdict: a null model obeys this key" in found.stdout


def test_a_second_test_beside_a_commitment_has_half_the_level(verify, opened):
    said = " ".join(verify("other", "--runner-up", *opened, code=3).stderr.split())
    assert "this second test has half its level, 0.005" in said


def test_what_runner_up_evidence_does_not_take(verify, made):
    assert "with --runner-up" in verify("copy", "--runner-up", "--samples", 2000, code=2).stderr
    assert "--arrangement cannot be used" in verify("copy", "--runner-up", "--arrangement", code=2).stderr


def test_clean_models_stand_beside_the_suspect(verify, made):
    clean = ["--clean", made.folder / "other.safetensors"]
    found = verify("copy", *clean, "--json").data
    assert len(found["null_models"]) == 2
    assert found["places"] > found["admissible_keys"]
    guilty = verify("copy", "--clean", made.folder / "victim.safetensors", "--json", code=4).data
    assert "a null model obeys this key" in guilty["verdict"]


def test_a_key_may_claim_its_arrangement(verify):
    """This one's is no other than the rest: what proves the watermark does not prove that claim."""
    found = verify("copy", "--arrangement", "--json", code=3).data
    assert found["missing"] == ["another arrangement does as well"]
    assert found["arrangement_p_value"] > found["alpha"]


def test_a_suspect_that_does_not_know_the_task_is_4(verify, mea, made, tmp_path):
    mea("embed", *made.key_options, "--data", "digits", "--width", 2, "--out", "m.safetensors")
    files = ["--model", tmp_path / "m.safetensors", "--key", made.folder / "key.json", "--data", "digits"]
    found = mea("verify", *files, "--json", code=4).data
    assert found["verdict"].startswith("no verdict: the suspect")
    assert found["task"]["reason"] in found["verdict"]
