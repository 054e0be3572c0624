"""The conformance corpus against this project: which of its cases hold, family by family.

`python -m tests.conformance` prints a table. Families plug in as modules of `families`; `floors.json` keeps what is
reached and only rises.
"""
