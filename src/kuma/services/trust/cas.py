"""Certificate authorities of meshes: making a builtin one, checking a provided one, finding the one in use.

A builtin CA lies in two Secrets of the mesh and goes with it; a provided one is wherever its data sources say. The
backends `vault`, `acmpca` and `certmanager` exist in products built on Kuma alone and are refused like unknown ones.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec

from kuma.base import durations, errors
from kuma.resources import resource as res
from kuma.resources.kinds import mesh as meshes
from kuma.resources.kinds import secret
from kuma.security import authorities, certificates, keys, tokens
from kuma.services.trust import data_sources
from kuma.store import protocol

BUILTIN = "builtin"
PROVIDED = "provided"

MAX_NAME = 253
MAX_RSA_BITS = 8192
"""A larger key takes minutes to find, and whoever may write a Mesh could ask for it."""

_NOT_DEFINED = "has to be defined"
_DNS_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


class _CaCert(msgspec.Struct, frozen=True):
    rsa_bits: int = msgspec.field(default=0, name="RSAbits")
    expiration: str = ""


class _BuiltinConf(msgspec.Struct, frozen=True, rename="camel"):
    ca_cert: _CaCert | None = None


@dataclass(frozen=True, slots=True)
class MeshAuthority:
    """The CA in use in a mesh and how long the certificates live that it signs. `secrets` is where it was read from.

    `backend` is how insights call it.
    """

    backend: str
    authority: authorities.Authority = field(repr=False)
    lifetime: timedelta
    secrets: frozenset[res.Key]


def secret_keys(mesh: str, backend: str) -> tuple[res.Key, res.Key]:
    """Where a builtin CA's certificate and private key are kept."""
    return (
        res.Key(secret.KIND.name, mesh, f"{mesh}.ca-builtin-cert-{backend}"),
        res.Key(secret.KIND.name, mesh, f"{mesh}.ca-builtin-key-{backend}"),
    )


async def ensure_builtin_ca(store: protocol.Store, mesh: res.Resource[meshes.Mesh], clock: tokens.Clock) -> None:
    """Makes the CA of each builtin backend of a stored Mesh that has none; the Secrets are owned by the Mesh.

    Call it after a Mesh was written. ECDSA P-256 unless the conf has `RSAbits`. Safe to call again and at once from
    several control planes: certificate and key are written together or not at all.
    """
    for backend in mesh.spec.mtls.backends if mesh.spec.mtls else ():
        if backend.type != BUILTIN:
            continue
        cert_key, key_key = secret_keys(mesh.meta.name, backend.name)
        if await exists(store, cert_key) and await exists(store, key_key):
            continue
        pair = await _new_root(mesh.meta.name, backend, clock)
        if await exists(store, cert_key) and await exists(store, key_key):
            continue  # made by somebody else while an RSA key was being found
        made = [(cert_key, pair.cert_pem), (key_key, pair.key_pem)]
        await store.apply([creation(key, pem, mesh.key) for key, pem in made])


def creation(key: res.Key, pem: bytes, owner: res.Key) -> protocol.Change:
    """The making of a Secret that goes with its owner."""
    value = res.Resource(secret.KIND, res.Meta(mesh=key.mesh, name=key.name), secret.Secret(data=pem))
    return protocol.Change(protocol.Op.CREATED, value, owner=owner)


async def _new_root(mesh: str, backend: meshes.CertificateAuthorityBackend, clock: tokens.Clock) -> keys.KeyPair:
    conf = _builtin_conf(backend).ca_cert or _CaCert()
    lifetime = _lifetime(conf.expiration, authorities.ROOT_LIFETIME)
    if conf.rsa_bits:
        return await asyncio.to_thread(authorities.new_mesh_root, mesh, clock(), conf.rsa_bits, lifetime)
    return authorities.new_mesh_root(mesh, clock(), 0, lifetime)


def _builtin_conf(backend: meshes.CertificateAuthorityBackend) -> _BuiltinConf:
    try:
        return msgspec.convert(backend.conf or {}, _BuiltinConf, strict=False)
    except msgspec.ValidationError as failure:
        raise errors.BadRequest(f'conf of backend "{backend.name}" cannot be read: {failure}') from None


def _lifetime(text: str, default: timedelta) -> timedelta:
    """A lifetime in Kuma's text; empty and `0` mean the default. BadRequest where it is no duration."""
    try:
        nanos = durations.parse_kuma(text or "0")
    except ValueError as failure:
        raise errors.BadRequest(str(failure)) from None
    return timedelta(microseconds=nanos / 1000) if nanos else default


async def exists(store: protocol.Store, key: res.Key) -> bool:
    """Whether a resource is there."""
    try:
        await store.get(key)
    except errors.NotFound:
        return False
    return True


async def validate_backends(store: protocol.Store, mesh: res.Resource[meshes.Mesh]) -> list[errors.Violation]:
    """What is wrong with a Mesh's backends that its spec alone does not show: their type, name and content.

    For a Mesh about to be written. With `mtls.skipValidation` the content of a provided CA is not looked at.
    """
    found: list[errors.Violation] = []
    mtls = mesh.spec.mtls
    for index, backend in enumerate(mtls.backends if mtls else ()):
        path = f"mtls.backends[{index}]"
        if backend.type == BUILTIN:
            found += _name_violations(mesh.meta.name, backend, path)
        elif backend.type != PROVIDED:
            found.append(errors.Violation(f"{path}.type", "could not find installed plugin for this type"))
        elif mtls is None or not mtls.skip_validation:
            found += await _content_violations(store, mesh.meta.name, backend, f"{path}.conf")
    return found


