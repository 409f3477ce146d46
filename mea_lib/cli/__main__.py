"""`python -m mea_lib.cli`, where the script `mea` is not on the path."""

from mea_lib.cli.program import main

main()
