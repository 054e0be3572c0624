"""Floor 6: where resources live and how changes to them are heard of.

One protocol (`protocol.py`), one contract test suite, one file per backend.
"""
