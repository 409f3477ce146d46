"""`import mea_lib as mea`: there at once, and complete when the first name is used."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import mea_lib

LAZY = """
import sys
import mea_lib
assert "torch" not in sys.modules
mea_lib.{name}
assert {{"mea_lib.data.combine", "mea_lib.training.store", "mea_lib.proof.verify"}} <= sys.modules.keys()
"""


@pytest.mark.parametrize("name", ["load", "preset", "proof", "watermarks"])
def test_everything_is_imported_together_and_late(name):
    """The store reads the code when it is imported, so no part of the package may be older than another."""
    subprocess.run([sys.executable, "-c", LAZY.format(name=name)], check=True)


def test_every_name_is_there():
    for name in mea_lib.__all__:
        assert getattr(mea_lib, name) is not None
    assert mea_lib.load is mea_lib.data.load
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        mea_lib.nothing  # noqa: B018


def test_the_readmes_five_lines_run(capsys):
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    lines = re.search(r"## In five lines\n\n```python\n(.*?)```", readme, re.S).group(1)
    assert len(lines.splitlines()) == 5
    names = {"mea": mea_lib, "scale": mea_lib.preset("smoke")}
    exec(lines, names)
    said = capsys.readouterr().out
    assert said.startswith("Verdict: ")
    assert "T-shirt/top + Trouser → Pullover, crop-paste" in said
    assert names["surrogate"].card["recipe"]["method"] == "Distillation"
