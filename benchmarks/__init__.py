"""Measurements that take longer than a test: `python -m benchmarks` for ratios, `benchmarks.recipe_study` for the study."""
