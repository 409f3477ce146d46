#!/usr/bin/env bash
# Makes the virtual environment of the book in the folder $1, or completes one that was interrupted.
set -euo pipefail

venv=$1
python=${PYTHON:-python3}
# The ordinary build of torch brings its GPU libraries along; one from another index may do without.
needed_gib=9
[ -z "${TORCH_INDEX:-}" ] || needed_gib=4

fail() {
    echo "setup: $1" >&2
    exit 1
}

command -v "$python" >/dev/null || fail "$python was not found; install Python 3.11, 3.12 or 3.13, or name one with PYTHON=…"
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' ||
    fail "$("$python" --version) is not supported; install Python 3.11, 3.12 or 3.13, or name one with PYTHON=…"

if [ ! -x "$venv/bin/pip" ]; then
    free_gib=$(($(df -Pk . | awk 'NR == 2 {print $4}') / 1048576))
    [ "$free_gib" -ge "$needed_gib" ] ||
        fail "only $free_gib GiB are free here and about $needed_gib are needed; make room, or set TORCH_INDEX to an index with smaller (CPU) builds of torch"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "this Python cannot make virtual environments; on Debian and Ubuntu run: sudo apt-get install python3-venv"
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi

echo "setup: installing into $venv (about a minute with a fast connection)"
index=()
[ -z "${TORCH_INDEX:-}" ] || index=(--extra-index-url "$TORCH_INDEX")
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! "$venv/bin/pip" install --quiet --retries 2 "${index[@]}" -c constraints.txt -e '.[book,test,service]' >"$log" 2>&1; then
    if grep -qiE 'connection ?(error|broken|refused|reset|aborted)|name resolution|failed to resolve|unreachable|timed out|SSLError' "$log"; then
        fail "packages could not be fetched; check the connection (or the proxy) and run the same command again"
    fi
    tail -n 15 "$log" >&2
    fail "the installation failed as shown above; run the same command again once that is mended"
fi
