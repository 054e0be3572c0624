"""Who may do what: the static access rules of `access.static.*`, and when a local request counts as the admin's.

Everything that no rule names is open to whoever reaches the port, as in Kuma. Texts of refusals are Kuma's.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kuma.base import errors
from kuma.resources import kind as kinds
from kuma.security.users import ADMIN_GROUP, ADMIN_NAME, AUTHENTICATED_GROUP, UNAUTHENTICATED_GROUP, User

_PROXIED = ("forwarded", "x-forwarded-for", "x-real-ip")
_DEFAULT_PORTS = {"http": "80", "https": "443"}


@dataclass(frozen=True, slots=True)
class Rule:
    """Allows users by name and by group."""

    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()

    def allows(self, user: User) -> bool:
        """Whether the user is named, or is in a group that is."""
        return user.name in self.users or not self.groups.isdisjoint(user.groups)


ADMINS = Rule(frozenset({ADMIN_NAME}), frozenset({ADMIN_GROUP}))
EVERYONE = Rule(frozenset(), frozenset({UNAUTHENTICATED_GROUP, AUTHENTICATED_GROUP}))


@dataclass(frozen=True, slots=True)
class StaticAccess:
    """One rule for each key of `access.static`. Every `require_*` raises AccessDenied, or returns and it is allowed."""

    admin_resources: Rule = ADMINS
    generate_dp_token: Rule = ADMINS
    generate_user_token: Rule = ADMINS
    generate_zone_token: Rule = ADMINS
    view_config_dump: Rule = EVERYONE
    view_stats: Rule = EVERYONE
    view_clusters: Rule = EVERYONE
    control_plane_metadata: Rule = EVERYONE

    def require_resource(self, user: User, kind: kinds.Kind[Any]) -> None:
        """Reading and writing a resource: only kinds that are `admin_only` ask for more than reaching the port."""
        if kind.admin_only:
            _require(self.admin_resources, user, f'the resource of type "{kind.name}"')

    def require_dataplane_token(self, user: User) -> None:
        """Issuing a dataplane token."""
        _require(self.generate_dp_token, user, "generate dataplane token")

    def require_zone_token(self, user: User, zone: str) -> None:
        """Issuing a token for the ingress or egress of a zone."""
        _require(self.generate_zone_token, user, f"generate zone token for zone '{zone}'")

    def require_user_token(self, user: User) -> None:
        """Issuing a user token."""
        if not self.generate_user_token.allows(user):
            raise errors.AccessDenied("action not allowed")

    def require_config_dump(self, user: User) -> None:
        """Reading a proxy's configuration from its Envoy."""
        _require(self.view_config_dump, user, "envoy proxy info")

    def require_stats(self, user: User) -> None:
        """Reading a proxy's statistics from its Envoy."""
        _require(self.view_stats, user, "envoy proxy info")

    def require_clusters(self, user: User) -> None:
        """Reading a proxy's clusters from its Envoy."""
        _require(self.view_clusters, user, "envoy proxy info")

    def require_control_plane_metadata(self, user: User) -> None:
        """Reading the control plane's own configuration."""
        _require(self.control_plane_metadata, user, "control-plane metadata")


def _require(rule: Rule, user: User, action: str) -> None:
    if not rule.allows(user):
        raise errors.AccessDenied(f'user "{user}" cannot access {action}')


def is_local_admin(peer: str, headers: Mapping[str, str], scheme: str = "http") -> bool:
    """Whether a request is the machine's own and so the admin's (`apiServer.authn.localhostIsAdmin`).

    `peer` is the address of the socket, `headers` have lower-case names. A loopback peer is not enough: a reverse
    proxy on the same machine forwards for strangers, and a web page in a local browser (cross-site, or by a name that
    was made to resolve to loopback) sends requests from here too. So the Host must be loopback, no forwarding header
    may be there, and what browsers say about the origin must name this very server.
    """
    host = headers.get("host", "")
    if not _is_loopback(peer) or not _is_loopback(_host_and_port(host)[0]):
        return False
    if any(name in headers for name in _PROXIED):
        return False
    if headers.get("sec-fetch-site", "") not in ("", "same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or _is_same_origin(origin, host, scheme)


def _is_same_origin(origin: str, host: str, scheme: str) -> bool:
    origin_scheme, separator, authority = origin.partition("://")
    if not separator or origin_scheme not in _DEFAULT_PORTS:
        return False
    origin_host, origin_port = _host_and_port(authority)
    own_host, own_port = _host_and_port(host)
    return origin_host == own_host and (origin_port or _DEFAULT_PORTS[origin_scheme]) == (
        own_port or _DEFAULT_PORTS[scheme]
    )


def _host_and_port(authority: str) -> tuple[str, str]:
    """`[::1]:80` -> (`::1`, `80`); the port is empty where none is written."""
    if authority.startswith("["):
        host, _, rest = authority[1:].partition("]")
        return host.lower(), rest.removeprefix(":")
    if authority.count(":") > 1:
        return authority.lower(), ""
    host, _, port = authority.partition(":")
    return host.lower(), port


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
