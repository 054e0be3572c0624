"""What it costs to find out what policies say of proxies: `python -m bench.matching`.

One mesh with 5,000 MeshTimeouts and proxies of 100 sorts. Half of the policies are for all proxies, each about calls
to one service; the others select proxies by tag. Costs are those of one core.
"""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

from bench import figures
from kuma.base import kri
from kuma.plan import proxy
from kuma.policies.meshtimeout import model
from kuma.policy_engine.matching import matcher, surroundings
from kuma.resources import codec
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, mesh, meshservice

POLICIES = 5000
SORTS = 100
SERVICES = 100
PROXIES = 10_000


def policy(number: int) -> res.Resource[Any]:
    """One policy: with an even number for all proxies, otherwise for those of one service."""
    top = {"kind": "Mesh"} if number % 2 == 0 else {"kind": "MeshSubset", "tags": {"app": f"app-{number % SORTS}"}}
    to = {"kind": "MeshService", "name": f"backend-{number // 2 % SERVICES}"}
    entry = {"targetRef": to, "default": {"idleTimeout": f"{number + 1}s"}}
    document = {"type": "MeshTimeout", "mesh": "default", "name": f"policy-{number}"}
    return codec.decode(model.KIND, {**document, "spec": {"targetRef": top, "to": [entry]}})


def subject(number: int) -> proxy.ProxyFacts:
    """One proxy; the sorts follow each other."""
    tags = {"kuma.io/service": f"app-{number % SORTS}", "app": f"app-{number % SORTS}"}
    networking = {"address": f"10.0.{number // 250}.{number % 250}", "inbound": [{"port": 8080, "tags": tags}]}
    document = {"type": "Dataplane", "mesh": "default", "name": f"proxy-{number}", "networking": networking}
    return proxy.facts_of(codec.decode(dataplane.KIND, document), {})


def around() -> surroundings.Surroundings:
    """The destinations."""
    spec = {"ports": [{"port": 80}], "selector": {"dataplaneTags": {"app": "x"}}}
    document = {"type": "MeshService", "mesh": "default", "spec": spec}
    found = [codec.decode(meshservice.KIND, {**document, "name": f"backend-{each}"}) for each in range(SERVICES)]
    return surroundings.Surroundings(services=found, mesh=codec.decode(mesh.KIND, {"type": "Mesh", "name": "default"}))


def ask(asked: matcher.Matcher, policies: tuple[Any, ...], subjects: Sequence[Any], about: Any) -> float:
    """Seconds to match every proxy and find its conf for every destination."""
    targets = [kri.Kri("msvc", "default", "", "", f"backend-{each}", "80") for each in range(SERVICES)]
    begin = time.process_time()
    for each in subjects:
        found = asked.match(model.KIND, policies, each, about)
        for target in targets:
            found.to.of(target)
    return time.process_time() - begin


def run() -> list[figures.Figure]:
    """All sorts for the first time, again after a change of one policy for all proxies, and their replicas."""
    policies = tuple(policy(number) for number in range(POLICIES))
    subjects = [subject(number) for number in range(SORTS)]
    about, asked = around(), matcher.Matcher()
    first = ask(asked, policies, subjects, about)
    changed = dataclasses.replace(policies[0], spec=policies[2].spec)
    policies = (changed, *policies[1:])
    after = ask(asked, policies, subjects, about)
    many = [subject(number) for number in range(PROXIES)]
    begin = time.process_time()
    for each in many:
        asked.match(model.KIND, policies, each, about)
    replicas = time.process_time() - begin
    what = f"{POLICIES} policies, {SORTS} sorts of proxies"
    return [
        figures.Figure(f"matching {what}: first time", 1e3 * first, "ms"),
        figures.Figure(f"matching {what}: after a change for all", 1e3 * after, "ms"),
        figures.Figure("the same for each policy and sort", 1e6 * after / (POLICIES * SORTS), "us"),
        figures.Figure("a further replica, for each kind of policy", 1e6 * replicas / PROXIES, "us"),
    ]


if __name__ == "__main__":
    print(figures.table(run()))
