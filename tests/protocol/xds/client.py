"""A client to talk to the machines without sockets: parses real bytes, keeps what an Envoy would keep."""

from collections.abc import Iterable, Mapping

from envoy.service.discovery.v3 import discovery_pb2

from kuma.discovery import delta, framing, machine, sharing, sotw
from kuma.discovery import resources as res

SHORT = {
    "cds": res.CLUSTER,
    "eds": res.ENDPOINT,
    "sds": res.SECRET,
    "lds": res.LISTENER,
    "rds": res.ROUTE,
    "rtds": res.RUNTIME,
}
LONG = {url: short for short, url in SHORT.items()}


def rendered(short: str, name: str, version: object) -> res.Rendered:
    return res.Rendered(SHORT[short], name, f"{name}={version}".encode())


def snapshot(**types: Mapping[str, object]) -> res.Snapshot:
    """`snapshot(cds={"api": 1})`; names that start with `own-` are personal, the rest are shared."""
    sets = {}
    for short, members in types.items():
        made = {name: rendered(short, name, version) for name, version in members.items()}
        sets[SHORT[short]] = res.ResourceSet(
            {name: r for name, r in made.items() if not name.startswith("own-")},
            {name: r for name, r in made.items() if name.startswith("own-")},
        )
    return res.Snapshot(sets)


def decode(response: machine.Response, *, is_delta: bool) -> tuple[str, dict[str, str], tuple[str, ...], str]:
    """Type, resources by name, removed names and version, read from the bytes as any client would."""
    raw = b"".join(response.parts(framing.Frames()))
    if is_delta:
        message = discovery_pb2.DeltaDiscoveryResponse.FromString(raw)
        got = {r.name: r.resource.value.decode() for r in message.resources}
        versions = {r.name: r.version for r in message.resources}
        assert versions == {r.name: r.version for r in response.answer.resources}
        removed, version = tuple(message.removed_resources), message.system_version_info
    else:
        message = discovery_pb2.DiscoveryResponse.FromString(raw)
        got = {any_.value.decode().split("=")[0]: any_.value.decode() for any_ in message.resources}
        assert {any_.type_url for any_ in message.resources} <= {response.type_url}
        removed, version = (), message.version_info
    assert message.type_url == response.type_url
    assert message.nonce == response.nonce
    assert message.control_plane.identifier == "cp-1"
    return LONG[message.type_url], {name: value.split("=")[1] for name, value in got.items()}, removed, version


class Dialogue:
    """One stream, spoken in short words. Every step returns what the control plane says at once, one string each."""

    def __init__(self, *, is_delta: bool = False, shared: sharing.Sharing | None = None) -> None:
        self.is_delta = is_delta
        self.now = 0.0
        face: machine.Face = delta.Delta() if is_delta else sotw.StateOfTheWorld()
        self.machine = machine.Machine(face, shared or sharing.Sharing(), "cp-1")
        self.last: dict[str, str] = {}
        self.names: dict[str, tuple[str, ...]] = {}
        self.verdict: machine.Verdict | None = None

    def ask(self, short: str, *names: str, **more: object) -> list[str]:
        """A subscription; for the state of the world with the last nonce, as Envoy does."""
        self.names[short] = names
        if self.is_delta:
            request = machine.Request(SHORT[short], subscribe=names, **more)  # type: ignore[arg-type]
        else:
            more = {"nonce": self.last.get(short, ""), **more}
            request = machine.Request(SHORT[short], names=names, **more)  # type: ignore[arg-type]
        return self.send(request)

    def drop(self, short: str, *names: str) -> list[str]:
        return self.send(machine.Request(SHORT[short], unsubscribe=names))

    def ack(self, short: str, *names: str, nonce: str = "") -> list[str]:
        names = names or (() if self.is_delta else self.names.get(short, ()))
        self.names[short] = names or self.names.get(short, ())
        return self.send(machine.Request(SHORT[short], names=names, nonce=nonce or self.last[short]))

    def nack(self, short: str, message: str = "no") -> list[str]:
        names = () if self.is_delta else self.names.get(short, ())
        return self.send(machine.Request(SHORT[short], names=names, nonce=self.last[short], error=(13, message)))

    def push(self, new: res.Snapshot) -> list[str]:
        self.machine.on_snapshot(new)
        return self.flush()

    def wait(self, seconds: float) -> list[str]:
        self.now += seconds
        return self.flush()

    def send(self, request: machine.Request) -> list[str]:
        self.verdict = self.machine.receive(request, self.now)
        return self.flush()

    def flush(self) -> list[str]:
        said = []
        for response in self.machine.flush(self.now):
            short, got, removed, _ = decode(response, is_delta=self.is_delta)
            self.last[short] = response.nonce
            said.append(spell(short, response.nonce, got, removed))
        return said


def spell(short: str, nonce: str, got: Mapping[str, str], removed: Iterable[str]) -> str:
    """`cds 1: api=1 -old`: type, nonce, resources with their versions, removed names."""
    words = [f"{name}={version}" for name, version in sorted(got.items())] + [f"-{name}" for name in sorted(removed)]
    return f"{short} {nonce}: {' '.join(words)}".rstrip(": ") if not words else f"{short} {nonce}: {' '.join(words)}"
