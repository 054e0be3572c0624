"""TLS contexts of mesh traffic and the secrets they name.

Certificates come by SDS over the aggregated stream, never inline, except for the admin listener.
Source: Envoy's transport socket API; field values as Kuma 2.14 delivers them.
"""

from collections.abc import Iterable, Sequence

from kuma.envoy import api

SOCKET = "envoy.transport_sockets.tls"
SPIFFE_VALIDATOR = "envoy.tls.cert_validator.spiffe"
INSPECTOR = "envoy.filters.listener.tls_inspector"
ALPN = "kuma"
"""Protocol that tells mesh traffic from the application's own TLS."""
_VERSIONS = {f"TLS1{minor}": api.TlsParameters.TlsProtocol.Value(f"TLSv1_{minor}") for minor in range(4)}


def _sds(name: str, server: str) -> api.Message:
    out = api.SdsSecretConfig(name=name)
    out.sds_config.resource_api_version = api.V3
    if not server:
        out.sds_config.ads.SetInParent()
        return out
    source = out.sds_config.api_config_source
    source.api_type = source.GRPC
    source.transport_api_version = api.V3
    source.grpc_services.add().envoy_grpc.cluster_name = server
    return out


def _san(kind: int, *, exact: str = "", prefix: str = "") -> api.Message:
    matcher = api.StringMatcher(exact=exact) if exact else api.StringMatcher(prefix=prefix)
    return api.SubjectAltNameMatcher(san_type=kind, matcher=matcher)


def _mesh_context(common: api.Message, identity: str, roots: str, server: str, sans: Sequence[api.Message]) -> None:
    combined = common.combined_validation_context
    combined.default_validation_context.SetInParent()
    combined.default_validation_context.match_typed_subject_alt_names.extend(sans)
    combined.validation_context_sds_secret_config.CopyFrom(_sds(roots, server))
    common.tls_certificate_sds_secret_configs.append(_sds(identity, server))


def downstream(identity: str, roots: str, prefixes: Sequence[str], server: str = "") -> api.Message:
    """Server side of mutual TLS: any client whose URI has one of the prefixes; who may do what is for RBAC to say.

    Without prefixes the roots alone decide. `identity` and `roots` are names of secrets, `server` is the cluster of who
    hands them out; empty: the control plane.
    """
    out = api.DownstreamTlsContext()
    out.require_client_certificate.value = True
    sans = [_san(api.URI_SAN, prefix=each) for each in prefixes]
    _mesh_context(out.common_tls_context, identity, roots, server, sans)
    return out


def upstream(
    identity: str, roots: str, sni: str, *, exact: Sequence[str] = (), prefix: str = "", server: str = ""
) -> api.Message:
    """Client side of mutual TLS: the server must carry one of the `exact` URIs, or one that begins with `prefix`.

    `identity`, `roots` and `server` as in `downstream`; without URIs and prefix the roots alone decide.
    """
    out = api.UpstreamTlsContext(sni=sni)
    out.common_tls_context.alpn_protocols.append(ALPN)
    sans = [_san(api.URI_SAN, exact=each) for each in exact]
    if prefix:
        sans.append(_san(api.URI_SAN, prefix=prefix))
    _mesh_context(out.common_tls_context, identity, roots, server, sans)
    return out


def restrict(context: api.Message, *, lowest: str = "", highest: str = "", ciphers: Sequence[str] = ()) -> None:
    """Narrows a context to versions of TLS (`TLS10` to `TLS13`, `TLSAuto` or empty: Envoy's choice) and to ciphers."""
    narrowed = context.common_tls_context.tls_params
    narrowed.SetInParent()
    narrowed.cipher_suites.extend(ciphers)
    narrowed.tls_minimum_protocol_version = _VERSIONS.get(lowest, 0)
    narrowed.tls_maximum_protocol_version = _VERSIONS.get(highest, 0)


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


def trust_secret(name: str, domains: Iterable[tuple[str, Sequence[str]]]) -> api.Message:
    """A secret with PEM roots by trust domain: a peer is verified against those of the domain of its SPIFFE ID."""
    config = api.SPIFFECertValidatorConfig()
    for domain, roots in domains:
        config.trust_domains.add(name=domain).trust_bundle.inline_bytes = "\n".join(roots).encode()
    out = api.Secret(name=name)
    validator = out.validation_context.custom_validator_config
    validator.name = SPIFFE_VALIDATOR
    validator.typed_config.CopyFrom(api.pack(config))
    return out


def inspect(listener: api.Message) -> None:
    """Lets filter chains and logs of a listener tell TLS, SNI and ALPN; it does so once."""
    if all(each.name != INSPECTOR for each in listener.listener_filters):
        listener.listener_filters.add(name=INSPECTOR).typed_config.CopyFrom(api.pack(api.TlsInspector()))


def file_downstream(certificate: str, key: str) -> api.Message:
    """Server side of TLS with a certificate and a key from files on Envoy's machine; clients show nothing."""
    out = api.DownstreamTlsContext()
    own = out.common_tls_context.tls_certificates.add()
    own.certificate_chain.filename = certificate
    own.private_key.filename = key
    return out
