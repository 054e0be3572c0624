"""TLS that a proxy begins towards servers that are none of ours.

They cannot be asked for a certificate of the mesh: what is trusted and which names are wanted stands in the resource
of the destination. Source: Kuma's documentation, "External Service" and "MeshExternalService"; Envoy's API,
"UpstreamTlsContext".
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from kuma.envoy import api, tls
from kuma.mesh import view
from kuma.resources import datasource, tls_versions
from kuma.resources.kinds import externalservice, meshexternalservice

Secrets = Mapping[str, bytes]
"""Values of the Secrets of a mesh, by name."""

Source = datasource.DataSource | meshexternalservice.DataSource | None

_BY_NAME = (api.DNS_SAN, api.SubjectAltNameMatcher.SanType.IP_ADDRESS)


@dataclass(frozen=True, slots=True)
class Origination:
    """How servers are spoken to. `server_name` is what they are asked for: nothing where it is an address.

    They are verified where there are `roots` (PEM) or `roots_file`; then they have to carry one of `hosts` or of
    `names`, each with whether it is only a prefix, if there are any. `pair`: what the proxy itself shows.
    """

    server_name: str = ""
    roots: bytes = b""
    roots_file: str = ""
    hosts: tuple[str, ...] = ()
    names: tuple[tuple[str, bool], ...] = ()
    pair: tuple[bytes, bytes] = field(default=(b"", b""), repr=False)
    renegotiates: bool = False
    versions: tls_versions.TlsVersion | None = None


def context(wanted: Origination) -> api.Message:
    """The client's side of TLS."""
    out = api.UpstreamTlsContext(allow_renegotiation=wanted.renegotiates)
    if not is_ip(wanted.server_name):
        out.sni = wanted.server_name
    if all(wanted.pair):
        own = out.common_tls_context.tls_certificates.add()
        own.certificate_chain.inline_bytes, own.private_key.inline_bytes = wanted.pair
    if wanted.roots or wanted.roots_file:
        trusted = out.common_tls_context.validation_context
        if wanted.roots:
            trusted.trusted_ca.inline_bytes = wanted.roots
        else:
            trusted.trusted_ca.filename = wanted.roots_file
        trusted.match_typed_subject_alt_names.extend(_sans(wanted))
    if wanted.versions is not None:
        tls.restrict(out, lowest=wanted.versions.min, highest=wanted.versions.max)
    return out


def _sans(wanted: Origination) -> Iterator[api.Message]:
    for name, is_prefix in (*((host, False) for host in wanted.hosts), *wanted.names):
        text = api.StringMatcher(prefix=name) if is_prefix else api.StringMatcher(exact=name)
        for kind in _BY_NAME:
            yield api.SubjectAltNameMatcher(san_type=kind, matcher=text)


def is_ip(address: str) -> bool:
    """Whether an address is one, and no host name."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


def secrets_of(picture: view.MeshView) -> Secrets:
    """The Secrets of a mesh."""
    return {each.meta.name: each.spec.data for each in picture.of_kind("Secret")}


def _bytes(source: Source, secrets: Secrets) -> bytes:
    """What a data source leads to; nothing where that is not at hand."""
    if source is None:
        return b""
    if source.secret:
        return secrets.get(source.secret, b"")
    return source.inline or (source.inline_string or "").encode()


def _pair(certificate: Source, key: Source, secrets: Secrets) -> tuple[bytes, bytes] | None:
    """A certificate and its key, empty where neither is asked for; None where one of them is not at hand."""
    found = _bytes(certificate, secrets), _bytes(key, secrets)
    return found if (certificate is None and key is None) or all(found) else None


def of_external_service(conf: externalservice.Tls, address: str, secrets: Secrets) -> Origination | None:
    """What an ExternalService asks for; None where it names certificates that are not at hand."""
    pair, roots = _pair(conf.client_cert, conf.client_key, secrets), _bytes(conf.ca_cert, secrets)
    if pair is None or (conf.ca_cert is not None and not roots):
        return None
    host = conf.server_name or address
    return Origination(
        server_name=host,
        roots=roots,
        hosts=() if conf.skip_hostname_verification else (host,),
        pair=pair,
        renegotiates=bool(conf.allow_renegotiation),
    )


def of_mesh_external_service(
    conf: meshexternalservice.Tls, addresses: Iterable[str], secrets: Secrets, system_roots: str
) -> Origination | None:
    """What a MeshExternalService with these addresses asks for; None where certificates for it are not at hand.

    `system_roots` is the file of what the proxy's machine trusts, which counts where there is no `caCert`. The mode
    takes parts away: `SkipSAN` the names, `SkipCA` the roots and with them the names, `SkipAll` the certificate of the
    proxy, too. Servers are asked for the `serverName` that is verified, else for the first address if it is a name.
    """
    said = conf.verification or meshexternalservice.Verification()
    mode = said.mode or "Secured"
    hosts = tuple(dict.fromkeys(addresses))
    named = next((each for each in hosts[:1] if not is_ip(each)), "")
    bare = Origination(named, renegotiates=conf.allow_renegotiation, versions=conf.version)
    if mode == "SkipAll":
        return bare
    pair, roots = _pair(said.client_cert, said.client_key, secrets), _bytes(said.ca_cert, secrets)
    if pair is None:
        return None
    server_name = named if mode == "SkipSAN" else said.server_name or named
    if mode == "SkipCA":
        return replace(bare, server_name=server_name, pair=pair)
    if not roots and (said.ca_cert is not None or not system_roots):
        return None
    verified = replace(bare, server_name=server_name, pair=pair, roots=roots, roots_file="" if roots else system_roots)
    if mode == "SkipSAN":
        return verified
    names = tuple((each.value, each.type == "Prefix") for each in said.subject_alt_names)
    return replace(verified, hosts=(server_name,) if server_name else hosts, names=names)
