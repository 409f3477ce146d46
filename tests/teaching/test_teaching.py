"""Claims, tables and answers."""

import json

import matplotlib
import numpy as np
import pytest
import torch

import mea_lib as mea
from mea_lib.teaching import (
    Claims,
    Paper,
    Table,
    bars,
    check_choice,
    check_number,
    curves,
    distributions,
    feature_space,
    find_results,
    gallery,
    heatmap,
    losses_diagram,
    side_by_side,
    threat_model_diagram,
)
from mea_lib.teaching.answers import choice_digest

matplotlib.use("Agg")


def test_claims_decide_and_are_written(tmp_path, monkeypatch):
    claims = Claims("07_test", mea.preset("laptop"))
    claims.at_least("high", "It is high", 0.7, 0.65, paper=Paper(0.7075))
    claims.at_most("low", "It is low", 0.7, 0.65)
    claims.true("so", "It is so", True, "seen")
    monkeypatch.setenv("MEA_CLAIMS_DIR", str(tmp_path / "claims"))
    claims.save()
    written = json.loads((tmp_path / "claims" / "07_test.json").read_text())
    assert [row["holds"] for row in written] == [True, False, True]
    assert written[0] == {
        "id": "07-high",
        "chapter": "07_test",
        "claim": "It is high",
        "paper": "0.7075",
        "method": "MEA-Defender",
        "agrees_with_paper": "yes",
        "measured": "0.700",
        "rule": "≥ 0.65",
        "holds": True,
        "scale": "laptop",
    }
    html = claims._repr_html_()
    assert "✗ no" in html
    assert "agrees with the paper" in html


def test_without_a_figure_of_the_paper_there_is_no_column_for_it():
    claims = Claims("07_test", mea.preset("laptop"))
    claims.at_most("low", "It is low", 0.7, 0.65)
    assert "paper" not in claims._repr_html_()


@pytest.mark.parametrize(
    ("measured", "figure", "at_least", "agrees"),
    [
        (0.61, 0.7075, True, "yes"),
        (0.80, 0.7075, True, "yes"),
        (0.95, 0.7075, True, "beyond"),
        (0.55, 0.7075, True, "weaker"),
        (0.20, 0.7075, True, "no"),
        (0.09, 0.0526, False, "yes"),
        (0.12, 0.0526, False, "weaker"),
        (0.001, 0.2695, False, "beyond"),
        (0.31, 0.0526, False, "weaker"),
        (0.75, 0.0526, False, "no"),
    ],
)
def test_a_figure_is_the_papers_up_to_a_tenth_beyond_it_further_and_weaker_up_to_half_of_its_effect(
    measured, figure, at_least, agrees
):
    assert Paper(figure).agreement(measured, at_least) == agrees


def test_only_the_papers_own_method_agrees_with_the_paper():
    assert Paper(0.7075, method="runner-up").agreement(0.7075, at_least=True) == "different method"
    with pytest.raises(ValueError, match="say whether"):
        Paper("1.3 points")
    with pytest.raises(ValueError, match="agrees is one of"):
        Paper("1.3 points", agrees="nearly")


def test_nothing_is_claimed_at_smoke_scale():
    claims = Claims("07_test", mea.preset("smoke"))
    claims.at_least("high", "It is high", 0.1, 0.65)
    assert "not claimed at smoke scale" in claims._repr_html_()


def test_claims_read_the_same_in_every_run():
    """A stored output that held an object's address would differ from run to run."""
    first, second = Claims("07_test", mea.preset("laptop")), Claims("07_test", mea.preset("laptop"))
    for claims in (first, second):
        claims.at_least("high", "It is high", 0.7, 0.65)
    assert repr(first) == repr(second)
    assert "It is high" in repr(first)
    assert "Scale: laptop" in repr(first)


def test_two_claims_need_two_names():
    claims = Claims("07_test", mea.preset("smoke"))
    claims.true("a", "x", True, "y")
    with pytest.raises(ValueError, match="07-a"):
        claims.true("a", "z", True, "y")


