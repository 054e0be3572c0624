"""`kumactl generate`: tokens, signing keys and certificates.

Tokens come from the control plane, or are signed here with a key the user holds (`--kid`, `--signing-key-path`).
"""

import base64
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kuma.apps.kumactl import flags, grammar, rest, session
from kuma.base import durations

if TYPE_CHECKING:
    from kuma.security import tokens

TEXT, LIST, MAP, DURATION = flags.Form.TEXT, flags.Form.LIST, flags.Form.MAP, flags.Form.DURATION
VALID_FOR = flags.Flag("valid-for", form=DURATION, required=True, help='how long the token is accepted, such as "24h"')
KID = flags.Flag("kid", help="id of the signing key; only with --signing-key-path")
SIGNING_KEY = flags.Flag(
    "signing-key-path", help="file of a private key that signs the token here, without the control plane"
)
_PROXY_TYPES = ("", "dataplane", "ingress", "egress")
_SCOPES = ("ingress", "egress")


def _dataplane_token(call: grammar.Invocation) -> None:
    kind = call.text("proxy-type") or call.text("type")
    if kind not in _PROXY_TYPES:
        raise grammar.CommandError(f'invalid proxy type "{kind}"')
    tags = {key: value.split(",") for key, value in call.pairs("tag").items()}
    mesh, name, workload = session.mesh_of(call), call.text("name"), call.text("workload")
    _warn_of_lifetime(call)
    if _signs_here(call):
        from kuma.security import tokens

        claims = tokens.DataplaneClaims(name=name, mesh=mesh, tags=tags, type=kind, workload=workload)
        _print_signed(call, claims)
        return
    body = {"name": name, "mesh": mesh, "tags": tags, "type": kind, "workload": workload}
    _print_issued(call, "dataplane", body)


def _zone_token(call: grammar.Invocation) -> None:
    scope = call.items("scope") or list(_SCOPES)
    unknown = [each for each in scope if each not in _SCOPES]
    if unknown:
        raise grammar.CommandError(
            f"invalid --scope values: [{' '.join(unknown)}] (supported scopes: [{' '.join(_SCOPES)}])"
        )
    _warn_of_lifetime(call)
    if _signs_here(call):
        from kuma.security import tokens

        _print_signed(call, tokens.ZoneClaims(zone=call.text("zone"), scope=scope))
        return
    _print_issued(call, "zone", {"zone": call.text("zone"), "scope": scope})


def _user_token(call: grammar.Invocation) -> None:
    groups = call.items("group")
    _warn_of_lifetime(call)
    if _signs_here(call):
        from kuma.security import tokens

        _print_signed(call, tokens.UserClaims(name=call.text("name"), groups=groups))
        return
    _print_issued(call, "user", {"name": call.text("name"), "groups": groups})


def _warn_of_lifetime(call: grammar.Invocation) -> None:
    """Says so where a token would be refused from its first moment on."""
    if call.number("valid-for") < 0:
        given = durations.format_go(call.number("valid-for"))
        click.echo(f"Warning: --valid-for is {given}: the token has expired already", err=True)


def _signs_here(call: grammar.Invocation) -> bool:
    """Whether the user gave a key of their own; CommandError where only half of it was given."""
    if call.text("signing-key-path") and not call.text("kid"):
        raise grammar.CommandError("--kid is required when --signing-key-path is used")
    if call.text("kid") and not call.text("signing-key-path"):
        raise grammar.CommandError("--kid cannot be used when --signing-key-path is used")
    return bool(call.text("signing-key-path"))


