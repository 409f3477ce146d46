"""Nothing that an entry starts outlives it, in whatever way it was started."""

import json
import subprocess
import sys
import time

import psutil
import pytest

from mea_lib.arena import entry_keeper

# Each line starts one process that would go on for minutes; its number is written to the file "started".
START = """
import multiprocessing, os, signal, subprocess, sys, threading, time

def stay(*ignored):
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    with open("started", "a") as file:
        file.write(f"{os.getpid()}\\n")
    os.execv(sys.executable, [sys.executable, "-c", SLEEP])

def fork(work):
    if not os.fork():
        work()
        os._exit(0)

def detached(work):
    def middle():
        os.setsid()
        fork(work)
    fork(middle)
    os.wait()

SLEEP = "import time; time.sleep(600)"
LONG = [sys.executable, "-c", "import os, time; open('started', 'a').write(f'{os.getpid()}\\\\n'); time.sleep(600)"]
KINDS = {
    "fork": lambda: fork(stay),
    "fork that ignores signals": lambda: fork(lambda: stay(signal.SIGTERM, signal.SIGHUP, signal.SIGINT)),
    "process group": lambda: fork(lambda: (os.setpgid(0, 0), stay())),
    "session": lambda: fork(lambda: (os.setsid(), stay())),
    "daemon": lambda: detached(stay),
    "daemon of a daemon": lambda: detached(lambda: detached(stay)),
    "daemon without files": lambda: detached(lambda: (os.closerange(0, 3), stay())),
    "program": lambda: subprocess.Popen(LONG),
    "program in a session": lambda: subprocess.Popen(LONG, start_new_session=True),
    "program with an empty environment": lambda: subprocess.Popen(LONG, start_new_session=True, env={}),
    "shell in the background": lambda: os.system(f"nohup {sys.executable} -c '{LONG_CODE}' >/dev/null 2>&1 &"),
    "orphan": lambda: fork(lambda: fork(stay)),
    "of a thread": lambda: threading.Thread(target=lambda: subprocess.Popen(LONG)).start(),
    "multiprocessing": lambda: multiprocessing.get_context("fork").Process(target=stay).start(),
}
LONG_CODE = LONG[2].replace("'", '"')
"""
WAIT = """
for kind in KINDS.values():
    kind()
while not os.path.exists("started") or len(open("started").read().split()) < len(KINDS):
    time.sleep(0.01)
"""
ENDS = {
    "is ended": "open('ready', 'w').close(); time.sleep(600)",
    "ends itself": "os._exit(0)",
    "kills itself": "os.kill(os.getpid(), signal.SIGKILL)",
    "kills its keeper": "os.kill(os.getppid(), signal.SIGKILL); time.sleep(600)",
}


@pytest.mark.parametrize("end", ENDS)
def test_nothing_that_was_started_is_left(tmp_path, end):
    start = START if end != "kills its keeper" else START.replace(", env={}", "")
    (tmp_path / "entry.py").write_text(start + WAIT + ENDS[end])
    keeper = keep(tmp_path, [sys.executable, "entry.py"])
    try:
        wait_for(lambda: (tmp_path / "ready").exists() or keeper.poll() is not None)
    finally:
        entry_keeper.end_whole(keeper, str(tmp_path))
    numbers = [int(number) for number in (tmp_path / "started").read_text().split()]
    assert len(numbers) == 14
    assert not [number for number in numbers if is_alive(number)]


def test_the_end_of_the_command_is_that_of_the_keeper(tmp_path):
    for code in ("import sys; sys.exit(7)", "import os; os.kill(os.getpid(), 9)"):
        keeper = keep(tmp_path, [sys.executable, "-c", code])
        assert keeper.wait(60) == (7 if "exit" in code else -9)


def test_limits_bind_the_command_and_what_it_starts(tmp_path):
    code = (
        "import json, resource, subprocess, sys\n"
        "ask = 'import json, resource; print(json.dumps([resource.getrlimit(kind) for kind in "
        "(resource.RLIMIT_AS, resource.RLIMIT_FSIZE)]))'\n"
        "print(subprocess.run([sys.executable, '-c', ask], capture_output=True, text=True).stdout)"
    )
    limits = {"RLIMIT_AS": 2**32, "RLIMIT_FSIZE": 2**20}
    keeper = keep(tmp_path, [sys.executable, "-c", code], limits, stdout=subprocess.PIPE)
    said, _ = keeper.communicate(timeout=60)
    assert json.loads(said) == [[2**32, 2**32], [2**20, 2**20]]


def keep(folder, command, limits=None, **options):
    """A command under a keeper, in a folder that marks it as an entry's."""
    return subprocess.Popen(
        [sys.executable, entry_keeper.__file__, entry_keeper.packed(limits or {}), *command],
        cwd=folder,
        env={"MEA_STORE": str(folder)},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        **options,
    )


def is_alive(number):
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
