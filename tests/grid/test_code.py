"""Which code a row hangs on."""

from grid import code
from mea_lib import shaping_code


def test_a_new_method_makes_no_row_of_another_anew(monkeypatch):
    """Nothing that measures a model knows the methods there are, so that rivals can be added to the package."""
    seen = []
    digest = shaping_code._digest
    monkeypatch.setattr(shaping_code, "_digest", lambda files: (seen.extend(files), digest(files))[1])
    code.code_of_measuring.__wrapped__()
    assert "proof/verify.py" in seen
    methods = {
        "watermarks/mea_defender.py",
        "watermarks/patch.py",
        "extraction/jacobian.py",
        "removal/prune.py",
    }
    assert not methods & set(seen)
