"""Commands of the command line as processes of their own."""

import json
import subprocess
import sys
from contextlib import contextmanager

# A shell that runs tests in the background hands on that Ctrl-C is ignored; a terminal does not.
PROGRAM = """
import signal
from mea_lib.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""


def start(*arguments, stderr=subprocess.PIPE):
    """A command that is running."""
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)


@contextmanager
def serving(model, *options):
    """`mea serve` on a free port: the process, and what it printed when it could be queried."""
    process = start("serve", "--model", model, "--port", 0, "--json", *options)
    try:
        text = ""
        while line := process.stdout.readline():
            text += line
            if line == "}\n":
                break
        assert text, process.communicate()[1]
        yield process, json.loads(text)
    finally:
        process.terminate()
        process.communicate(timeout=60)
