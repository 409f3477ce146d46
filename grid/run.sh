#!/usr/bin/env bash
# make study STUDY=name (several: a,b; all of the paper: paper): what is finished is kept, so that a study that was interrupted, or killed, goes on.
# Variables: PROFILE=local|slurm|kubernetes, SCALE (the study's own), ONLY (a part of it, see README.md),
# JOB_PYTHON (the package's environment), GRID_ENV (Snakemake's), WORK (where jobs' files go). Options go to Snakemake.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
study=$1
shift
scale=${SCALE:-}
work=${WORK:-$root/build/grid/$study${scale:+-$scale}}
snakemake=${GRID_ENV:-$root/.venv-grid}/bin/snakemake
python=${JOB_PYTHON:-$root/.venv/bin/python}

mkdir -p "$work"
# This lock goes with its process; Snakemake's own stays behind when it is killed, and would have to be removed by hand.
exec 9>"$work/.running"
# Taken by Python, since macOS has no flock(1); it belongs to the open file, which this shell keeps.
"${snakemake%/*}/python" -c '
import fcntl, sys
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit("the study {} is running in {} already".format(*sys.argv[1:]))' "$study" "$work" || exit 1

config=(study="$study" python="$python" store="${MEA_STORE:-$root/build/store}")
if [[ -f $root/benchmarks/$study.py ]]; then
    # A study that is a module of its own: the grid runs its rows, the module writes its results.
    snakefile=$root/grid/module.smk
    out=${RESULTS:-$root/results}
    # Another scale than the study's own has no place in results/.
    [[ -z $scale ]] || out=$work/results
    (cd "$root" && PYTHONPATH=$root "$python" -m "benchmarks.$study" \
        --list --scale "${scale:-laptop}" --only "${ONLY:-}" --out "$out") >"$work/rows_to_make"
    rm -f "$work/whole"  # results are written anew by whoever asks for them
    config+=(rows="$work/rows_to_make" scale="${scale:-laptop}" only="${ONLY:-}" out="$out")
else
    snakefile=$root/grid/Snakefile
    # A wrong setting is found now and not by the last job.
    (cd "$root" && PYTHONPATH=$root "$python" -m grid.job check "$study" --out "$work/checked.json")
    config+=(only="${ONLY:-}")
    [[ -z $scale ]] || config+=(scale="$scale")
    # A part of a study adds its rows to results/; another scale than the study's own has no place there.
    [[ -n $scale ]] || config+=(results="${RESULTS:-$root/results}")
fi

cd "$work"
# shellcheck disable=SC2086  # SNAKEMAKE_OPTIONS are words
exec "$snakemake" --snakefile "$snakefile" --nolock --workflow-profile none \
    --profile "$root/grid/profiles/${PROFILE:-local}" ${SNAKEMAKE_OPTIONS:-} "$@" --config "${config[@]}"
