"""Repeatable benchmarks, one module each: `python -m bench [name ...]` runs all or some and prints one table.

A module offers `run()`, which measures and returns its figures, and can be run alone with options of its own. Nothing
here is a test: figures depend on the machine. `RESULTS.md` keeps what was reached, and what bounds it.
"""
