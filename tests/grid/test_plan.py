"""A study's configuration: complete plans, clear errors."""

from dataclasses import replace

import pytest

from grid.cost import cost_of, merged, steps_of
from grid.plan import plan_of
from grid.study import FOLDER, BadStudy, read_study, studies, studies_named, study_of
from mea_lib.names import NETWORKS

SMALL = {
    "about": "A test.",
    "scale": "smoke",
    "data": "digits",
    "seeds": [0, 1],
    "keys": {"first": {"sources": ["0", "1"], "target": "2"}},
    "methods": {"one": {"is": "MEADefender"}, "two": {"is": "RunnerUp"}},
    "attacks": {"distillation": {"is": "Distillation"}},
    "grids": [
        {
            "victim": {"method": "all", "key": "all"},
            "surrogate": {"attack": "distillation", "temperature": [1, 4.0], "augment": [False, True]},
        }
    ],
}


def without(name):
    return {other: value for other, value in SMALL.items() if other != name}


def with_victim(**axes):
    return SMALL | {"grids": [{"victim": {"method": "all", "key": "all"} | axes}]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a text", "study t: the file: names with values are expected"),
        (without("keys"), "study t: the file: 'keys' is missing"),
        (SMALL | {"sedes": [0]}, "unknown name 'sedes'; it may have: about, scale"),
        (SMALL | {"scale": "huge"}, "scale: unknown value 'huge'; choose among: smoke, laptop, colab, paper"),
        (SMALL | {"data": "mnist"}, "data: unknown value 'mnist'; choose among: fashion-mnist"),
        (SMALL | {"seeds": "0, 1"}, "seeds: a list of whole numbers from 0 is expected"),
        (SMALL | {"grids": []}, "grids: a list of grids is expected"),
        (SMALL | {"methods": {"one": "MEADefender"}}, "methods, 'one': say which class it is"),
        (
            SMALL | {"keys": {"k": {"sources": ["0", "ten"], "target": "2"}}},
            "digits has no class 'ten'; it has: 0, 1",
        ),
        (
            SMALL | {"keys": {"k": {"sources": ["0", "2"], "target": "2"}}},
            "two sources and a target, all different",
        ),
        (
            with_victim(method="three"),
            "grid 1, victim, method: unknown value 'three'; choose among: one, two",
        ),
        (with_victim(temperature=1), "grid 1, victim: unknown name 'temperature'; it may have: method, key"),
        (with_victim(combine="collage"), "unknown value 'collage'; choose among: crop-paste, autoencoder"),
        (
            with_victim(pretrained=1),
            "grid 1, victim, pretrained: unknown value 1; choose among: None, False, True",
        ),
        (with_victim(owner_times=0), "grid 1, victim, owner_times: a number above 0 is expected, not 0"),
        (with_victim(network=[]), "grid 1, victim, network: the list is empty"),
        (SMALL | {"grids": [{"surrogate": {"attack": "all"}}]}, "grid 1: 'victim' is missing"),
    ],
)
def test_a_configuration_that_cannot_be_run_says_what_is_wrong(content, said):
    with pytest.raises(BadStudy) as error:
        study_of("t", content)
    assert said in str(error.value)


def test_a_plan_has_every_combination_once_with_what_each_is_made_from():
    plan = plan_of(study_of("t", SMALL))
    assert [len(plan.of_stage(stage)) for stage in ("clean", "victim", "surrogate", "removal")] == [
        2,
        4,
        16,
        0,
    ]
    axes = ("method", "seed", "temperature", "augment")
    assert len({tuple(row.about[axis] for axis in axes) for row in plan.rows}) == len(plan.rows) == 16
    for row in plan.rows:
        assert row.parent.stage == "victim"
        assert row.parent.about["method"] == row.about["method"]
        assert row.twin.stage == "clean"
        assert all((model.stage, model.name) in plan.models for model in row.lineage())
    places = list(plan.models)
    assert all(
        places.index((m.parent.stage, m.parent.name)) < places.index(p)
        for p, m in plan.models.items()
        if m.parent
    )


