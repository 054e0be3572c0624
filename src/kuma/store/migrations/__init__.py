"""The schema of the SQLite store: `NNNN_what.sql`, applied in order; the number is kept in `PRAGMA user_version`.

A file that was released is never edited; the next change is the next file.
"""
