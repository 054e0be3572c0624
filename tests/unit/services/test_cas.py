"""CAs of meshes: made with the mesh, gone with it, checked before they are used."""

import base64
import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from kuma.base import errors
from kuma.resources import resource as res
from kuma.resources.kinds import mesh as meshes
from kuma.resources.kinds import secret
from kuma.security import authorities, certificates, keys
from kuma.services.trust import cas
from kuma.store import memory

NOW = datetime.now(UTC).replace(microsecond=0)


def _clock() -> datetime:
    return NOW


def _mesh(
    kind: str = "builtin", conf: Mapping[str, Any] | None = None, backend: str = "ca-1", name: str = "shop", **mtls: Any
) -> res.Resource[meshes.Mesh]:
    authority = meshes.CertificateAuthorityBackend(name=backend, type=kind, conf=dict(conf) if conf else None)
    spec = meshes.Mesh(mtls=meshes.Mtls(enabled_backend=backend, backends=(authority,), **mtls))
    return res.Resource(meshes.KIND, res.Meta("", name), spec)


@pytest.fixture
def store() -> memory.MemoryStore:
    return memory.MemoryStore()


async def _put(store: memory.MemoryStore, name: str, data: bytes) -> None:
    await store.create(res.Resource(secret.KIND, res.Meta("shop", name), secret.Secret(data=data)))


async def _replace(store: memory.MemoryStore, key: res.Key, data: bytes) -> None:
    held = await store.get(key)
    await store.update(dataclasses.replace(held, spec=secret.Secret(data=data)))


async def test_a_builtin_ca_is_made_once_and_goes_with_its_mesh(store: memory.MemoryStore):
    mesh = await store.create(_mesh())
    await cas.ensure_builtin_ca(store, mesh, _clock)
    found = await cas.MeshAuthorities(store).of(mesh)
    assert found is not None
    assert (found.backend, found.lifetime) == ("ca-1", timedelta(hours=24))
    assert isinstance(found.authority.key, ec.EllipticCurvePrivateKey)
    secrets = await store.list(secret.KIND, "shop")
    assert [each.meta.name for each in secrets] == ["shop.ca-builtin-cert-ca-1", "shop.ca-builtin-key-ca-1"]
    await cas.ensure_builtin_ca(store, mesh, _clock)
    assert await store.list(secret.KIND, "shop") == secrets
    await store.delete(mesh.key)
    assert await store.list(secret.KIND, "shop") == ()


@pytest.mark.parametrize(
    ("ca_cert", "bits", "days"),
    [({"RSAbits": 2048}, 2048, 3650), ({"expiration": "30d"}, 0, 30), ({"expiration": "0"}, 0, 3650), (None, 0, 3650)],
)
async def test_the_conf_of_a_builtin_ca(
    store: memory.MemoryStore, ca_cert: dict[str, Any] | None, bits: int, days: int
):
    mesh = await store.create(_mesh(conf={"caCert": ca_cert} if ca_cert else None))
    assert await cas.validate_backends(store, mesh) == []
    await cas.ensure_builtin_ca(store, mesh, _clock)
    found = await cas.MeshAuthorities(store).of(mesh)
    assert found is not None
    key = found.authority.key
    assert (key.key_size if isinstance(key, rsa.RSAPrivateKey) else 0) == bits
    assert found.authority.certificate.not_valid_after_utc == NOW + timedelta(days=days)


PAIR = authorities.new_mesh_root("shop", NOW)
OTHER = authorities.new_mesh_root("shop", NOW)
NO_CA_MESSAGE = "key usage extension 'keyCertSign' must be set (see X509-SVID: 4.3. Key Usage)"


def _leaf() -> keys.KeyPair:
    return certificates.workload(authorities.load(PAIR.cert_pem, PAIR.key_pem), ["spiffe://shop/web"], NOW)


def _inline(pair: keys.KeyPair = PAIR) -> dict[str, Any]:
    return {"cert": {"inlineString": pair.cert_pem.decode()}, "key": {"inlineString": pair.key_pem.decode()}}


async def test_a_provided_ca_from_every_source(store: memory.MemoryStore, tmp_path: Path):
    await _put(store, "cert", PAIR.cert_pem)
    await _put(store, "key", PAIR.key_pem)
    (tmp_path / "cert.pem").write_bytes(PAIR.cert_pem)
    (tmp_path / "key.pem").write_bytes(PAIR.key_pem)
    confs = [
        {"cert": {"secret": "cert"}, "key": {"secret": "key"}},
        {"cert": {"file": str(tmp_path / "cert.pem")}, "key": {"file": str(tmp_path / "key.pem")}},
        {
            "cert": {"inline": base64.b64encode(PAIR.cert_pem).decode()},
            "key": {"inline": base64.b64encode(PAIR.key_pem).decode()},
        },
        _inline(),
    ]
    for conf in confs:
        mesh = _mesh("provided", conf)
        assert await cas.validate_backends(store, mesh) == []
        found = await cas.MeshAuthorities(store).of(mesh)
        assert found is not None
        assert found.authority.bundle_pem == PAIR.cert_pem


