"""Paths of files on the machine of a proxy, as policies name them."""

import re

_UNIX = re.compile(r"(/[^/\x00]*)+/?")
_WINDOWS = re.compile(r'[a-zA-Z]:\\(?:[^\\/:*?"<>|\r\n]+\\)*[^\\/:*?"<>|\r\n]*')


def is_file_path(text: str) -> bool:
    """Whether a text is an absolute path, of Unix or Windows. The file need not exist: it is somebody else's machine."""
    return _UNIX.fullmatch(text) is not None or _WINDOWS.fullmatch(text) is not None
