"""Fuzz targets: what a reader is fed is made up by a coverage-guided fuzzer, and what must always hold is checked.

`python -m tests.fuzz TARGET --seconds 300` runs one with atheris (`pip install -e '.[fuzz]'`). What it finds goes into
`corpus/TARGET/`, which every test run replays.
"""