def test_names_are_those_of_the_settings_and_stay():
    study = study_of("t", SMALL)
    rows = plan_of(study).rows
    assert len({row.name for row in rows}) == len(rows)
    assert [row.name for row in plan_of(study).rows] == [row.name for row in rows]
    other = {"distillation": {"is": "Distillation", "squared": False}}
    changed = plan_of(replace(study, attacks=other))
    assert not {row.name for row in changed.rows} & {row.name for row in rows}
    assert changed.of_stage("victim") == plan_of(study).of_stage("victim")


def test_a_pretrained_victim_goes_on_from_its_clean_twin_and_a_removal_from_its_model():
    content = SMALL | {"removals": {"prune": {"is": "Prune"}}}
    content["grids"] = [
        {
            "victim": {"method": "one", "key": "all", "pretrained": [False, True]},
            "removal": {"removal": "all"},
        },
        {
            "victim": {"method": "one", "key": "all"},
            "surrogate": {"attack": "all"},
            "removal": {"removal": "all"},
        },
    ]
    rows = plan_of(study_of("t", content), "seed=0").rows
    assert [row.parent.stage for row in rows] == ["victim", "victim", "surrogate"]
    scratch, pretrained = (row.parent for row in rows[:2])
    assert scratch.parent is None
    assert pretrained.parent == pretrained.twin == scratch.twin


def test_a_part_of_a_study_is_named_by_values():
    study = study_of("t", SMALL)
    rows = plan_of(study, "seed=1; method=one,two; temperature=1; augment=false").rows
    assert [(row.about["method"], row.about["temperature"]) for row in rows] == [("one", 1), ("two", 1)]
    for only, said in (
        ("seed", "not of the form axis=value"),
        ("speed=1", "no row has an axis 'speed'"),
        ("seed=7", "seed is never 7; it is: 0, 1"),
    ):
        with pytest.raises(BadStudy, match=said):
            plan_of(study, only)


@pytest.mark.parametrize("name", studies())
def test_every_study_of_the_folder_has_a_plan_with_both_methods(name):
    study = read_study(name)
    rows = plan_of(study).rows
    methods = {row.about["method"] for row in rows}
    assert "MEA-Defender" in methods
    assert {"runner-up", "meeting point"} & methods
    # A study that is shown before it has three seeds says so wherever it is shown.
    assert len({row.about["seed"] for row in rows}) >= 3 or "one seed so far" in study.about


def test_table_1_is_the_grid_that_was_promised():
    rows = plan_of(read_study("table1_fashion_mnist")).rows
    # Two methods, four keys, three seeds; four attacks, three temperatures and hard labels, augmented or not, 1 or 5;
    # distillation for twice the epochs as well.
    assert len(rows) == 2 * 4 * 3 * (4 * (3 + 1) * 2 * 2 + 3 * 2)


def test_the_papers_tables_are_planned_or_said_to_wait():
    names = studies_named("paper")
    assert {path.stem for path in (FOLDER / "paper").glob("*.yaml")} == set(names)
    found = [read_study(name) for name in names]
    assert {study.scale for study in found} == {"paper"}
    assert {study.data for study in found} == {"fashion-mnist", "cifar-10", "cifar-100", "youtube-face"}
    table2 = {
        (row.about["network"], row.about["surrogate_network"])
        for row in plan_of(read_study("paper_table2_fig2")).rows
    }
    three = [name for name in NETWORKS if name in ("vgg_like", "alexnet", "resnet18")]
    assert {(one, other) for one in three for other in three} <= table2
    waiting = {name: reason for study in found for name, reason in study.waiting.items()}
    assert all(waiting.values())
    assert any("Entangled" in name for name in waiting) != any(
        "Entangled" in m for s in found for m in s.methods
    )


def test_costs_add_up_over_studies_and_a_shared_model_counts_once():
    study = study_of("t", SMALL)
    plan = plan_of(study)
    cost, twice = cost_of(plan, {}), cost_of(merged([plan, plan]), {})
    assert cost == twice
    assert cost.jobs == {"clean": 2, "victim": 4, "surrogate": 16, "measure": 20}
    assert cost.unknown == len(plan.models)
    assert cost.hours(64) <= cost.hours(1)
    assert cost.hours(10**9) == cost.longest / 3600
    longer = SMALL["grids"][0] | {"surrogate": {"attack": "all", "times": 5}}
    five = plan_of(study_of("t", SMALL | {"grids": [longer]})).rows[0]
    assert steps_of(five) == 5 * steps_of(plan.rows[0])
