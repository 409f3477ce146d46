"""The studies: one Snakemake workflow from a configuration to a table. `study` and `plan` need no torch."""
