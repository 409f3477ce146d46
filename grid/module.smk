# A study that is a Python module, benchmarks/<study>.py: its rows as jobs, then the module itself, which writes results/.

import sys
from pathlib import Path

ROOT = Path(workflow.basedir).parent
sys.path.insert(0, str(ROOT))

from mea_lib.shaping_code import study_code_digest

STUDY = config["study"]
ROWS = int(config["rows"])
RUN = (
    f"cd {ROOT} && MEA_STORE={config['store']} OMP_NUM_THREADS={{threads}} PYTHONPATH={ROOT} "
    f"{config['python']} -m benchmarks.{STUDY} --scale {config['scale']}"
)
CODE = study_code_digest(ROOT / "benchmarks" / f"{name}.py" for name in ("study", STUDY))


localrules:
    study,


rule study:
    input:
        "whole",
    default_target: True


rule row:
    """One row, which the module keeps under build/studies."""
    output:
        touch("rows/{number}"),
    params:
        code=CODE,
    resources:
        mem_mb=2500,
        runtime=240,
    shell:
        RUN + f" --part {{wildcards.number}}/{ROWS}"


rule whole:
    """All rows, their summary, and results/<study>.json."""
    input:
        expand("rows/{number}", number=range(ROWS)),
    output:
        touch("whole"),
    params:
        code=CODE,
    resources:
        mem_mb=2500,
        runtime=240,
    shell:
        RUN
