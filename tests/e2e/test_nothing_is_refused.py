"""Policies of the conformance corpus: whatever they make of a proxy, its Envoy takes all of it.

A mesh for each way of telling proxies, with a real Envoy for each of its proxies. Case after case is written: as it
stands (most are shadow policies) and at once in force. A listener that a MeshProxyPatch adds says that Envoy has seen
everything before it.
"""

import functools
import itertools
import json
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conformance import corpus
from tests.kit import destinations, envoys, network, planes

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

GROUP = "sidecars"
LISTENER, CLUSTER = (
    f"type.googleapis.com/envoy.config.{kind}" for kind in ("listener.v3.Listener", "cluster.v3.Cluster")
)
EFFECT = "kuma.io/effect"
_ECHO = {"@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo"}
_TROUBLE = {"warming_state", "error_state"}
_PORTS = re.compile(r"(redirectPort\w+): \d+")


@pytest.fixture(scope="module")
def cases() -> list[dict[str, Any]]:
    """The cases of sidecars."""
    if not (corpus.default_folder() / "envoyconfig").is_dir():
        pytest.skip("the conformance corpus is not here: set KUMA_CORPUS")
    if os.geteuid() != 0:
        pytest.skip("a proxy of the corpus listens on port 80: needs root")
    found = [each.entry for each in corpus.cases(corpus.default_folder(), "envoyconfig")]
    return [each for each in found if each["group"] == GROUP]


@pytest.mark.parametrize("way", envoys.WAYS)
def test_all_is_taken(shared_plane: planes.Plane, cases: list[dict[str, Any]], way: str) -> None:
    folder = corpus.default_folder() / "envoyconfig"
    with ExitStack() as stack:
        stage = Stage(shared_plane, cases[0]["mesh"], f"corpus-{way}", stack)
        stage.set_up(yaml.safe_load((folder / cases[0]["env"]).read_text()), envoys.WAYS[way])
        problems = {}
        for case in cases:
            problems[case["id"]] = stage.problems_of(case, folder)
        assert not {name: found for name, found in problems.items() if found}
        assert not stage.rejections()


class Stage:
    """A mesh of the corpus under another name, at addresses and ports that are free here."""

    def __init__(self, plane: planes.Plane, original: str, name: str, stack: ExitStack) -> None:
        self._plane, self._original, self.name, self._stack = plane, original, name, stack
        self._envoys: list[envoys.Envoy] = []
        self._baselines: dict[str, str] = {}
        self._known: dict[str, list[str]] = {}
        self._marks = itertools.count(1)

    def set_up(self, environment: dict[str, Any], features: tuple[str, ...]) -> None:
        """Writes the mesh, starts its Envoys and waits until its services can be reached."""
        self._baselines = environment["baselines"]
        fixed = re.sub(r"\{\{address:[^}]*\}\}", lambda _: network.own_address(), environment["resources"])
        fixed = _PORTS.sub(lambda at: f"{at[1]}: {network.free_port()}", fixed)
        for each in self._documents(fixed):
            self._put(each)
        for each in environment["proxies"]:
            made = envoys.Envoy(self._plane, self.name, each["name"], features)
            self._stack.callback(made.end)
            self._envoys.append(made.launch())
        network.until("services can be reached", self._has_services)

    def _has_services(self) -> bool:
        found = self._plane.get(f"/meshes/{self.name}/meshservices")["items"]
        states = [each.get("status", {}) for each in found]
        return len(found) == len(self._envoys) and all(
            each.get("vips") and each.get("tls", {}).get("status") == "Ready" for each in states
        )

    def problems_of(self, case: dict[str, Any], folder: Path) -> list[str]:
        """What Envoys did not take of a case, or hold otherwise than inspection says."""
        for each in self._documents(self._baselines[case["baseline"]]):
            self._put(each)
        written = self._documents((folder / case["input"]).read_text())
        for each in written:
            self._put(each)
            if each.get("labels", {}).pop(EFFECT, ""):
                self._put(each)
        mark = f"mark-{next(self._marks)}"
        self._put(self._marking(mark))
        found: list[str] = []
        for proxy in self._envoys:
            network.until(f"{case['id']} at {proxy.name}", functools.partial(proxy.has_settled, mark))
            found += self._new_problems(proxy)
        for each in written:
            self._delete(each)
        return found

    def _new_problems(self, proxy: envoys.Envoy) -> Iterator[str]:
        refused = proxy.refused()
        yield from (f"{proxy.name}: {each}" for each in refused if each not in self._known.get(proxy.name, ()))
        self._known[proxy.name] = refused
        shown = self._plane.get(f"/meshes/{self.name}/dataplanes/{proxy.name}/_config")["xds"]
        states = proxy.listeners()
        working = {name for name, state in states.items() if "active_state" in state and not _TROUBLE & set(state)}
        for what, expected, actual in (
            ("listeners", set(shown[LISTENER]), working),
            ("clusters", set(shown[CLUSTER]), proxy.clusters() & set(shown[CLUSTER])),  # those gone stay for a while
        ):
            if expected != actual:
                yield f"{proxy.name}: {what} only inspected or only in Envoy: {sorted(expected ^ actual)}"

    def rejections(self) -> dict[str, Any]:
        """Proxies of which the control plane knows that something was rejected."""
        found = {each.name: self._plane.insight(self.name, each.name)["subscriptions"] for each in self._envoys}
        statuses = {name: each[-1]["status"] for name, each in found.items()}
        return {name: each for name, each in statuses.items() if each["total"].get("responsesRejected")}

    def _marking(self, listener: str) -> dict[str, Any]:
        """A policy that gives every proxy a listener that nothing is bound to."""
        value = {
            "name": listener,
            "bindToPort": False,
            "address": {"socketAddress": {"address": "192.0.2.1", "portValue": 1}},
            "filterChains": [{"filters": [{"name": "envoy.filters.network.echo", "typedConfig": _ECHO}]}],
        }
        change = {"listener": {"operation": "Add", "value": json.dumps(value)}}
        spec = {"targetRef": {"kind": "Mesh"}, "default": {"appendModifications": [change]}}
        return {"type": "MeshProxyPatch", "mesh": self.name, "name": "marking", "spec": spec}

    def _documents(self, text: str) -> list[dict[str, Any]]:
        own = re.sub(rf"\b{self._original}\b", self.name, text)
        return [each for each in yaml.safe_load_all(own) if each]

    def _put(self, document: dict[str, Any]) -> None:
        answer = self._plane.call("PUT", _path_of(document), document)
        assert answer.status in (200, 201), f"{document['type']} {document['name']}: {answer.text}"

    def _delete(self, document: dict[str, Any]) -> None:
        answer = self._plane.call("DELETE", _path_of(document))
        assert answer.status == 200, f"{document['type']} {document['name']}: {answer.text}"


def _path_of(document: dict[str, Any]) -> str:
    kind = destinations.CATALOG.find(document["type"])
    assert kind is not None, document["type"]
    owner = f"/meshes/{document['mesh']}" if "mesh" in document else ""
    return f"{owner}/{kind.plural}/{document['name']}"
