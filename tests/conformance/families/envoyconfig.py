"""Family `envoyconfig`: policies of a mesh, and everything that Envoy of each proxy is sent for them.

The meshes of an environment are prepared once: their resources are written through the use cases of a control plane,
their proxies count as connected with the metadata that kuma-dp would send, and what a control plane writes about
destinations is written. A case adds its policies to the picture and compares what inspection shows of the proxies.
Environments with builtin gateways are not prepared yet.
"""

import asyncio
import copy
import datetime
import functools
import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kuma.apps.dataplane import settings
from kuma.apps.dataplane.joining import bootstrap as agent
from kuma.apps.dataplane.otel import environment
from kuma.apps.dataplane.supervised import envoy
from kuma.compiler import compile
from kuma.envoy import bootstrap, bootstrap_request
from kuma.legacy_policies import discovery as legacy
from kuma.mesh import view
from kuma.plan import proxy
from kuma.policies import discovery as policies
from kuma.resources import resource as res
from kuma.servers.rest.inspecting import json_diff
from kuma.services.defaults import hostnames as default_hostnames
from kuma.services.destinations import drafting, loop, propagation
from kuma.services.proxies import inspection
from kuma.services.rules import role as roles
from kuma.services.trust import mesh_identities
from tests.conformance import outcome
from tests.conformance.families import bootstrap as comparing
from tests.kit import api as kit
from tests.kit import destinations as destination_kit
from tests.kit import json_patches, worlds

ZONE = "kuma-3"
GROUPS = frozenset({"sidecars", "zoneproxies"})
READINESS_PORT = 9902
TRUSTED_SECONDS = 600.0
"""After which all proxies trust an identity."""
_ADDRESS = re.compile(r"\{\{address:[^}]*\}\}")
_ARRAY_INDEX = re.compile(r"/(\d+|-)(/|$)")


@dataclass(frozen=True, slots=True)
class Environment:
    """Meshes that stand, and the metadata of their proxies by name."""

    api: kit.Api
    baselines: Mapping[str, str]
    metadata: Mapping[str, Mapping[str, Any]]


def run(case: dict[str, Any], folder: Path) -> outcome.Outcome:
    """One case; the differences of all its proxies are its detail."""
    if case["group"] not in GROUPS:
        return outcome.unsupported(f"no environment {case['group']} yet")
    problems = asyncio.run(_differences(case, folder, prepared(folder / case["env"])))
    return outcome.failed("\n".join(problems)) if problems else outcome.PASSED


@functools.cache
def prepared(path: Path) -> Environment:
    """The environment of a file, made once."""
    return asyncio.run(_prepare(yaml.safe_load(path.read_text())))


async def _differences(case: Mapping[str, Any], folder: Path, around: Environment) -> list[str]:
    own = (folder / case["input"]).read_text()
    written = await _written(around.api, f"{around.baselines[case['baseline']]}\n---\n{own}")
    kinds = compile.Compiler(_policies()).policy_kinds
    world = await worlds.of_store(around.api.store, around.api.catalog, kinds, ZONE)
    world, touched = world.advance([view.Edit(each) for each in written])
    if touched.refused:
        return [reason for _, reason in touched.refused]
    problems = []
    for name, golden in case["goldens"].items():
        expected = json.loads((folder / golden).read_text())
        current, wanted = configurations(world.meshes[case["mesh"]], name, around.metadata[name])
        steps = json_diff.patch(current, wanted)
        found = _normaliser(folder)(json.dumps({"xds": wanted, "diff": steps}))
        problems += [f"{name}: {each}" for each in compare(expected, found)]
        if json_patches.applied(current, steps) != wanted:
            problems.append(f"{name}: the difference does not lead to the configuration with shadow policies")
    return problems


def configurations(picture: view.MeshView, name: str, metadata: Mapping[str, Any]) -> list[inspection.Configuration]:
    """What a proxy has, and what it would have with the shadow policies."""
    subject = proxy.facts_of(picture.dataplanes[name], metadata)
    compilers = [compile.Compiler(_policies(), with_shadow=shadow) for shadow in (False, True)]
    return [inspection.configuration(each, picture, subject) for each in compilers]


