"""Certificates of Envoy's admin listener: the one each proxy serves, and the one the control plane shows to it.

Both are signed by `envoy-admin-ca`, a GlobalSecret that holds certificate and key one after the other. Nothing else
is stored: a proxy's certificate is a function of the CA, its name and its addresses (`certificates.admin_server`).
"""

from dataclasses import dataclass, field
from typing import Any

from kuma.base import errors
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane as dataplanes
from kuma.resources.kinds import secret, zoneegress
from kuma.security import authorities, certificates, keys, tokens
from kuma.store import protocol

ADMIN_CA = res.Key(secret.GLOBAL_KIND.name, "", "envoy-admin-ca")


@dataclass(frozen=True, slots=True)
class _Known:
    """All that was made with one version of the CA."""

    version: int
    authority: authorities.Authority = field(repr=False)
    client: keys.KeyPair
    servers: dict[res.Key, tuple[tuple[str, ...], keys.KeyPair]] = field(default_factory=dict)


class AdminCertificates:
    """Issues and keeps admin certificates for one store. Everything is made anew when the CA's secret changes."""

    def __init__(self, store: protocol.Store, clock: tokens.Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: _Known | None = None

    async def server(self, proxy: res.Resource[Any]) -> keys.KeyPair:
        """What the admin listener of a Dataplane or a ZoneEgress serves: its addresses as SANs. Equal bytes for equal addresses.

        Unavailable where the CA is absent or damaged.
        """
        known = await self._current()
        addresses = addresses_of(proxy.spec)
        made = known.servers.get(proxy.key)
        if made is None or made[0] != addresses:
            name = f"{proxy.key.mesh}/{proxy.key.name}"
            made = (addresses, certificates.admin_server(known.authority, name, addresses))
            known.servers[proxy.key] = made
        return made[1]

    async def client(self) -> keys.KeyPair:
        """What the control plane shows to admin listeners. Unavailable as `server`."""
        return (await self._current()).client

    async def trust(self) -> bytes:
        """The CA certificate, PEM, that both ends trust. Unavailable as `server`."""
        return (await self._current()).authority.bundle_pem

    def forget(self, key: res.Key) -> None:
        """Lets go of the certificate of a proxy that is gone."""
        if self._known is not None:
            self._known.servers.pop(key, None)

    async def _current(self) -> _Known:
        try:
            held: res.Resource[secret.Secret] = await self._store.get(ADMIN_CA)
        except errors.NotFound:
            raise errors.Unavailable(f'there is no GlobalSecret "{ADMIN_CA.name}"') from None
        if self._known is None or self._known.version != held.meta.version:
            try:
                authority = authorities.load(held.spec.data, held.spec.data)
            except ValueError as failure:
                raise errors.Unavailable(f'GlobalSecret "{ADMIN_CA.name}" cannot be used: {failure}') from None
            client = certificates.admin_client(authority, self._clock())
            self._known = _Known(held.meta.version, authority, client)
        return self._known


def addresses_of(spec: dataplanes.Dataplane | zoneegress.ZoneEgress) -> tuple[str, ...]:
    """Where a proxy is reached: its address, then the advertised one where it differs."""
    if spec.networking is None:
        return ()
    if isinstance(spec.networking, zoneegress.Networking):
        return (spec.networking.address,)
    both = (spec.networking.address, spec.networking.advertised_address)
    return tuple(dict.fromkeys(each for each in both if each))
