#!/usr/bin/env bash
# Writes hashes/: for each purpose of setup_environment.sh the packages it installs, in the versions of constraints.txt,
# with the checksums of all their files as the package index lists them, for every system and Python.
set -euo pipefail

find_hashes() {
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
        --constraints constraints.txt --output-file "hashes/$1.txt" "${@:2}"
}

mkdir -p hashes
"${PYTHON:-python3}" -c '
import tomllib
with open("pyproject.toml", "rb") as file:
    print(*tomllib.load(file)["project"]["optional-dependencies"]["read"], sep="\n")' | find_hashes read -
# setuptools builds the package, and those that have no wheel.
echo setuptools | find_hashes book --extra book --extra service - pyproject.toml
echo setuptools | find_hashes test --extra book --extra service --extra test - pyproject.toml