def test_table_in_html_and_in_text():
    table = Table(("name", "rate"), [("<b>", 0.12345), ("c", 2)], title="t")
    assert "&lt;b&gt;" in table._repr_html_()
    assert "0.123" in str(table)
    signed = Table(("a", "b", "c"), [(-0.5, "(-.1–-2)", "top-bottom of 1e-05, x-1")])
    assert signed.rows == [["−0.500", "(−.1–−2)", "top-bottom of 1e-05, x-1"]]
    with pytest.raises(ValueError, match="2 values"):
        Table(("a", "b"), [(1,)])


def test_answers():
    assert check_number(0.5, 0.504) == "Right."
    assert "small" in check_number(0.3, 0.5)
    assert "No answer yet" in check_number(None, 0.5)
    assert check_number(float("nan"), 0.5) == "Not yet: nan is no number."
    digest = choice_digest("q", "b")
    assert check_choice("q", "(B)", digest) == check_choice("q", " b. ", digest) == "Right."
    assert check_choice("q", " B ", digest) == "Right."
    assert "Not that one" in check_choice("q", "a", digest)
    assert "No answer yet" in check_choice("q", None, digest)


def test_diagrams_name_every_party_and_every_loss():
    words = [text.get_text() for axis in (threat_model_diagram(), losses_diagram()) for text in axis.texts]
    for name in ("Owner", "Adversary", "Judge", "L_{utility}", "L_{com}", "L_{ver}", "L_{eva}", "guard"):
        assert any(name in word for word in words), name
    matplotlib.pyplot.close("all")


def test_figures_draw_what_they_are_given():
    axis = bars(
        {"x": {"victim": 0.5, "clean": 0.25}},
        ylabel="rate",
        intervals={"x": {"victim": (0.4, 0.6)}},
        line=0.3,
    )
    assert [bar.get_height() for bar in axis.patches] == [0.5, 0.25]
    axis = curves(
        [1, 10], {"a": [0.1, 0.2]}, xlabel="x", ylabel="y", bands={"a": ([0, 0.1], [0.2, 0.3])}, log=True
    )
    assert axis.lines[0].get_ydata().tolist() == [0.1, 0.2]
    axis = heatmap(np.eye(2), ["a", "b"], ["c", "d"], xlabel="x", ylabel="y", label="share")
    assert axis.get_xlabel() == "x"
    gallery(
        [torch.zeros(3, 1, 8, 8, dtype=torch.uint8), torch.zeros(3, 3, 8, 8, dtype=torch.uint8)], ["a", "b"]
    )
    matplotlib.pyplot.close("all")


def test_panels_side_by_side_show_means_with_the_least_and_the_largest():
    panels = {
        "one": {"victim": {0: [1.0, 1.0], 4: [0.2, 0.6]}, "surrogate": {0: [0.8], 4: [0.3]}},
        "other": {"victim": {8: [1.0], 4: [0.5], 3: [0.1]}},
        "third": {"victim": {1: [0.5]}},
    }
    labels = {"one": "epochs", "other": "bits", "third": "steps"}
    axes = side_by_side(panels, xlabels=labels, ylabel="mark", line=0.3, line_label="threshold", columns=2)
    assert [axis.get_title() for axis in axes] == ["one", "other", "third"]
    assert [axis.get_xlabel() for axis in axes] == ["epochs", "bits", "steps"]
    assert [text.get_text() for text in axes[1].get_xticklabels()] == ["8", "4", "3"]
    line, _, (bars,) = axes[0].containers[0]
    assert line.get_ydata() == pytest.approx([1.0, 0.4])
    assert bars.get_segments()[1][:, 1] == pytest.approx([0.2, 0.6])
    legend = [text.get_text() for text in axes[0].figure.legends[0].get_texts()]
    assert sorted(legend) == ["surrogate", "threshold", "victim"]
    assert len(axes[0].figure.axes) == 3
    matplotlib.pyplot.close("all")


