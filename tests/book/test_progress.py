"""What the driver says of the time, with a clock made for the test."""

import progress
from progress import Progress, expectations
from toy_chapters import chapter


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def following(weights, are_seconds=True, workers=2):
    clock = Clock()
    return clock, Progress(weights, are_seconds, workers, clock)


def test_what_runs_and_what_is_left_follow_from_the_expected_times(capsys):
    clock, followed = following({"a": 1200, "b": 600, "c": 600, "d": 300})
    followed.started("a")
    followed.started("b")
    assert "a: started, about 20 min" in capsys.readouterr().out
    clock.now = 300
    # b has 5 minutes left, then c its 10; a has 15; d's 5 come after either
    assert followed.line() == (
        "after 5 min: 0 of 4 chapters done, running a (5 min of about 20 min), b (5 min of about 10 min); "
        "about 20 min left"
    )


def test_a_slower_machine_is_noticed_and_kept_chapters_cost_nothing():
    clock, followed = following({"a": 600, "b": 300, "c": 600}, workers=1)
    followed.kept("c")
    followed.started("b")
    clock.now = 600
    assert followed.ended("b") == 600
    followed.started("a")
    assert followed.line().endswith(
        "2 of 3 chapters done, running a (0 s of about 20 min); about 20 min left"
    )


def test_a_chapter_that_is_late_lengthens_what_is_left_before_it_ends():
    clock, followed = following({"a": 600, "b": 600}, workers=1)
    followed.started("a")
    clock.now = 1200
    assert followed.line().endswith("running a (20 min of about 20 min); about 20 min left")


def test_nothing_is_predicted_before_anything_is_known():
    clock, followed = following({"a": 600, "b": 600}, are_seconds=False, workers=1)
    followed.started("a")
    clock.now = 30
    assert followed.line() == "after 30 s: 0 of 2 chapters done, running a (30 s)"
    followed.ended("a")
    assert followed.line() == "after 30 s: 1 of 2 chapters done, running none; about 30 s left"


def test_a_line_comes_by_itself(monkeypatch, capsys):
    monkeypatch.setattr(progress, "SECONDS_BEFORE_THE_FIRST", 0.01)
    _, followed = following({"a": 60})
    said = ""
    with followed:
        while "chapters done" not in said:
            said += capsys.readouterr().out
    assert "0 of 1 chapters done, running none; about 60 s left" in said


def test_expected_times_are_the_measured_ones_or_the_authors(tmp_path):
    both = [
        chapter(tmp_path, "00_a", minutes=3, seconds={"laptop": 100}),
        chapter(tmp_path, "01_b", minutes=5),
    ]
    assert expectations(both[:1], "laptop") == ({"00_a": 100}, True)
    assert expectations(both, "laptop") == ({"00_a": 180, "01_b": 300}, True)
    assert expectations(both, "smoke") == ({"00_a": 180, "01_b": 300}, False)
    assert expectations([chapter(tmp_path, "02_c")], "laptop") == ({"02_c": 60}, False)
