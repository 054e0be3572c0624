"""TLS contexts of mesh traffic and the secrets they name.

Certificates come by SDS over the aggregated stream, never inline, except for the admin listener.
Source: Envoy's transport socket API; field values as Kuma 2.14 delivers them.
"""

from collections.abc import Sequence

from kuma.envoy import api, names

SOCKET = "envoy.transport_sockets.tls"
ALPN = "kuma"
"""Protocol that tells mesh traffic from the application's own TLS."""


def _sds(name: str) -> api.Message:
    out = api.SdsSecretConfig(name=name)
    out.sds_config.ads.SetInParent()
    out.sds_config.resource_api_version = api.V3
    return out


def _san(kind: int, *, exact: str = "", prefix: str = "") -> api.Message:
    matcher = api.StringMatcher(exact=exact) if exact else api.StringMatcher(prefix=prefix)
    return api.SubjectAltNameMatcher(san_type=kind, matcher=matcher)


def _mesh_context(common: api.Message, mesh: str, unified: bool, sans: Sequence[api.Message]) -> None:
    combined = common.combined_validation_context
    combined.default_validation_context.match_typed_subject_alt_names.extend(sans)
    combined.validation_context_sds_secret_config.CopyFrom(_sds(names.ca_secret(mesh, unified)))
    common.tls_certificate_sds_secret_configs.append(_sds(names.identity_secret(mesh, unified)))


def downstream(mesh: str, unified: bool) -> api.Message:
    """Server side of mutual TLS: any client of the mesh; who may do what is for RBAC to say."""
    out = api.DownstreamTlsContext()
    out.require_client_certificate.value = True
    _mesh_context(out.common_tls_context, mesh, unified, [_san(api.URI_SAN, prefix=names.spiffe_id(mesh, ""))])
    return out


def upstream(mesh: str, service: str, sni: str, unified: bool) -> api.Message:
    """Client side of mutual TLS: the server must be `service` of `mesh`."""
    out = api.UpstreamTlsContext(sni=sni)
    out.common_tls_context.alpn_protocols.append(ALPN)
    _mesh_context(out.common_tls_context, mesh, unified, [_san(api.URI_SAN, exact=names.spiffe_id(mesh, service))])
    return out


def admin_downstream(certificate: bytes, key: bytes, ca: bytes) -> api.Message:
    """Server side of the admin listener: only the control plane's client certificate (DNS SAN `kuma-cp`) may enter."""
    out = api.DownstreamTlsContext()
    out.require_client_certificate.value = True
    own = out.common_tls_context.tls_certificates.add()
    own.certificate_chain.inline_bytes = certificate
    own.private_key.inline_bytes = key
    trusted = out.common_tls_context.validation_context
    trusted.trusted_ca.inline_bytes = ca
    trusted.match_typed_subject_alt_names.append(_san(api.DNS_SAN, exact="kuma-cp"))
    return out


def socket(context: api.Message) -> api.Message:
    """The transport socket that carries a TLS context."""
    return api.TransportSocket(name=SOCKET, typed_config=api.pack(context))


def identity_secret(name: str, certificate: bytes, key: bytes) -> api.Message:
    """A secret with a certificate chain and its private key, both PEM."""
    out = api.Secret(name=name)
    out.tls_certificate.certificate_chain.inline_bytes = certificate
    out.tls_certificate.private_key.inline_bytes = key
    return out


def ca_secret(name: str, roots: bytes) -> api.Message:
    """A secret with the PEM roots that peers are verified against."""
    out = api.Secret(name=name)
    out.validation_context.trusted_ca.inline_bytes = roots
    return out
