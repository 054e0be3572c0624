"""Where `kumactl apply` finds documents: files, folders, URLs and standard input, cut into pieces that know their place.

What is wrong with a document is told with the file and the line that its author sees in an editor.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kuma.apps.kumactl import grammar, rest

FETCH_SECONDS = 10
_SEPARATOR = re.compile(r"^---(?:[ \t].*)?$", re.MULTILINE)
_PLACEHOLDER = re.compile(r"\{\{\{?&?\s*([A-Za-z_][\w.-]*)\s*\}?\}\}")
_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Source:
    """One text and what it is called: the path of a file in a folder, empty where there is only one text."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Piece:
    """One document: its text, the source it comes from, and how many lines stand above it there."""

    text: str
    source: str = ""
    lines_above: int = 0

    @property
    def place(self) -> str:
        """The end of an error about the document; empty where there is only one source."""
        return f" (in {self.source})" if self.source else ""


def read(wanted: str) -> list[Source]:
    """The texts behind `-f`: standard input, a URL, a file, or every YAML and JSON file of a folder, by name."""
    if "://" in wanted:
        return [Source("", _fetch(wanted))]
    path = Path(wanted)
    try:
        if wanted == "-":
            return [Source("", sys.stdin.read())]
        if not path.is_dir():
            return [Source("", path.read_text())]
        files = sorted(each for each in path.iterdir() if each.suffix in _SUFFIXES and each.is_file())
        return [Source(str(each) if len(files) > 1 else "", each.read_text()) for each in files]
    except OSError as problem:
        reason = (problem.strerror or str(problem)).lower()
        verb = "stat" if isinstance(problem, FileNotFoundError) else "open"
        at = problem.filename or wanted
        raise grammar.CommandError(f"error while reading provided file: {verb} {at}: {reason}") from None
    except UnicodeDecodeError:
        name = "standard input" if wanted == "-" else wanted
        raise grammar.CommandError(f"error while reading provided file: {name} is not UTF-8 text") from None


def _fetch(url: str) -> str:
    import http.client
    import urllib.error
    import urllib.request

    if not rest.valid_url(url):
        raise grammar.CommandError("invalid URL for --file")
    try:
        with urllib.request.urlopen(url, timeout=FETCH_SECONDS) as answer:  # only http and https get here
            if answer.status != rest.HTTP_OK:
                raise grammar.CommandError("error while retrieving URL")
            body: bytes = answer.read()
            return body.decode()
    except urllib.error.HTTPError:
        raise grammar.CommandError("error while retrieving URL") from None
    except (OSError, http.client.HTTPException, UnicodeError) as problem:
        raise grammar.CommandError(f'error with GET http request: Get "{url}": {problem}') from None


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """`text` with its mustache placeholders replaced; `mesh.name=x` answers `{{ mesh.name }}`.

    CommandError where the brackets of a placeholder are not closed or do not match.
    """
    import chevron

    tree: dict[str, Any] = {}
    for key, value in values.items():
        *path, last = key.split(".")
        at = tree
        for part in path:
            inner = at.get(part)
            at[part] = inner if isinstance(inner, dict) else {}
            at = at[part]
        at[last] = value
    try:
        filled: str = chevron.render(text, tree, partials_path=None, partials_dict={})
    except (chevron.ChevronError, LookupError, ValueError) as problem:
        known = isinstance(problem, chevron.ChevronError)
        reason = " ".join(str(problem).split()) if known else "brackets that hold no name"
        raise grammar.CommandError(f"could not fill in the placeholders: {reason}") from None
    return filled


def unfilled(text: str, values: Mapping[str, str]) -> list[str]:
    """The names of placeholders that no value was given for, each once, in order."""
    return [name for name in dict.fromkeys(_PLACEHOLDER.findall(text)) if name not in values]


def split(source: Source) -> Iterator[Piece]:
    """The documents of a text that hold anything but comments."""
    start = 0
    for end, following in _cuts(source.text):
        part = source.text[start:end]
        if any(line.strip() and not line.lstrip().startswith("#") for line in part.splitlines()):
            content = part.lstrip("\n")
            above = source.text.count("\n", 0, end - len(content))
            yield Piece(content, source.name, above)
        start = following


def _cuts(text: str) -> Iterator[tuple[int, int]]:
    """Where each document ends and the next one begins."""
    for found in _SEPARATOR.finditer(text):
        yield found.span()
    yield len(text), len(text)
