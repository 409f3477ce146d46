#!/usr/bin/env bash
# Makes the virtual environment in the folder $1, or completes one that was interrupted, for one purpose, $2:
# read (render the stored outputs, no torch), book (run the chapters), or test (and everything that the tests need).
# REQUIRE_HASHES=1 installs nothing whose checksum is not the one kept in hashes/, TORCH_INDEX is where torch comes from.
set -euo pipefail

venv=$1
purpose=$2
python=${PYTHON:-python3}

fail() {
    echo "setup: $1" >&2
    exit 1
}

has_gpu() {
    nvidia-smi -L >/dev/null 2>&1 || [ -n "$(ls /proc/driver/nvidia/gpus 2>/dev/null)" ]
}

need_gib() {
    local free_gib=$(($(df -Pk . | awk 'NR == 2 {print $4}') / 1048576))
    [ "$free_gib" -ge "$1" ] || fail "only $free_gib GiB are free here and about $1 are needed; make room${2:-}"
}

command -v "$python" >/dev/null || fail "$python was not found; install Python 3.11, 3.12 or 3.13, or name one with PYTHON=…"
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' ||
    fail "$("$python" --version) is not supported; install Python 3.11, 3.12 or 3.13, or name one with PYTHON=…"
if [ -n "${REQUIRE_HASHES:-}" ]; then
    [ -z "${TORCH_INDEX:-}" ] || fail "checksums are kept of torch as PyPI has it; leave out TORCH_INDEX or REQUIRE_HASHES"
    [ ! -x "$venv/bin/pip" ] || [ -e "$venv/.hashed" ] ||
        fail "$venv was made without checksums; remove it (rm -r $venv) and run the same command again"
fi
if [ ! -x "$venv/bin/pip" ]; then
    if [ "$purpose" = read ]; then need_gib 1; else need_gib 4; fi
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "this Python cannot make virtual environments; on Debian and Ubuntu run: sudo apt-get install python3-venv"
fi

# One process at a time: this script starts itself again with the lock in its hands, which its children share.
if [ "${SETUP_HOLDS:-}" != "$venv" ]; then
    mkdir -p "$venv"
    SETUP_HOLDS=$venv exec "$python" -c '
import fcntl, os, sys
lock = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR)
os.set_inheritable(lock, True)
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    print("setup: another process is at work on this environment, waiting", flush=True)
    fcntl.flock(lock, fcntl.LOCK_EX)
os.execvp("bash", ["bash", *sys.argv[2:]])' "$venv/.lock" "$0" "$@"
fi

ready=$venv/.ready-$purpose
[ ! -e "$ready" ] || [ pyproject.toml -nt "$ready" ] || [ constraints.txt -nt "$ready" ] || [ "$0" -nt "$ready" ] || exit 0
if [ ! -x "$venv/bin/pip" ]; then
    [ -z "${REQUIRE_HASHES:-}" ] || touch "$venv/.hashed"
    "$python" -m venv "$venv"
fi
[ -n "${REQUIRE_HASHES:-}" ] || rm -f "$venv/.hashed"

log=$(mktemp)
trap 'rm -f "$log"' EXIT

install() {
    "$venv/bin/pip" install --quiet --retries 2 "$@" >"$log" 2>&1
}

# From its own index torch comes without what it depends on: another index is trusted with its two packages alone.
install_torch() {
    if [ -n "${TORCH_INDEX:-}" ]; then
        install --index-url "$TORCH_INDEX" --no-deps "$@"
    else
        install -c constraints.txt "$@"
    fi
}

explain() {
    if grep -qiE 'connection ?(error|broken|refused|reset|aborted)|name resolution|failed to resolve|unreachable|timed out|SSLError' "$log"; then
        fail "packages could not be fetched; check the connection (or the proxy) and run the same command again"
    fi
    [ "${1:-}" = unless-missing ] && grep -qE 'No matching distribution|ResolutionImpossible' "$log" && return
    tail -n 15 "$log" >&2
    fail "the installation failed as shown above; run the same command again once that is mended"
}

# The ordinary build for Linux brings gigabytes of GPU libraries along.
choose_torch() {
    if "$venv/bin/pip" show --quiet torch 2>/dev/null; then
        return
    fi
    local pins cpu_builds hint="set TORCH_INDEX to the address of a package index with CPU builds of torch for less"
    read -ra pins <<<"$(grep -E '^(torch|torchvision)==' constraints.txt | tr '\n' ' ')"  # macOS's bash has no mapfile
    if [ "$(uname)" = Linux ] && ! has_gpu; then
        cpu_builds=("${pins[@]/%/+cpu}")
        if install_torch "${cpu_builds[@]}"; then
            echo "setup: there is no GPU, so the CPU build of torch was installed: ${cpu_builds[*]}"
            return
        fi
        explain unless-missing
        echo "setup: there is no GPU, but pip finds no CPU build (${cpu_builds[*]}), so torch comes with GPU libraries; $hint"
        need_gib 9 "; $hint"
    elif [ "$(uname)" = Linux ]; then
        echo "setup: there is a GPU, so torch is installed with its GPU libraries"
        need_gib 9
    fi
    [ -z "${TORCH_INDEX:-}" ] || install_torch "${pins[@]}" || explain
}

# Without build isolation, which fetches what builds a package without asking for checksums.
install_hashed() {
    sed -n '/^setuptools==/,/[^\\]$/p' "hashes/$purpose.txt" >"$venv/.packages"
    install --require-hashes -r "$venv/.packages" || explain
    install --require-hashes --no-build-isolation -r "hashes/$purpose.txt" || explain
}

install_for_reading() {
    echo "setup: installing what rendering needs into $venv (about half a minute with a fast connection)"
    if [ -n "${REQUIRE_HASHES:-}" ]; then
        install_hashed
        return
    fi
    "$python" -c '
import tomllib
with open("pyproject.toml", "rb") as file:
    print(*tomllib.load(file)["project"]["optional-dependencies"]["read"], sep="\n")' >"$venv/.packages"
    install -c constraints.txt -r "$venv/.packages" || explain
}

install_with_extras() {
    echo "setup: installing into $venv (some minutes, by the connection)"
    if [ -n "${REQUIRE_HASHES:-}" ]; then
        need_gib 9 "; with checksums torch comes with its GPU libraries"
        install_hashed
        install --no-deps --no-build-isolation -e . || explain
        return
    fi
    choose_torch
    install -c constraints.txt -e ".[$1]" || explain
}

case $purpose in
read) install_for_reading ;;
book) install_with_extras book,service ;;
test) install_with_extras book,service,test ;;
*) fail "unknown purpose '$purpose'; it is read, book or test" ;;
esac
[ "$purpose" != test ] || touch "$venv/.ready-book"
touch "$ready"
