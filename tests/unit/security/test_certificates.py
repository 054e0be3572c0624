"""Certificates: what is written in them, and whether real TLS peers accept and refuse them."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from kuma.security import authorities, certificates, keys
from tests.unit.security import handshakes

NOW = datetime.now(UTC).replace(microsecond=0)
PEM = serialization.Encoding.PEM


def _authority(mesh: str = "default", **options: int) -> authorities.Authority:
    pair = authorities.new_mesh_root(mesh, NOW, **options)
    return authorities.load(pair.cert_pem, pair.key_pem)


def _parsed(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)


def _uris(certificate: x509.Certificate) -> list[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return names.value.get_values_for_type(x509.UniformResourceIdentifier)


def _usage(certificate: x509.Certificate) -> set[str]:
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    names = ["digital_signature", "key_encipherment", "key_agreement", "key_cert_sign", "crl_sign"]
    return {name for name in names if getattr(usage.value, name)}


def _purposes(certificate: x509.Certificate) -> set[str]:
    value = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    return {each._name for each in value}


def test_mesh_root():
    pair = authorities.new_mesh_root("default", NOW)
    root = _parsed(pair.cert_pem)
    assert root.subject.rfc4514_string() == "CN=default,OU=Mesh,O=Kuma"
    assert root.issuer == root.subject
    assert _uris(root) == ["spiffe://default"]
    assert _usage(root) == {"key_cert_sign", "crl_sign"}
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert root.not_valid_before_utc == NOW - timedelta(seconds=10)
    assert root.not_valid_after_utc == NOW + timedelta(days=3650)
    assert isinstance(root.public_key(), ec.EllipticCurvePublicKey)
    assert pair.key_pem.startswith(b"-----BEGIN EC PRIVATE KEY-----")
    with pytest.raises(x509.ExtensionNotFound):
        root.extensions.get_extension_for_class(x509.ExtendedKeyUsage)


def test_mesh_root_with_rsa_bits_and_lifetime():
    pair = authorities.new_mesh_root("default", NOW, rsa_bits=2048, lifetime=timedelta(days=30))
    root = _parsed(pair.cert_pem)
    key = root.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 2048
    assert pair.key_pem.startswith(b"-----BEGIN RSA PRIVATE KEY-----")
    assert root.not_valid_after_utc == NOW + timedelta(days=30)


def test_a_mesh_name_longer_than_a_common_name_may_be():
    root = _parsed(authorities.new_mesh_root("m" * 70, NOW).cert_pem)
    assert _uris(root) == ["spiffe://" + "m" * 70]


def test_workload_uris_are_services_then_tags_each_sorted():
    tags = {"version": ["2", "1"], "kuma.io/service": ["web", "api", "web"], "kuma.io/zone": ["east"]}
    assert certificates.workload_uris("shop", tags) == [
        "spiffe://shop/api",
        "spiffe://shop/web",
        "kuma://kuma.io/service/api",
        "kuma://kuma.io/service/web",
        "kuma://kuma.io/zone/east",
        "kuma://version/1",
        "kuma://version/2",
    ]


@pytest.mark.parametrize("rsa_bits", [0, 2048])
def test_workload_certificate(rsa_bits: int):
    uris = ["spiffe://default/web", "kuma://kuma.io/service/web"]
    pair = certificates.workload(_authority(rsa_bits=rsa_bits), uris, NOW, timedelta(hours=2))
    leaf = _parsed(pair.cert_pem)
    assert _uris(leaf) == uris
    assert leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical
    assert leaf.subject.rfc4514_string() == ""
    assert _usage(leaf) == {"digital_signature", "key_encipherment", "key_agreement"}
    assert _purposes(leaf) == {"serverAuth", "clientAuth"}
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert leaf.not_valid_before_utc == NOW - timedelta(seconds=10)
    assert leaf.not_valid_after_utc == NOW + timedelta(hours=2)
    assert isinstance(leaf.public_key(), ec.EllipticCurvePublicKey)
    assert pair.cert_pem.count(b"BEGIN CERTIFICATE") == 1


def test_two_certificates_share_neither_key_nor_serial():
    authority = _authority()
    one, two = (certificates.workload(authority, ["spiffe://default/web"], NOW) for _ in range(2))
    assert one.key_pem != two.key_pem
    assert _parsed(one.cert_pem).serial_number != _parsed(two.cert_pem).serial_number


def test_keys_are_not_printed():
    pair = certificates.workload(_authority(), ["spiffe://default/web"], NOW)
    assert "PRIVATE" not in repr(pair)
    assert "PRIVATE" not in repr(_authority())


@pytest.mark.parametrize("rsa_bits", [0, 2048])
def test_proxies_of_a_mesh_shake_hands(rsa_bits: int):
    authority = _authority(rsa_bits=rsa_bits)
    web = certificates.workload(authority, ["spiffe://default/web"], NOW)
    api = certificates.workload(authority, ["spiffe://default/api"], NOW)
    server = handshakes.shake(
        handshakes.client_context(authority.bundle_pem, web), handshakes.server_context(api, authority.bundle_pem)
    )
    peer = server.getpeercert()
    assert peer is not None
    assert peer["subjectAltName"] == (("URI", "spiffe://default/web"),)


@pytest.mark.parametrize("stranger", ["client", "server", "expired", "none"])
def test_strangers_are_refused(stranger: str):
    authority, foreign = _authority(), _authority()
    uris = ["spiffe://default/web"]
    good = certificates.workload(authority, uris, NOW)
    bad = certificates.workload(foreign, uris, NOW)
    old = certificates.workload(authority, uris, NOW - timedelta(days=2))
    client = {"client": bad, "expired": old, "none": None}.get(stranger, good)
    serving = bad if stranger == "server" else good
    server = handshakes.server_context(serving, authority.bundle_pem)
    with pytest.raises(ssl.SSLError):
        handshakes.shake(handshakes.client_context(authority.bundle_pem, client), server)


def test_an_intermediate_is_sent_so_that_peers_need_the_root_alone():
    root = _authority()
    between, chain = _intermediate(root)
    authority = authorities.load(chain, keys.to_pem(between))
    leaf = certificates.workload(authority, ["spiffe://default/web"], NOW)
    assert leaf.cert_pem.count(b"BEGIN CERTIFICATE") == 2
    assert authority.bundle_pem.count(b"BEGIN CERTIFICATE") == 2
    server = handshakes.server_context(leaf, root.bundle_pem)
    handshakes.shake(handshakes.client_context(root.bundle_pem, leaf), server)


def _intermediate(root: authorities.Authority) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    key = keys.new_ecdsa()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name.from_rfc4514_string("CN=between"))
        .issuer_name(root.subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(authorities.key_usage(cert_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(root.key_identifier, critical=False)
        .sign(root.key, hashes.SHA256())
    )
    return key, certificate.public_bytes(PEM) + root.certificate.public_bytes(PEM)


NOT_CA = "basic constraint 'CA' must be set to 'true' (see X509-SVID: 4.1. Basic Constraints)"
NO_CERT_SIGN = "key usage extension 'keyCertSign' must be set (see X509-SVID: 4.3. Key Usage)"
KEY_AGREEMENT = "key usage extension 'keyAgreement' must NOT be set (see X509-SVID: Appendix A. X.509 Field Reference)"


def test_who_vouches_for_an_authority():
    root, stranger = _authority(), _authority()
    between, chain = _intermediate(root)
    signing = authorities.load(chain, keys.to_pem(between))
    pem, strange = root.bundle_pem.decode(), stranger.bundle_pem.decode()
    for authority in (root, signing):
        assert authorities.is_vouched_for(authority, [pem])
        assert authorities.is_vouched_for(authority, [strange, "no PEM", f"{strange}\n{pem}"])
        assert not authorities.is_vouched_for(authority, [strange])
        assert not authorities.is_vouched_for(authority, [])
    own = signing.certificate.public_bytes(PEM).decode()
    assert authorities.is_vouched_for(signing, [own])
    assert not authorities.is_vouched_for(root, [own])


def _provided(constraints: bool | None, usage: x509.KeyUsage | None) -> keys.KeyPair:
    key = keys.new_ecdsa()
    name = x509.Name.from_rfc4514_string("CN=ca")
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
    )
    if constraints is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=constraints, path_length=None), critical=True)
    if usage is not None:
        builder = builder.add_extension(usage, critical=True)
    return keys.KeyPair(builder.sign(key, hashes.SHA256()).public_bytes(PEM), keys.to_pem(key))


@pytest.mark.parametrize(
    ("constraints", "usage", "messages"),
    [
        (True, authorities.key_usage(cert_sign=True), []),
        (True, authorities.key_usage(cert_sign=True, crl_sign=True, signature=True), []),
        (False, authorities.key_usage(cert_sign=True), [NOT_CA]),
        (None, authorities.key_usage(cert_sign=True), [NOT_CA]),
        (True, authorities.key_usage(signature=True), [NO_CERT_SIGN]),
        (True, None, [NO_CERT_SIGN]),
        (True, authorities.key_usage(cert_sign=True, agreement=True), [KEY_AGREEMENT]),
        (None, authorities.key_usage(agreement=True), [NOT_CA, NO_CERT_SIGN, KEY_AGREEMENT]),
    ],
)
def test_rules_of_a_provided_ca(constraints: bool | None, usage: x509.KeyUsage | None, messages: list[str]):
    pair = _provided(constraints, usage)
    found = authorities.check(pair.cert_pem, pair.key_pem, "conf.cert")
    assert [(each.field, each.message) for each in found] == [("conf.cert", each) for each in messages]


def test_provided_texts_that_are_no_pair():
    one, two = (authorities.new_mesh_root("default", NOW) for _ in range(2))
    ed25519 = (
        b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n"
        b"-----END PRIVATE KEY-----\n"
    )
    for cert, key in [
        (one.cert_pem, two.key_pem),
        (b"nonsense", one.key_pem),
        (b"", one.key_pem),
        (one.cert_pem, b"nonsense"),
        (one.cert_pem, one.cert_pem),
        (one.cert_pem, ed25519),
    ]:
        (violation,) = authorities.check(cert, key, "cert")
        assert violation.message.startswith("not a valid TLS key pair: tls: ")
        assert "BEGIN" not in violation.message


def test_every_certificate_of_a_chain_is_checked():
    root = _authority()
    between, chain = _intermediate(root)
    leaf = certificates.workload(root, ["spiffe://default/web"], NOW)
    found = authorities.check(chain + leaf.cert_pem, keys.to_pem(between), "cert")
    assert [each.message for each in found] == [NOT_CA, NO_CERT_SIGN, KEY_AGREEMENT]


def _admin() -> authorities.Authority:
    pair = authorities.new_admin_root(NOW)
    return authorities.load(pair.cert_pem, pair.key_pem)


def test_admin_certificates_prove_both_ends():
    authority = _admin()
    assert authority.subject.rfc4514_string() == "CN=Envoy Admin CA,OU=Mesh,O=Kuma"
    client = certificates.admin_client(authority, NOW)
    server = certificates.admin_server(authority, "default/web-1", ["127.0.0.7", "web.example.com"])
    assert _purposes(_parsed(client.cert_pem)) == {"clientAuth"}
    assert _purposes(_parsed(server.cert_pem)) == {"serverAuth"}
    assert certificates.hosts_of(server.cert_pem) == ["127.0.0.7", "web.example.com"]
    serving = handshakes.server_context(server, authority.bundle_pem)
    for host in ("127.0.0.7", "web.example.com"):
        end = handshakes.shake(handshakes.client_context(authority.bundle_pem, client, True), serving, host)
        peer = end.getpeercert()
        assert peer is not None
        assert peer["subjectAltName"] == (("DNS", "kuma-cp"),)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshakes.shake(handshakes.client_context(authority.bundle_pem, client, True), serving, "127.0.0.8")


def test_admin_server_certificates_depend_on_their_arguments_alone():
    authority = _admin()
    again = authorities.load(authority.bundle_pem, keys.to_pem(authority.key))
    made = certificates.admin_server(authority, "default/web-1", ["10.0.0.1"])
    assert certificates.admin_server(again, "default/web-1", ["10.0.0.1"]) == made
    others = [
        certificates.admin_server(authority, "default/web-2", ["10.0.0.1"]),
        certificates.admin_server(authority, "default/web-1", ["10.0.0.2"]),
        certificates.admin_server(_admin(), "default/web-1", ["10.0.0.1"]),
    ]
    assert len({each.key_pem for each in [made, *others]}) == 4


@pytest.mark.parametrize(("is_rsa", "marker"), [(False, b"BEGIN EC PRIVATE KEY"), (True, b"BEGIN RSA PRIVATE KEY")])
@pytest.mark.parametrize("is_client", [False, True])
def test_self_signed(is_rsa: bool, marker: bytes, is_client: bool):
    pair = certificates.self_signed(["cp.example.com", "127.0.0.1", "::1"], NOW, client=is_client, rsa=is_rsa)
    certificate = _parsed(pair.cert_pem)
    assert marker in pair.key_pem
    assert _usage(certificate) == {"digital_signature", "key_encipherment", "key_cert_sign"}
    assert _purposes(certificate) == {"clientAuth" if is_client else "serverAuth"}
    assert certificates.is_ca(pair.cert_pem)
    assert certificates.hosts_of(pair.cert_pem) == ["127.0.0.1", "::1", "cp.example.com"]


@pytest.mark.parametrize("host", ["cp.example.com", "127.0.0.1", "::1"])
def test_a_client_that_pins_a_self_signed_certificate_accepts_it(host: str):
    pair = certificates.self_signed(["cp.example.com", "127.0.0.1", "::1"], NOW)
    handshakes.shake(handshakes.client_context(pair.cert_pem, check_host=True), handshakes.server_context(pair), host)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("cp.example.com", True),
        ("CP.example.com.", True),
        ("10.0.0.1", True),
        ("fd00::1", True),
        ("[fd00:0::1]", True),
        ("a.mesh.local", True),
        ("b.a.mesh.local", False),
        ("mesh.local", False),
        ("example.com", False),
        ("10.0.0.2", False),
        ("", False),
    ],
)
def test_covers(host: str, expected: bool):
    pair = certificates.self_signed(["cp.example.com", "10.0.0.1", "fd00::1", "*.mesh.local"], NOW)
    assert certificates.covers(pair.cert_pem, host) is expected
