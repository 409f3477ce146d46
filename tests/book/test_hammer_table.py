"""What the hammer found, as a table of a page."""

import json

from hammer_table import hammer_table


def test_the_page_shows_what_was_found(tmp_path):
    path = tmp_path / "hammer.json"
    assert "make hammer" in hammer_table(path)
    one = {"tried": {"kills": 1000, "statuses": {"400": 2}}, "must_be_none": {"lost models": 0, "hangs": 3}}
    path.write_text(
        json.dumps({"day": "2026-11-28", "machine": {"cores": 2, "processor": "x"}, "store": one})
    )
    table = hammer_table(path)
    assert "1,000 kills" in table
    assert "statuses: 2 400" in table
    assert table.count("<tr>") == 3