def _policies() -> list[Any]:
    return [*policies.policies(), *legacy.policies()]


def compare(expected: dict[str, Any], found: dict[str, Any]) -> Iterator[str]:
    """Both normalised. Differences are compared where no list is in their way; elsewhere there are several good ones."""
    expected, found = _read(expected), _read(found)
    yield from comparing.differences(expected["xds"], found["xds"])
    if not any(_ARRAY_INDEX.search(each["path"]) for each in expected["diff"]):
        yield from comparing.differences(expected["diff"], found["diff"], "diff")


def _read(tree: dict[str, Any]) -> dict[str, Any]:
    """A JSON document in which 20.0 is 20."""
    read: dict[str, Any] = json.loads(json.dumps(tree), parse_float=lambda text: _number(float(text)))
    return read


def _number(value: float) -> float:
    return int(value) if value.is_integer() else value


@functools.cache
def _normaliser(folder: Path) -> Any:
    """The corpus' own normaliser."""
    spec = importlib.util.spec_from_file_location("corpus_normalise", folder / "normalise.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.normalise


# The environment


async def _prepare(env: Mapping[str, Any]) -> Environment:
    role = roles.Role(zone=ZONE)
    api = kit.build(role)
    for each in default_hostnames.for_role(role):
        await api.store.create(each)
    await _write(api, {"type": "Mesh", "name": "default", "skipCreatingInitialPolicies": ["*"]})
    addresses = iter(range(10, 250))
    fixed = _ADDRESS.sub(lambda _: f"192.168.0.{next(addresses)}", env["resources"])
    for each in yaml.safe_load_all(fixed):
        if each:
            await _write(api, each)
            if each["type"] == "Dataplane":
                insight = destination_kit.insight(each["name"], certificate=True)
                await api.store.create(res.Resource(insight.kind, res.Meta(each["mesh"], each["name"]), insight.spec))
    for seconds in (0, TRUSTED_SECONDS):
        clock = functools.partial(_later, seconds)
        await mesh_identities.IdentityLoop(api.store, ZONE, clock).write_all()
    own = drafting.Settings(propagated=propagation.Settings(enabled=True))
    measures = destination_kit.Measures()
    await loop.DestinationLoop(api.store, api.catalog, role, own, kit.now, measures).write_all()
    metadata = {each["name"]: _metadata(each) for each in env["proxies"]}
    return Environment(api, env["baselines"], metadata)


def _later(seconds: float) -> datetime.datetime:
    return kit.now() + datetime.timedelta(seconds=seconds)


async def _written(api: kit.Api, documents: str) -> list[res.Resource[Any]]:
    """Policies as a control plane stores them; nothing of them stays in the environment."""
    found = [await _write(api, each) for each in yaml.safe_load_all(documents) if each]
    for made in found:
        await api.store.delete(made.key)
    return found


async def _write(api: kit.Api, document: Mapping[str, Any]) -> res.Resource[Any]:
    kind = api.catalog.find(document["type"])
    assert kind is not None, document["type"]
    own = copy.deepcopy(dict(document))
    done = await api.manager.put(kind, own.get("mesh", ""), own["name"], own, None)
    return done.resource


def _metadata(spoken: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of Envoy's node: the agent's own request, answered by the control plane's own bootstrap."""
    flags = {flag.removeprefix("--").replace("-", "_"): "true" for flag in spoken["kumaDpFlags"]}
    conf = settings.load_settings(flags, spoken["kumaDpEnv"])
    around = agent.Surroundings(
        mesh="mesh",
        name=spoken["name"],
        definition="",
        token="",
        token_path="",
        ca="",
        workdir=conf.socket_dir,
        readiness_port=READINESS_PORT,
        envoy=envoy.EnvoyVersion("1.38.0", ""),
        system_ca="",
        has_ipv6=True,
        memory_limit=0,
        redirection=None,
        host_ip="",
        answers_dns=conf.dns_enabled,
        telemetry=environment.Environment(),
    )
    request = bootstrap_request.decode_request(json.dumps(agent.build_request(conf, around)).encode())
    made = bootstrap.generate_bootstrap(request, bootstrap.Facts("", ""), bootstrap.Params())
    return dict(made["node"]["metadata"])
