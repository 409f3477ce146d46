# A study that is a Python module, benchmarks/<study>.py: its rows as jobs, then the module itself, which writes results/.

from pathlib import Path
from shlex import quote

ROOT = Path(workflow.basedir).parent
# Names of the rows that have to be made, as the module lists them. A name hangs on the code that makes the row.
ROWS = Path(config["rows"]).read_text().split()
PLACE = (
    f"cd {quote(str(ROOT))} && MEA_STORE={quote(config['store'])} OMP_NUM_THREADS={{threads}} "
    f"PYTHONPATH={quote(str(ROOT))}"
)
RUN = f"{PLACE} {quote(config['python'])} -m benchmarks.{config['study']} --scale {config['scale']}"


localrules:
    study,


rule study:
    input:
        "whole",
    default_target: True


rule row:
    """One row, which the module keeps under build/studies."""
    output:
        touch("rows/{name}"),
    resources:
        mem_mb=2500,
        runtime=240,
    shell:
        RUN + " --row {wildcards.name}"


rule whole:
    """All rows that there are, their summary, and results/<study>.json."""
    input:
        expand("rows/{name}", name=ROWS),
    output:
        touch("whole"),
    params:
        only=str(config.get("only") or ""),
    resources:
        mem_mb=2500,
        runtime=240,
    shell:
        RUN + " --only={params.only:q} --out " + quote(config["out"])
