"""What a proxy is configured with, as people read it: Envoy resources as JSON, with and without shadow policies.

The configuration is compiled for whoever asks, from the same picture and by the same functions as that of the proxy
itself. No secret leaks: certificates and keys of proxies take no part, in their place are stand-ins, the same that Kuma
shows; what Secrets of the mesh hold is taken out.
Source: Kuma's HTTP API, "Inspection".
"""

import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from google.protobuf import json_format, symbol_database

from kuma.base import errors
from kuma.compiler import admin, compile
from kuma.discovery import resources as xds
from kuma.mesh import secrets, view
from kuma.plan import proxy
from kuma.resources import resource as res
from kuma.resources.kinds import dataplaneinsight
from kuma.security import redaction
from kuma.store import protocol as stores

STAND_IN = compile.Identity(b"CERT", b"KEY", b"CA")
ISSUED = compile.Issued(STAND_IN, STAND_IN)
NO_CERTIFICATE = admin.AdminCertificate(b"", b"", b"")

Configuration = dict[str, dict[str, Any]]
"""Envoy resources as proto JSON, by type URL and name."""


class Inspector:
    """Compiles proxies for those who ask.

    `world` tells the picture, `current` compiles as for proxies and `shadowed` with shadow policies as well.
    """

    def __init__(
        self,
        store: stores.Store,
        world: Callable[[], Awaitable[view.WorldView]],
        current: compile.Compiler,
        shadowed: compile.Compiler,
    ) -> None:
        self._store = store
        self._world = world
        self._compilers = {False: current, True: shadowed}

    async def config_of(self, mesh: str, name: str, shadow: bool) -> Configuration:
        """The configuration of a proxy as it last connected; NotFound where it never did or does not exist.

        Unavailable for one that cannot prove who it is. `shadow`: as it would be with the policies that are marked as
        shadow.
        """
        insight = await self._store.get(res.Key(dataplaneinsight.KIND.name, mesh, name))
        meshes = (await self._world()).meshes
        self._compilers[True].forget_all_but(meshes)  # the other one is the publisher's, who does so
        picture = meshes.get(mesh)
        dataplane = picture.dataplanes.get(name) if picture is not None else None
        if picture is None or dataplane is None:
            raise errors.NotFound(f"no Dataplane {name} in mesh {mesh}")
        metadata: Mapping[str, Any] = insight.spec.metadata or {}
        try:
            return configuration(self._compilers[shadow], picture, proxy.facts_of(dataplane, metadata))
        except compile.MissingIdentity as failure:
            raise errors.Unavailable(str(failure)) from None


def configuration(compiler: compile.Compiler, picture: view.MeshView, subject: proxy.ProxyFacts) -> Configuration:
    """Everything that a proxy is sent."""
    said = compiler.match(picture, subject)
    own = compiler.own(picture, subject, said, ISSUED, NO_CERTIFICATE)
    sets = compile.snapshot(own, compiler.shape(picture, subject, said)).sets
    chosen = compiler.held(picture, subject).chosen
    hidden = str(chosen.kri) if chosen is not None else ""  # of certificates of MeshIdentities Kuma shows nothing
    kept = _contents_of_secrets(picture)
    out = {
        type_url: {
            each.name: _without(readable(each), kept)
            for each in sorted(sets[type_url], key=_name)
            if each.name != hidden
        }
        for type_url in sorted(sets)
    }
    return {type_url: resources for type_url, resources in out.items() if resources}


def _name(rendered: xds.Rendered) -> str:
    return rendered.name


def _contents_of_secrets(picture: view.MeshView) -> frozenset[str]:
    """What stands in the Secrets that take part, as proto JSON shows it."""
    named = secrets.named(picture)
    found = (each for each in picture.of_kind("Secret") if each.meta.name in named)
    return frozenset(base64.b64encode(each.spec.data).decode() for each in found)


def _without(shown: Any, kept: frozenset[str]) -> Any:
    """A JSON document without some of its texts."""
    if not kept:
        return shown
    if isinstance(shown, dict):
        return {key: _without(value, kept) for key, value in shown.items()}
    if isinstance(shown, list):
        return [_without(each, kept) for each in shown]
    return redaction.REDACTED_BYTES if isinstance(shown, str) and shown in kept else shown


def readable(rendered: xds.Rendered) -> Any:
    """One Envoy resource as proto JSON."""
    message = symbol_database.Default().GetSymbol(rendered.type_url.removeprefix(xds.TYPE_PREFIX))()
    message.ParseFromString(rendered.value)
    return json_format.MessageToDict(message)
