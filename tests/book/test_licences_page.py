"""The page of licences: of the present pins, as the packages' own metadata name them."""

import json
from email.message import Message
from importlib.metadata import PackageNotFoundError, version

import licences
import pytest
from bs4 import BeautifulSoup
from licences_page import UNSAID, licences_list

NOT_ON_LINUX = {"appnope"}  # which the page names


@pytest.fixture(scope="module")
def written():
    return json.loads(licences.FILE.read_text())


def test_the_file_is_of_the_present_pins(written):
    found = [(package["name"], package["version"]) for package in written]
    expected = [(name, pin) for name, pin in licences.pins() if name not in NOT_ON_LINUX]
    assert found == expected, "run .venv/bin/python book/licences.py"
    page = licences.FILE.with_suffix(".md").read_text()
    assert all(name in page for name in NOT_ON_LINUX)


def test_it_says_what_the_installed_packages_say(written):
    def is_pinned(package):
        try:
            return version(package["name"]).partition("+")[0] == package["version"]
        except PackageNotFoundError:
            return False

    here = {package["name"]: package for package in licences.find_licences()}
    compared = [package for package in written if is_pinned(package)]
    assert [package for package in compared if here[package["name"]] != package] == []


def about(**fields):
    message = Message()
    for name, values in fields.items():
        for value in values if isinstance(values, list) else [values]:
            message[name.replace("_", "-")] = value
    return message


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"License_Expression": "MIT", "License": "other"}, "MIT"),
        (
            {"Classifier": ["License :: OSI Approved :: BSD License", "Topic :: X"], "License": "x"},
            "BSD License",
        ),
        ({"Classifier": ["License :: OSI Approved"], "License": "Apache 2.0"}, "Apache 2.0"),
        ({"License": "Permission is hereby granted, free of charge, to any person obtaining a copy"}, None),
        ({}, None),
    ],
)
def test_a_licence_is_named_by_its_expression_a_classifier_or_its_field(fields, expected):
    assert licences.licence(about(**fields)) == expected


def test_a_package_is_linked_to_its_project():
    urls = ["Changelog, https://a/changes", "Source, https://a/source"]
    assert licences.home_page(about(Project_URL=urls)) == "https://a/source"
    assert licences.home_page(about(Home_page="https://a", Project_URL=urls)) == "https://a"
    assert licences.home_page(about(Project_URL="Home, javascript:alert(1)")) is None


def test_the_page_shows_every_package_and_runs_none_of_their_words():
    odd = {"name": "<b>", "version": "1", "licence": None, "page": 'https://a/"onclick="b'}
    table = BeautifulSoup(licences_list([odd]), "html.parser").table
    assert [cell.get_text() for cell in table.select("tbody tr > *")] == ["<b>", "1", UNSAID]
    assert table.a.attrs == {"href": 'https://a/"onclick="b'}


def test_the_staged_page_has_the_table(tmp_path, written):
    from site_pages import stage_pages

    page = stage_pages(licences.ROOT, tmp_path / "stage", [], {}) / "book" / "licences.md"
    assert page.read_text().count("<tr>") == 1 + len(written)
    assert not (page.parent / "licences.json").exists()
