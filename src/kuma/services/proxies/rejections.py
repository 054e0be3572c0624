"""From Envoy's words about a rejected configuration to the resource that is to blame."""

from collections.abc import Callable, Iterable, Sequence

from kuma.resources import resource as res
from kuma.resources.kinds import dataplaneinsight as insights

_STARTS = ("(s) ", "\n", ", ", "; ", "'", '"')
_NO_ADDRESS = "cannot bind"
"""Envoy's words where it could not listen: every address and port stands in the Dataplane, whatever else is there."""


def describe(
    message: str, names: Iterable[str], origins: Callable[[str], tuple[res.ResourceRef, ...]], own: str = ""
) -> insights.LastError:
    """Message, the Envoy resources it complains about, and the resources of Kuma that these were made for.

    Several are joined by `, `. `own` is the KRI of the proxy's Dataplane.
    """
    found = names_in(message, names)
    blamed = (own if own and _NO_ADDRESS in _about(message, name) else _to_blame(origins(name)) for name in found)
    authors = dict.fromkeys(filter(None, blamed))
    return insights.LastError(message=message, resource=", ".join(found), kri=", ".join(authors))


def _to_blame(authors: Sequence[res.ResourceRef]) -> str:
    """The KRI of the last policy that shaped a resource, else of what it stands for; the Mesh, which is everywhere, last.

    Authors come in that order: what the resource stands for, the Mesh, then policies as they were applied.
    """
    known = [ref for ref in authors if ref.kri]
    chosen = [ref for ref in known if ref.kind != "Mesh"] or known
    return chosen[-1].kri if chosen else ""


def _about(message: str, name: str) -> str:
    """What a rejection says of one resource: the rest of its line."""
    return message.partition(f"{name}: ")[2].partition("\n")[0]


def names_in(message: str, names: Iterable[str]) -> list[str]:
    """The resources that a rejection names, in the order of the text.

    Envoy writes `Error adding/updating listener(s) NAME: reason` (also clusters), one more on each line or after a
    comma. Names may hold colons, so only names that were sent are looked for: first where such a list would have
    them, else anywhere as a whole word.
    """
    known = sorted(names, key=len, reverse=True)
    listed = [(at, name) for name in known if (at := _listed_at(message, name)) >= 0]
    chosen = listed or [(at, name) for name in known if (at := _word_at(message, name)) >= 0]
    return [name for _, name in sorted(chosen)]


def _listed_at(message: str, name: str) -> int:
    if message.startswith(f"{name}: "):
        return 0
    return next((at for start in _STARTS if (at := message.find(f"{start}{name}: ")) >= 0), -1)


def _word_at(message: str, name: str) -> int:
    at = message.find(name) if name else -1
    while at >= 0:
        around = message[at - 1 : at] + message[at + len(name) : at + len(name) + 1]
        if not any(char.isalnum() or char in "-_." for char in around.rstrip(".")):
            return at
        at = message.find(name, at + 1)
    return -1