def _print_signed(
    call: grammar.Invocation, claims: "tokens.DataplaneClaims | tokens.ZoneClaims | tokens.UserClaims"
) -> None:
    from datetime import UTC, datetime, timedelta

    from kuma.security import keys, tokens

    try:
        private = keys.load_signing(_read_key(call.text("signing-key-path")))
    except ValueError as problem:
        raise grammar.CommandError(f"could not parse the signing key: {problem}") from None
    lifetime = timedelta(microseconds=call.number("valid-for") // durations.MICROSECOND)
    click.echo(tokens.sign(claims, tokens.SigningKey(call.text("kid"), private), datetime.now(UTC), lifetime), nl=False)


def _print_issued(call: grammar.Invocation, kind: str, body: Mapping[str, Any]) -> None:
    plane = session.connect_checked(call)
    wanted = {**body, "validFor": durations.format_go(call.number("valid-for"))}
    try:
        reply = plane.call("POST", f"/tokens/{kind}", body=wanted)
    except rest.Unreachable as problem:
        raise grammar.CommandError(f"failed to generate a {kind} token: {problem}") from None
    click.echo(reply.body.decode(), nl=False)


def _signing_key(call: grammar.Invocation) -> None:
    form = call.text("format")
    if form not in ("pem", "pem-base64"):
        raise grammar.CommandError("invalid format")
    from kuma.security import keys

    pem = keys.to_pem(keys.new_rsa())
    click.echo((base64.b64encode(pem) if form == "pem-base64" else pem).decode(), nl=False)


def _public_key(call: grammar.Invocation) -> None:
    from kuma.security import keys

    try:
        private = keys.load_signing(_read_key(call.text("signing-key-path")))
    except ValueError as problem:
        raise grammar.CommandError(f"could not parse the signing key: {problem}") from None
    click.echo(keys.public_pem(private.public_key()).decode(), nl=False)


def _read_key(source: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as problem:
        raise grammar.CommandError(f"open {source}: {(problem.strerror or str(problem)).lower()}") from None


def _tls_certificate(call: grammar.Invocation) -> None:
    use, algorithm, hosts = call.text("type"), call.text("key-type"), call.items("hostname")
    if use not in ("client", "server"):
        raise grammar.CommandError(f'invalid certificate type "{use}"')
    if algorithm not in ("rsa", "ecdsa"):
        raise grammar.CommandError(f'invalid key type "{algorithm}"')
    if not hosts:
        raise grammar.CommandError("at least one hostname must be given")
    from datetime import UTC, datetime

    from kuma.security import certificates

    try:
        pair = certificates.self_signed(hosts, datetime.now(UTC), client=use == "client", rsa=algorithm == "rsa")
    except ValueError as problem:
        raise grammar.CommandError(f"invalid hostname: {problem}") from None
    key_file, cert_file = call.text("key-file"), call.text("cert-file")
    _write(key_file, pair.key_pem, 0o400)
    _write(cert_file, pair.cert_pem, 0o600)
    if "-" not in (key_file, cert_file):
        click.echo(f"Private key saved in {key_file}")
        click.echo(f"Certificate saved in {cert_file}")


def _write(path: str, content: bytes, mode: int) -> None:
    if path == "-":
        click.echo(content.decode(), nl=False)
        return
    target = Path(path)
    beside = target.with_name(f"{target.name}.{os.getpid()}.new")
    try:
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
        beside.replace(target)
    except OSError as problem:
        raise grammar.CommandError(f"open {path}: {(problem.strerror or str(problem)).lower()}") from None


def _entries() -> dict[str, grammar.Entry]:
    commands = [
        grammar.Command(
            "dataplane-token", _dataplane_token, summary="Generate a token for data plane proxies", flags=_DATAPLANE
        ),
        grammar.Command(
            "public-key", _public_key, summary="Print the public key of a signing key", flags=[_KEY_NEEDED]
        ),
        grammar.Command("signing-key", _signing_key, summary="Generate a key that signs tokens", flags=[_FORMAT]),
        grammar.Command("tls-certificate", _tls_certificate, summary="Generate a self-signed certificate", flags=_TLS),
        grammar.Command("user-token", _user_token, summary="Generate a token for a user", flags=_USER, arguments=None),
        grammar.Command("zone-token", _zone_token, summary="Generate a token for the proxies of a zone", flags=_ZONE),
    ]
    return grammar.ready(commands)


_DATAPLANE = [
    KID,
    session.MESH,
    flags.Flag("name", help="name of the Dataplane; empty means any"),
    flags.Flag("proxy-type", help="type of the proxy: one of dataplane|ingress|egress"),
    SIGNING_KEY,
    flags.Flag("tag", form=MAP, help="tag that the Dataplane must have: key=value1,value2"),
    flags.Flag("type", help="type of the proxy", hidden=True, deprecated_hint="please use --proxy-type instead"),
    VALID_FOR,
    flags.Flag("workload", help="workload of the Dataplane"),
]
_ZONE = [
    KID,
    flags.Flag("scope", form=LIST, help="what the token is for: ingress, egress (default: both)"),
    SIGNING_KEY,
    VALID_FOR,
    flags.Flag("zone", required=True, help="name of the zone"),
]
_USER = [
    flags.Flag("group", form=LIST, help="group of the user"),
    KID,
    flags.Flag("name", required=True, help="name of the user"),
    SIGNING_KEY,
    VALID_FOR,
]
_KEY_NEEDED = flags.Flag("signing-key-path", required=True, help="file of the private key, - for standard input")
_FORMAT = flags.Flag("format", default="pem-base64", help="format of the key: one of pem-base64|pem")
_TLS = [
    flags.Flag("cert-file", default="cert.pem", help="where to put the certificate, - for standard output"),
    flags.Flag("hostname", form=LIST, required=True, help="names and IP addresses that the certificate is for"),
    flags.Flag("key-file", default="key.pem", help="where to put the private key, - for standard output"),
    flags.Flag("key-type", default="rsa", help="type of the key: one of rsa|ecdsa"),
    flags.Flag("type", required=True, help="use of the certificate: one of client|server"),
]

COMMAND = grammar.Group("generate", _entries, description="Generate tokens, keys and certificates.")
