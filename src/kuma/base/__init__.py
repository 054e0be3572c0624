"""Floor 0: words and values every other floor uses.

Errors, violations, labels, durations and resource identifiers. Standard library only, and nothing here waits.
"""