@pytest.mark.parametrize(
    ("mesh", "field", "message"),
    [
        (_mesh("vault"), "type", "could not find installed plugin for this type"),
        (_mesh("provided"), "conf.cert", "has to be defined"),
        (_mesh("provided", {"cert": {}, "key": {}}), "conf.cert", "has to be defined"),
        (
            _mesh("provided", {**_inline(), "cert": {"secret": "absent"}}),
            "conf.cert",
            'there is no Secret "absent" in mesh "shop"',
        ),
        (
            _mesh("provided", {**_inline(), "key": {"file": "/absent"}}),
            "conf.key",
            "there is no file /absent",
        ),
        (_mesh("provided", {**_inline(), "key": {"file": "/dev/zero"}}), "conf.key", "/dev/zero is not a regular file"),
        (_mesh("provided", {**_inline(), "key": {"file": "/"}}), "conf.key", "could not read /: Is a directory"),
        (
            _mesh("provided", {**_inline(), "key": {"inlineString": OTHER.key_pem.decode()}}),
            "conf.cert",
            "not a valid TLS key pair: tls: private key does not match public key",
        ),
        (_mesh("provided", _inline(_leaf())), "conf.cert", NO_CA_MESSAGE),
        (
            _mesh(backend="Ca"),
            "conf.mtls.backends.name",
            '"shop.ca-builtin-cert-Ca" name must be valid dns name',
        ),
        (_mesh(backend="c" * 250), "conf.mtls.backends.name", "Backend name is too long. Max length: 255"),
        (
            _mesh(conf={"caCert": {"expiration": "soon"}}),
            "conf",
            'could not parse config: not a valid duration string: "soon"',
        ),
        (_mesh(conf={"caCert": {"RSAbits": 512}}), "conf.caCert.RSAbits", "has to be in [1024 - 8192] range"),
    ],
)
async def test_backends_that_are_refused(
    store: memory.MemoryStore, mesh: res.Resource[meshes.Mesh], field: str, message: str
):
    found = {(each.field, each.message) for each in await cas.validate_backends(store, mesh)}
    assert (f"mtls.backends[0].{field}", message) in found
    assert "PRIVATE" not in str(found)


async def test_skip_validation_looks_at_no_content(store: memory.MemoryStore):
    mesh = _mesh("provided", {"cert": {"secret": "later"}, "key": {"secret": "later"}}, skip_validation=True)
    assert await cas.validate_backends(store, mesh) == []


async def test_no_mtls_no_authority(store: memory.MemoryStore):
    plain = res.Resource(meshes.KIND, res.Meta("", "shop"), meshes.Mesh())
    assert await cas.validate_backends(store, plain) == []
    assert await cas.MeshAuthorities(store).of(plain) is None


async def test_an_authority_is_parsed_again_only_when_its_secret_changes(store: memory.MemoryStore):
    await _put(store, "cert", PAIR.cert_pem)
    await _put(store, "key", PAIR.key_pem)
    mesh = _mesh("provided", {"cert": {"secret": "cert"}, "key": {"secret": "key"}})
    source = cas.MeshAuthorities(store)
    first, again = await source.of(mesh), await source.of(mesh)
    assert first is not None
    assert again is not None
    assert first.authority is again.authority
    assert first.secrets == {("Secret", "shop", "cert"), ("Secret", "shop", "key")}
    await _replace(store, res.Key("Secret", "shop", "cert"), OTHER.cert_pem)
    with pytest.raises(errors.Unavailable, match=r'mesh "shop", backend "ca-1".*does not match'):
        await source.of(mesh)
    await _replace(store, res.Key("Secret", "shop", "key"), OTHER.key_pem)
    found = await source.of(mesh)
    assert found is not None
    assert found.authority.bundle_pem == OTHER.cert_pem


@pytest.mark.parametrize("content", [b"", b"nonsense", _leaf().cert_pem])
async def test_a_damaged_builtin_ca_is_told_and_not_used(store: memory.MemoryStore, content: bytes):
    mesh = await store.create(_mesh())
    await cas.ensure_builtin_ca(store, mesh, _clock)
    await _replace(store, cas.secret_keys("shop", "ca-1")[0], content)
    with pytest.raises(errors.Unavailable, match='the CA of mesh "shop", backend "ca-1", cannot be used'):
        await cas.MeshAuthorities(store).of(mesh)


async def test_a_secret_in_use_must_stay():
    provided = _mesh("provided", {"cert": {"secret": "cert"}, "key": {"inlineString": "x"}})
    (violation,) = cas.deletion_violations(provided, "cert")
    assert violation == errors.Violation(
        "name",
        'The secret "cert" that you are trying to remove is currently in use in Mesh "shop" in mTLS backend "ca-1". '
        'Please remove the reference from the "ca-1" backend before removing the secret.',
    )
    assert cas.deletion_violations(provided, "key") == []
    assert len(cas.deletion_violations(_mesh(), "shop.ca-builtin-key-ca-1")) == 1
    plain = res.Resource(meshes.KIND, res.Meta("", "shop"), meshes.Mesh())
    assert cas.deletion_violations(plain, "cert") == []


def test_the_root_is_a_certificate_that_other_tools_read():
    assert x509.load_pem_x509_certificate(PAIR.cert_pem).serial_number > 0
