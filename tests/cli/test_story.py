"""The whole story of an owner, an adversary and a judge: each command a process, the models behind HTTP."""

import json
import os
import signal
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

from mea_lib.serving.service import read_log

sys.path.insert(0, str(Path(__file__).parent))

from processes import serving, start

DIGITS = ["--data", "digits", "--width", "8"]


def answers_in(log):
    """How many answers a query log holds so far."""
    if not log.exists():
        return 0
    with closing(sqlite3.connect(log, timeout=60)) as file:
        try:
            return file.execute("SELECT count(answer) FROM entries").fetchone()[0]
        except sqlite3.OperationalError:  # no table yet
            return 0


def test_from_the_key_to_the_proof(mea, shell, digits, made, tmp_path, monkeypatch):
    # The owner finds the model in a store that is shared.
    monkeypatch.setenv("MEA_STORE", f"{tmp_path / 'store'}{os.pathsep}{made.folder / 'store'}")
    # The owner.
    shell("commit", "--sources", "3", "7", "--target", "1", "--key-seed", "5", "--data", "digits")
    shell("embed", "--key", "key.json", *DIGITS, "--epochs", "20", "--out", "sold.safetensors")
    # The adversary.
    (tmp_path / "tokens").write_text("customer-1\n")
    options = [
        "--token-file",
        "tokens",
        "--client-budget",
        "1000",
        "--log",
        "sold.sqlite",
        "--data",
        "digits",
    ]
    with serving("sold.safetensors", *options) as (_, sold):
        steal = ["extract", "--url", sold["url"], *DIGITS, "--epochs", "40"]
        refused = mea(*steal, "--server", "attempts=1", code=1)
        assert "401" in refused.stderr
        stolen = shell(*steal, "--token", "customer-1", "--out", "stolen.safetensors", "--json")
    assert json.loads(stolen.stdout)["queries"] == len(digits.queries)
    assert sum(entry.images for entry in read_log(tmp_path / "sold.sqlite")) == len(digits.queries)
    # The judge, whose first run is cut off.
    log = tmp_path / "answers.sqlite"
    with serving("stolen.safetensors", "--log", "stolen.sqlite") as (_, suspect):
        verify = ["verify", "--url", suspect["url"], "--key", "key.json", "--data", "digits"]
        verify += ["--commitment", "commitment.json", "--salt-file", "salt.txt"]
        verify += ["--query-log", log, "--evidence", "evidence.json"]
        cut_off = start(*verify)
        while answers_in(log) < 200:
            assert cut_off.poll() is None, cut_off.communicate()
            time.sleep(0.01)
        cut_off.send_signal(signal.SIGINT)
        out, _ = cut_off.communicate(timeout=60)
        assert (cut_off.returncode, out) == (130, "")
        assert not (tmp_path / "evidence.json").exists()
        kept = answers_in(log)
        shell(*verify)
    evidence = json.loads((tmp_path / "evidence.json").read_text())
    assert evidence["is_stolen"]
    assert evidence["commitment"] == json.loads((tmp_path / "commitment.json").read_text())["digest"]
    again = 8  # sent once more, to see that the suspect is the one of the log
    assert evidence["suspect"]["sent"] == answers_in(log) - kept + again
    # Nothing was paid for twice but what was on its way when the first run was cut off.
    paid = sum(entry.images for entry in read_log(tmp_path / "stolen.sqlite"))
    assert answers_in(log) <= paid <= answers_in(log) + 64
