"""Floor 6: where resources live. One `Store` protocol, one implementation a file, one contract test suite for all.

Writes are optimistic and ordered by one revision counter; `watch` shows them in that order.
"""