def _name_violations(mesh: str, backend: meshes.CertificateAuthorityBackend, path: str) -> list[errors.Violation]:
    field_path = f"{path}.conf.mtls.backends.name"
    name = secret_keys(mesh, backend.name)[0].name
    try:
        conf = _builtin_conf(backend).ca_cert or _CaCert()
        _lifetime(conf.expiration, authorities.ROOT_LIFETIME)
    except errors.BadRequest as failure:
        return [errors.Violation(f"{path}.conf", f"could not parse config: {failure}")]
    if conf.rsa_bits and not 1024 <= conf.rsa_bits <= MAX_RSA_BITS:
        return [errors.Violation(f"{path}.conf.caCert.RSAbits", f"has to be in [1024 - {MAX_RSA_BITS}] range")]
    if len(name) > MAX_NAME:
        return [errors.Violation(field_path, "Backend name is too long. Max length: 255")]
    if _DNS_NAME.fullmatch(name) is None:
        return [errors.Violation(field_path, f'"{name}" name must be valid dns name')]
    return []


async def _content_violations(
    store: protocol.Store, mesh: str, backend: meshes.CertificateAuthorityBackend, path: str
) -> list[errors.Violation]:
    found: list[errors.Violation] = []
    pems: list[bytes] = []
    for name in ("cert", "key"):
        try:
            source = data_sources.parse((backend.conf or {}).get(name))
            if source is None:
                found.append(errors.Violation(f"{path}.{name}", _NOT_DEFINED))
            else:
                pems.append(await data_sources.read(store, source, mesh))
        except (errors.NotFound, errors.BadRequest) as failure:
            found.append(errors.Violation(f"{path}.{name}", str(failure)))
    return found or authorities.check(pems[0], pems[1], f"{path}.cert")


def secrets_of(mesh: str, backend: meshes.CertificateAuthorityBackend) -> frozenset[res.Key]:
    """The Secrets that a backend's CA is read from."""
    if backend.type == BUILTIN:
        return frozenset(secret_keys(mesh, backend.name))
    sources = [data_sources.parse((backend.conf or {}).get(name)) for name in ("cert", "key")]
    return frozenset(
        key for each in sources if each is not None and (key := data_sources.secret_of(each, mesh)) is not None
    )


def deletion_violations(mesh: res.Resource[meshes.Mesh], name: str) -> list[errors.Violation]:
    """Why a Secret of a mesh must stay: a CA backend reads it. Empty where none does."""
    wanted = res.Key(secret.KIND.name, mesh.meta.name, name)
    return [
        errors.Violation(
            "name",
            f'The secret "{name}" that you are trying to remove is currently in use in Mesh "{mesh.meta.name}" '
            f'in mTLS backend "{backend.name}". Please remove the reference from the "{backend.name}" backend '
            "before removing the secret.",
        )
        for backend in (mesh.spec.mtls.backends if mesh.spec.mtls else ())
        if wanted in secrets_of(mesh.meta.name, backend)
    ]


class MeshAuthorities:
    """Finds the CA in use in a mesh. Parsed once for as long as its PEM texts stay the same."""

    def __init__(self, store: protocol.Store) -> None:
        self._store = store
        self._known: dict[str, tuple[tuple[bytes, bytes], authorities.Authority]] = {}

    async def of(self, mesh: res.Resource[meshes.Mesh]) -> MeshAuthority | None:
        """The CA of the enabled backend; None where mutual TLS is off.

        Unavailable, naming mesh, backend and cause, where the CA cannot be read or is no CA: certificates that were
        issued before stay good. Equal PEM texts give the same `authority` object.
        """
        backend = mesh.spec.enabled_ca
        if backend is None:
            return None
        name = mesh.meta.name
        try:
            cert_pem, key_pem = await self._read(name, backend)
            skip = mesh.spec.mtls is not None and mesh.spec.mtls.skip_validation
            authority = self._parse(name, cert_pem, key_pem, skip)
            rotation = backend.dp_cert.rotation if backend.dp_cert else None
            lifetime = _lifetime(rotation.expiration if rotation else "", certificates.WORKLOAD_LIFETIME)
            return MeshAuthority(backend.name, authority, lifetime, secrets_of(name, backend))
        except (errors.NotFound, errors.BadRequest, ValueError) as failure:
            raise errors.Unavailable(
                f'the CA of mesh "{name}", backend "{backend.name}", cannot be used: {failure}'
            ) from None

    def forget(self, mesh: str) -> None:
        """Lets go of the CA of a mesh that is gone."""
        self._known.pop(mesh, None)

    async def _read(self, mesh: str, backend: meshes.CertificateAuthorityBackend) -> Sequence[bytes]:
        if backend.type == BUILTIN:
            pems = []
            for key in secret_keys(mesh, backend.name):
                held: res.Resource[secret.Secret] = await self._store.get(key)
                pems.append(held.spec.data)
            return pems
        if backend.type != PROVIDED:
            raise errors.BadRequest(f'there is no CA of type "{backend.type}"')
        conf: dict[str, Any] = backend.conf or {}
        sources = [data_sources.parse(conf.get(each)) for each in ("cert", "key")]
        if None in sources:
            raise errors.BadRequest("cert and key have to be defined")
        return [await data_sources.read(self._store, each, mesh) for each in sources if each is not None]

    def _parse(self, mesh: str, cert_pem: bytes, key_pem: bytes, skip: bool) -> authorities.Authority:
        known = self._known.get(mesh)
        if known is not None and known[0] == (cert_pem, key_pem):
            return known[1]
        broken = authorities.check(cert_pem, key_pem, "cert")
        if broken and not skip:
            raise errors.BadRequest(broken[0].message)
        authority = authorities.load(cert_pem, key_pem)
        self._known[mesh] = ((cert_pem, key_pem), authority)
        return authority