def test_distributions_stand_side_by_side_around_their_medians():
    generator = torch.Generator().manual_seed(1)
    low, high = torch.randn(300, generator=generator), 9 + torch.randn(200, generator=generator)
    axis = distributions(
        {"x": {"victim": low, "clean": high}, "y": {"clean": torch.ones(5)}}, ylabel="nats", line=0.0
    )
    victim, clean = (
        part.get_offsets() for part in axis.collections if part.get_label() in ("victim", "clean")
    )
    np.testing.assert_allclose(victim[:, 1], [low.median()], atol=0.05)
    np.testing.assert_allclose(clean[:, 1], [high.median(), 1], atol=0.05)
    assert victim[0, 0] < 0 < clean[0, 0] < 1 < clean[1, 0]
    bodies = [
        part.get_paths()[0].get_extents() for part in axis.collections if not part.get_label()[0].isalpha()
    ]
    assert (bodies[0].ymin, bodies[0].ymax) == pytest.approx((low.min().item(), low.max().item()))
    assert bodies[1].ymin == pytest.approx(high.min().item())
    assert axis.get_ylabel() == "nats"
    matplotlib.pyplot.close("all")


def test_results_are_found_from_any_folder_of_the_repository(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "some_study.json").write_text('{"runs": [1]}')
    inside = tmp_path / "build" / "work"
    inside.mkdir(parents=True)
    assert find_results("some_study", inside) == {"runs": [1]}
    assert find_results("some_study", tmp_path) == {"runs": [1]}
    assert find_results("a_study_that_nobody_made", inside) is None


def clouds_of(axis):
    """The points of each cloud, by its name; the means on top are left out."""
    return {part.get_label(): part.get_offsets() for part in axis.collections if part.get_label() != "_mean"}


def test_clouds_are_drawn_apart_and_mixes_take_no_part_in_the_plane():
    generator = torch.Generator().manual_seed(0)
    clouds = [torch.randn(20, 5, generator=generator) + 8 * torch.eye(5)[number] for number in range(3)]
    far = torch.full((4, 5), 1e3)
    axes = feature_space(
        {"one": [*clouds, far], "other": [*clouds, -far]},
        ("a", "b", "c", "mixes"),
        others={"one": clouds[0], "other": clouds[0]},
    )
    drawn = [clouds_of(axis) for axis in axes]
    assert [axis.get_title() for axis in axes] == ["one", "other"]
    assert list(drawn[0]) == ["other classes", "a", "b", "c", "mixes"]
    for name in ("a", "b", "c"):  # the same plane, though the mixes lie elsewhere
        np.testing.assert_allclose(drawn[0][name], drawn[1][name])
    mirrored = feature_space({"one": [-cloud for cloud in (*clouds, far)]}, ("a", "b", "c", "mixes"))[0]
    for name, points in clouds_of(mirrored).items():  # a picture is not turned over where the features are
        np.testing.assert_allclose(points, drawn[0][name], atol=1e-9)
    means = [part.get_offsets()[0] for part in axes[0].collections if part.get_label() == "_mean"]
    np.testing.assert_allclose(means[:3], [drawn[0][name].mean(0) for name in ("a", "b", "c")])
    assert [text.get_text() for text in axes[0].figure.legends[0].get_texts()] == [
        *("a", "b", "c", "mixes"),
        "other classes",
    ]
    centres = np.array([drawn[0][name].mean(0) for name in ("a", "b", "c")])
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    assert apart[np.triu_indices(3, 1)].min() > 1
    assert centres[0, 0] < centres[1, 0]
    assert centres[2, 1] > centres[:2, 1].mean()
    axes[0].figure.clf()


def test_panels_that_show_different_things_have_limits_of_their_own():
    panels = {"accuracy": {"one": {1: [0.8]}}, "WSR": {"one": {1: [0.1]}}}
    limits = {"accuracy": (0.5, 0.9), "WSR": (0, 1)}
    axes = side_by_side(panels, xlabels=dict.fromkeys(panels, "x"), ylabel="rate", ylim=limits)
    assert [axis.get_ylim() for axis in axes] == [(0.5, 0.9), (0, 1)]
