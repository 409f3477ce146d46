#!/usr/bin/env bash
# A small grid through a real Slurm: killed in the middle with one of its running jobs, resumed, and its rows compared
# with those of the local profile. As root, on a machine without a Slurm of its own: bash grid/slurm/try_it.sh
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
study=table1_fashion_mnist
export SCALE=smoke
export ONLY='seed=0; key=shirt and trouser; attack=distillation; answers=soft; augment=false; times=1'
there=$root/build/grid/try-slurm
here=$root/build/grid/try-local

bash "$root/grid/slurm/start_single_node.sh"
rm -rf "$there" "$here"
mkdir -p "$there" "$here"

through_slurm=(env WORK="$there" MEA_STORE="$there/store" PROFILE=slurm bash "$root/grid/run.sh" "$study")

echo "== through Slurm, until three models are there and another job runs"
"${through_slurm[@]}" >"$there/first.log" 2>&1 &  # becomes Snakemake itself, by exec
run=$!
running() { squeue --noheader --states=RUNNING --format=%A | head -1; }
made() { find "$there/store" -name '*.safetensors' 2>/dev/null | sort; }
until [[ $(made | wc -l) -ge 3 && -n $(running) ]]; do
    kill -0 $run 2>/dev/null || { tail -30 "$there/first.log"; exit 1; }
    sleep 1
done
job=$(running)
echo "== SIGKILL to Snakemake and to the running job $job; finished so far:"
kill -9 $run
scancel --signal=KILL --full "$job" || true
find "$there" -path '*/models/*.json' -o -path '*/rows/*.json' | sort
made >"$there/finished"
xargs stat --format='%n %Y' <"$there/finished" >"$there/times"
wait $run 2>/dev/null || true
while [[ -n $(squeue --noheader) ]]; do sleep 1; done
squeue --states=all --format='%.6i %.10T %.8M'

echo "== resumed"
"${through_slurm[@]}" >"$there/second.log" 2>&1 || { tail -30 "$there/second.log"; exit 1; }
xargs stat --format='%n %Y' <"$there/finished" | diff "$there/times" -
echo "no model was trained again"
squeue --states=all --format='%.6i %.10T %.8M'

echo "== the same on this machine alone, in a store of its own"
WORK=$here MEA_STORE=$here/store bash "$root/grid/run.sh" "$study" >"$here/run.log" 2>&1 || { tail -30 "$here/run.log"; exit 1; }

PYTHONPATH=$root "${JOB_PYTHON:-$root/.venv/bin/python}" - "$there" "$here" <<'PYTHON'
import json
import sys
from pathlib import Path

found = [json.loads(next(Path(folder).glob("results/*.json")).read_text())["runs"] for folder in sys.argv[1:]]
for rows in found:
    for row in rows:
        for name in [name for name in row if name.endswith("seconds")]:
            del row[name]
assert found[0] == found[1], "the rows differ"
print(f"== {len(found[0])} rows, identical but for seconds, weights' hashes among them")
PYTHON
