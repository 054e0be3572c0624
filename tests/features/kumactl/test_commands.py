"""Commands against a stub of the REST API: what they send, print and return."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest
import yaml
from click import shell_completion
from cryptography.hazmat.primitives import serialization

from kuma.apps.kumactl import main
from tests.kit import cli, rest_stub

Call = Callable[..., cli.Outcome]

MESH = {"type": "Mesh", "name": "default"}
DATAPLANE = {
    "type": "Dataplane",
    "mesh": "default",
    "name": "web-1",
    "networking": {"address": "10.0.0.1", "inbound": [{"port": 80, "tags": {"kuma.io/service": "web"}}]},
}
PERMISSION = """\
type: MeshTrafficPermission
name: {name}
mesh: default
spec:
  targetRef: {{kind: Mesh}}
  from:
  - targetRef: {{kind: Mesh}}
    default: {{action: Allow}}
"""


def test_apply_writes_each_document_and_says_created_or_updated(stub: rest_stub.Stub, call: Call) -> None:
    text = PERMISSION.format(name="a") + "---\n# nothing here\n---\n" + PERMISSION.format(name="b")
    made = call("apply", "-f", "-", stdin=text)
    assert made.out == (
        'resource type="MeshTrafficPermission" mesh="default" name="a" Created\n'
        'resource type="MeshTrafficPermission" mesh="default" name="b" Created\n'
    )
    assert call("apply", "-f", "-", stdin=PERMISSION.format(name="a")).out.endswith('name="a" Updated\n')
    path, body = next((path, body) for method, path, body in stub.requests if method == "PUT")
    assert path == "/meshes/default/meshtrafficpermissions/a"
    assert body["spec"]["from"][0]["default"] == {"action": "Allow"}


def test_apply_writes_nothing_when_one_document_is_broken(stub: rest_stub.Stub, call: Call) -> None:
    done = call("apply", "-f", "-", stdin=PERMISSION.format(name="a") + "---\ntype: Nonsense\nname: x\n")
    assert done.code == 1
    assert done.err == (
        'resource[1]: failed to parse resource: invalid resource type "Nonsense"\n'
        "Error: failed to validate some resources\n"
    )
    assert not [each for each in stub.requests if each[0] == "PUT"]


def test_apply_tells_how_many_were_written_when_the_server_refuses_one(stub: rest_stub.Stub, call: Call) -> None:
    stub.canned["/meshes/default/meshtrafficpermissions/b"] = (500, {"title": "Broken", "detail": "by test"})
    done = call("apply", "-f", "-", stdin="---\n".join(PERMISSION.format(name=name) for name in "abc"))
    assert done.code == 1
    assert done.out == 'resource type="MeshTrafficPermission" mesh="default" name="a" Created\n'
    assert done.err == (
        "1 of 3 resources were applied, the others are as they were\n"
        'Error: resource type="MeshTrafficPermission" mesh="default" name="b": failed server side: Broken (by test)\n'
    )


def test_apply_names_the_line_of_broken_yaml(call: Call) -> None:
    done = call("apply", "-f", "-", stdin="a: [b\n")
    assert done.err.startswith(
        "resource[0]: failed to parse resource: invalid meta type: "
        "\"error converting YAML to JSON: yaml: line 1: did not find expected ',' or ']'\"\n"
    )


def test_apply_names_the_line_of_the_file_and_not_of_the_document(call: Call) -> None:
    done = call("apply", "-f", "-", stdin="\n# one\ntype: Mesh\nname: a\n---\ntype: Mesh\nname: [b\n")
    assert done.err.startswith("resource[1]: failed to parse resource: invalid meta type: ")
    assert "yaml: line 7: did not find expected" in done.err


def test_apply_names_the_file_where_there_are_several(stub: rest_stub.Stub, call: Call, tmp_path: Path) -> None:
    (tmp_path / "1.yaml").write_text("type: Mesh\nname: first\n")
    (tmp_path / "2.yaml").write_text("type: Mesh\nname: second\n---\nname: [b\n")
    done = call("apply", "-f", str(tmp_path))
    assert done.err.startswith("resource[2]: ")
    assert "yaml: line 4:" in done.err
    assert f"(in {tmp_path}/2.yaml)\n" in done.err
    (tmp_path / "2.yaml").write_text("type: Mesh\nname: refused\n")
    stub.canned["/meshes/refused"] = (400, {"title": "No", "detail": "not so"})
    assert call("apply", "-f", str(tmp_path)).err.endswith(f"failed server side: No (not so) (in {tmp_path}/2.yaml)\n")


def test_apply_names_the_field_of_a_wrong_type_and_the_words_it_takes(call: Call) -> None:
    inbound = "networking: {address: 10.0.0.1, inbound: [{port: 80, servicePort: abc, tags: {kuma.io/service: a}}]}"
    done = call("apply", "-f", "-", stdin=f"type: Dataplane\nname: a\nmesh: default\n{inbound}\n")
    assert " (field networking.inbound[0].servicePort)\n" in done.err
    mtls = "mtls: {backends: [{name: a, type: builtin, mode: strict}]}"
    done = call("apply", "-f", "-", stdin=f"type: Mesh\nname: a\n{mtls}\n")
    assert " (field mtls.backends[0].mode; allowed: STRICT, PERMISSIVE)\n" in done.err


def test_apply_tells_of_placeholders_without_a_value(call: Call) -> None:
    done = call("apply", "-f", "-", stdin="type: Mesh\nname: {{ mesh.name }}\n")
    assert (done.code, done.err.splitlines()[-2:]) == (
        1,
        [
            "Hint: {{ mesh.name }} was not filled in, use --var mesh.name=VALUE",
            "Error: failed to validate some resources",
        ],
    )
    done = call("apply", "-f", "-", "--dry-run", "-v", "a=b", stdin="type: Mesh\nname: {{a}}\nlabels: {x: '{{ c }}'}\n")
    assert (done.code, done.err) == (0, "Warning: {{ c }} is empty: no --var c=VALUE was given\n")


def test_apply_warns_of_fields_that_nobody_knows(stub: rest_stub.Stub, call: Call) -> None:
    done = call("apply", "-f", "-", stdin="type: Mesh\nname: a\nmtl: {}\n")
    assert (done.code, done.err) == (0, 'Warning: unknown field "mtl" was ignored, did you mean "mtls"?\n')
    assert call("apply", "-f", "-", "--dry-run", stdin="type: Mesh\nname: a\nmtl: {}\n").err == done.err


def test_apply_tells_which_of_several_documents_it_warns_of(stub: rest_stub.Stub, call: Call) -> None:
    stub.canned["/meshes/b"] = (201, {"warnings": ["old"]})
    local = 'resource type="Mesh" mesh="" name="a": unknown field "mtl" was ignored, did you mean "mtls"?'
    both = "type: Mesh\nname: a\nmtl: {}\n---\ntype: Mesh\nname: b\n"
    done = call("apply", "-f", "-", stdin=both)
    assert done.err == f'Warning: {local}\nWarning: resource type="Mesh" mesh="" name="b": old\n'
    assert call("apply", "-f", "-", "--dry-run", stdin=both).err == f"Warning: {local}\n"
    broken = call("apply", "-f", "-", stdin="type: Mesh\nname: a\n---\ntype: Mesh\nname: A\nmtl: {}\n").err
    assert broken.startswith('Warning: resource[1]: unknown field "mtl"')


def test_apply_fills_in_variables_and_shows_without_writing(stub: rest_stub.Stub, call: Call) -> None:
    done = call("apply", "-f", "-", "--dry-run", "-v", "mesh.name=shop", stdin="type: Mesh\nname: {{ mesh.name }}\n")
    assert "name: shop\n" in done.out
    assert done.code == 0
    assert not [each for each in stub.requests if each[0] == "PUT"]


def test_apply_takes_the_yaml_and_json_files_of_a_directory_by_name(call: Call, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "2.json").write_text(json.dumps({"type": "Mesh", "name": "second"}))
    (tmp_path / "d" / "1.yaml").write_text("type: Mesh\nname: first\n")
    (tmp_path / "d" / "note.txt").write_text("not yaml: [")
    done = call("apply", "-f", str(tmp_path / "d"))
    assert [line.split('name="')[1] for line in done.out.splitlines()] == ['first" Created', 'second" Created']


def test_apply_takes_a_url(stub: rest_stub.Stub, call: Call) -> None:
    stub.canned["/mesh.yaml"] = (200, "type: Mesh\nname: from-url\n")
    assert call("apply", "-f", f"{stub.url}/mesh.yaml").out == 'resource type="Mesh" mesh="" name="from-url" Created\n'
    assert call("apply", "-f", f"{stub.url}/absent").err == "Error: error while retrieving URL\n"


@pytest.mark.parametrize(
    ("args", "stdin", "error"),
    [
        (("-f", "-"), "", "no resource(s) passed to apply"),
        (("-f", "/nope.yaml"), "", "error while reading provided file: stat /nope.yaml: no such file or directory"),
        ((), "", 'required flag(s) "file" not set'),
    ],
)
def test_apply_refuses(call: Call, args: tuple[str, ...], stdin: str, error: str) -> None:
    done = call("apply", *args, stdin=stdin)
    assert (done.code, done.err) == (1, f"Error: {error}\n")


def test_apply_passes_over_what_the_control_plane_writes_itself(stub: rest_stub.Stub, call: Call) -> None:
    insight = "type: MeshInsight\nname: m\n"
    refused = {"title": "Method not allowed", "detail": "read-only", "status": 405}
    stub.canned["/mesh-insights/m"] = (405, refused)
    done = call("apply", "-f", "-", stdin=f"{insight}---\ntype: Mesh\nname: m\n")
    assert (done.code, done.out) == (0, 'resource type="Mesh" mesh="" name="m" Created\n')
    reason = "skipped: the control plane writes this kind by itself"
    assert done.err == f'resource type="MeshInsight" mesh="" name="m" {reason}\n'
    alone = call("apply", "-f", "-", stdin=insight)
    assert (alone.code, alone.out) == (1, "")
    assert "failed server side: Method not allowed (read-only)" in alone.err


@pytest.mark.parametrize(
    "document",
    [
        "{type: MeshTimeout, mesh: m, name: t, specs: {}, spec: {}}",
        "{type: Mesh, name: A, specs: {}}",
        "{type: Mesh, name: a, specs: {}, mtls: x}",
        "{type: MeshTimeout, mesh: m, name: t, specs: {}, spec: {to: x}}",
    ],
)
def test_unknown_fields_are_told_of_what_is_refused_as_well(call: Call, document: str) -> None:
    done = call("apply", "-f", "-", stdin=document)
    first, second, *_ = done.err.splitlines()
    assert first.startswith('Warning: unknown field "specs" was ignored')
    assert second.startswith("resource[0]: failed to ")


def test_apply_shows_what_the_server_found_and_its_warnings(stub: rest_stub.Stub, call: Call) -> None:
    stub.canned["/meshes/warned"] = (201, {"warnings": ["old"]})
    done = call("apply", "-f", "-", stdin="type: Mesh\nname: warned\n")
    assert (done.err, done.out) == ("Warning: old\n", 'resource type="Mesh" mesh="" name="warned" Created\n')
    fault = {"title": "Could not process a resource", "detail": "Resource is not valid"}
    fault["invalid_parameters"] = [{"field": "a", "reason": "bad"}, {"field": "b", "reason": "worse"}]
    stub.canned["/meshes/refused"] = (400, fault)
    done = call("apply", "-f", "-", stdin="type: Mesh\nname: refused\n")
    assert done.err == (
        'Error: resource type="Mesh" mesh="" name="refused": failed server side: '
        "Could not process a resource (Resource is not valid);a=bad ;b=worse \n"
    )


def test_get_asks_for_a_page_and_says_how_to_get_the_next(stub: rest_stub.Stub, call: Call) -> None:
    for name in ("web-1", "web-2"):
        stub.add({**DATAPLANE, "name": name})
    done = call("get", "dataplanes", "--size", "1")
    assert done.out.splitlines()[1].split() == ["default", "web-1", "kuma.io/service=web", "10.0.0.1", "292y"]
    assert done.out.endswith("\n\nRerun command with --offset=1 argument to retrieve more resources\n")


def test_get_shows_server_errors_with_a_line_a_field(stub: rest_stub.Stub, call: Call) -> None:
    fault = {"title": "Could not retrieve resources", "detail": "Invalid page size"}
    stub.canned["/meshes"] = (
        400,
        {**fault, "invalid_parameters": [{"field": "size", "reason": "must be greater than 0"}]},
    )
    done = call("get", "meshes", "--size", "-1")
    assert done.err == "Error: Could not retrieve resources (Invalid page size)\n* size: must be greater than 0\n"


@pytest.mark.parametrize(
    ("args", "code", "out", "err"),
    [
        (("get", "dataplane", "nope", "-m", "shop"), 1, "", "Error: No resources found in shop mesh\n"),
        (("get", "meshes", "-o", "wrong"), 1, "", 'Error: unknown output format "wrong"\n'),
        (("get", "meshes"), 0, "NAME   mTLS   LOCALITY   ZONEEGRESS   AGE\n", ""),
        (("get", "global-secrets"), 0, "NAME   AGE\n", ""),
        (("delete", "mesh", "none"), 1, "", 'Error: there is no Mesh with name "none"\n'),
        (("wrong",), 1, "", "Error: unknown command \"wrong\" for \"kumactl\"\nRun 'kumactl --help' for usage.\n"),
        (("inspect", "meshes"), 0, None, ""),
        (("generate", "dataplane-token"), 1, "", 'Error: required flag(s) "valid-for" not set\n'),
        (("generate", "zone-token", "--zone", "z", "--valid-for", "1h", "--scope", "x"), 1, "",
         "Error: invalid --scope values: [x] (supported scopes: [ingress egress])\n"),
        (("config", "control-planes", "switch", "--name", "x"), 1, "", 'Error: there is no Control Plane with name "x"\n'),
        (("config", "control-planes", "add", "--name", "x", "--address", "nope"), 1, "",
         'Error: API Server URL is invalid: parse "nope": invalid URI for request\n'),
    ],
)  # fmt: skip
def test_outputs(stub: rest_stub.Stub, call: Call, args: tuple[str, ...], code: int, out: str | None, err: str) -> None:
    stub.canned["/mesh-insights"] = (200, {"total": 0, "items": [], "next": None})
    done = call(*args)
    assert (done.code, done.err) == (code, err)
    assert out is None or done.out == out


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (("get", "meshes", "--nope"), "unknown flag: --nope"),
        (("version", "-m", "x"), "unknown shorthand flag: 'm' in -m"),
        (("generate", "user-token", "--valid-for", "x"),
         'invalid argument "x" for "--valid-for" flag: not a duration such as 30s, 10m or 24h'),
        (("get", "meshes", "--size", "x"), 'invalid argument "x" for "--size" flag: not a whole number'),
        (("get", "mesh"), "accepts 1 arg(s), received 0"),
        (("get", "meshes", "extra"), 'unknown command "extra" for "kumactl get meshes"'),
        (("get", "meshes", "--size"), "flag needs an argument: --size"),
        (("--log-level", "loud", "get", "meshes"), 'unknown log level "loud"'),
    ],
)  # fmt: skip
def test_mistakes_in_the_arguments_come_with_the_usage(call: Call, args: tuple[str, ...], error: str) -> None:
    done = call(*args)
    assert (done.code, done.err) == (1, f"Error: {error}\n")
    assert done.out.startswith("Usage:\n")
    assert done.both.startswith("Error: ")


@pytest.mark.parametrize("args", [("get",), ("get", "wrong"), ("config",), ("inspect", "x"), ("generate", "x")])
def test_groups_print_their_help(call: Call, args: tuple[str, ...]) -> None:
    done = call(*args)
    assert done.code == 0
    assert "Available Commands:\n" in done.out
    assert not done.err


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (("get", "dataplans"), 'unknown command "dataplans" for "kumactl get", did you mean "dataplanes"?'),
        (("gett",), 'unknown command "gett" for "kumactl", did you mean "get"?'),
        (("config", "control-plane"), 'unknown command "control-plane" for "kumactl config", did you mean "control-planes"?'),
        (("completion", "foo"), 'unknown command "foo" for "kumactl completion"'),
        (("install", "transparent-proxy", "--redirect-dns"),
         'unknown command "transparent-proxy" for "kumactl install"'),
    ],
)  # fmt: skip
def test_a_word_that_must_be_a_command_or_nearly_is_one_is_an_error(
    call: Call, args: tuple[str, ...], error: str
) -> None:
    done = call(*args)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"Error: {error}\nRun 'kumactl")


def test_a_context_that_does_not_exist_is_named(call: Call) -> None:
    done = call("--context", "nope", "get", "meshes")
    assert (done.code, done.err) == (1, 'Error: there is no context "nope" in the configuration (known: local, stub)\n')


def test_a_token_that_has_expired_already_is_warned_of(stub: rest_stub.Stub, call: Call) -> None:
    stub.canned["/tokens/dataplane"] = (200, "jwt")
    done = call("generate", "dataplane-token", "--valid-for", "-5s")
    assert (done.code, done.err) == (0, "Warning: --valid-for is -5s: the token has expired already\n")
    assert not call("generate", "dataplane-token", "--valid-for", "5s").err


@pytest.mark.parametrize(
    ("words", "incomplete", "offered"),
    [
        (["delete"], "meshtraf", ["meshtrafficpermission"]),
        (["delete", "mesh"], "d", []),
        (["get", "meshes", "-o"], "", ["table", "yaml", "json"]),
        (["get", "meshes", "--output"], "y", ["yaml"]),
        (["--log-level"], "d", ["debug"]),
    ],
)
def test_words_are_completed(words: list[str], incomplete: str, offered: list[str]) -> None:
    found = shell_completion.ShellComplete(main.ROOT, {}, "kumactl", "_KUMACTL_COMPLETE")
    assert [each.value for each in found.get_completions(words, incomplete)] == offered


def test_delete_removes(stub: rest_stub.Stub, call: Call) -> None:
    stub.add(DATAPLANE)
    assert call("delete", "dataplane", "web-1").out == 'deleted Dataplane "web-1"\n'
    assert not stub.resources


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    config = tmp_path / "config"
    add = ["config", "control-planes", "add", "--name", "x", "--address", "http://127.0.0.1:1", "--skip-check"]
    cli.kumactl(["--config-file", str(config), *add])
    done = cli.kumactl(["--config-file", str(config), "get", "meshes"])
    assert done.err == (
        "WARNING: Failed to retrieve server version, can't check compatibility: Unable to retrieve server version: "
        'Get "http://127.0.0.1:1/": dial tcp 127.0.0.1:1: connect: connection refused\n'
        'Error: failed to list Mesh: Get "http://127.0.0.1:1/meshes": dial tcp 127.0.0.1:1: connect: connection refused\n'
    )


def test_another_version_is_a_warning(stub: rest_stub.Stub, call: Call) -> None:
    stub.canned["/"] = (200, {"product": "Kuma", "version": "2.13.0"})
    done = call("get", "meshes")
    assert done.code == 0
    assert "but the server returned version: Kuma for 2.13.0" in done.err


def test_tokens_come_from_the_control_plane(stub: rest_stub.Stub, call: Call) -> None:
    stub.canned["/tokens/dataplane"] = (200, "a.b.c")
    done = call(
        "generate", "dataplane-token", "--name", "web-1", "--tag", "kuma.io/service=web,api", "--valid-for", "90m"
    )
    assert done.out == "a.b.c"
    _, _, body = stub.requests[-1]
    assert body == {
        "name": "web-1",
        "mesh": "default",
        "tags": {"kuma.io/service": ["web", "api"]},
        "type": "",
        "workload": "",
        "validFor": "1h30m0s",
    }


def test_tokens_can_be_signed_here(call: Call, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(base64.b64decode(call("generate", "signing-key").out))
    public = call("generate", "public-key", "--signing-key-path", str(key)).out
    args = ("generate", "user-token", "--name", "bob", "--group", "ops,dev", "--valid-for", "1h")
    token = call(*args, "--kid", "7", "--signing-key-path", str(key)).out
    assert jwt.get_unverified_header(token) == {"alg": "RS256", "kid": "7", "typ": "JWT"}
    verifier = serialization.load_pem_public_key(public.encode())
    claims = jwt.decode(token, verifier, algorithms=["RS256"])  # type: ignore[arg-type]  # RSA, as RS256 needs
    assert (claims["Name"], claims["Groups"]) == ("bob", ["ops", "dev"])
    assert (
        call(*args, "--signing-key-path", str(key)).err == "Error: --kid is required when --signing-key-path is used\n"
    )
    assert call(*args, "--kid", "7").err == "Error: --kid cannot be used when --signing-key-path is used\n"


def test_certificates_are_kept_from_others(call: Call, tmp_path: Path) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    done = call(
        "generate", "tls-certificate", "--type=server", "--hostname=localhost", "--key-type=ecdsa",
        f"--key-file={key}", f"--cert-file={cert}",
    )  # fmt: skip
    assert done.out == f"Private key saved in {key}\nCertificate saved in {cert}\n"
    assert (key.stat().st_mode & 0o777, cert.stat().st_mode & 0o777) == (0o400, 0o600)
    assert "PRIVATE KEY" in key.read_text()


def test_the_token_of_the_context_is_sent(stub: rest_stub.Stub, call: Call) -> None:
    add = ("config", "control-planes", "add", "--name", "auth", "--address", stub.url)
    call(*add, "--auth-type", "tokens", "--auth-conf", "token=abc", "--headers", "x-team=a")
    call("get", "meshes")
    assert stub.headers[-1]["Authorization"] == "Bearer abc"
    assert stub.headers[-1]["x-team"] == "a"


def test_inspect_dataplanes_tells_their_state(stub: rest_stub.Stub, call: Call) -> None:
    networking = {"address": "10.0.0.1", "inbound": [
        {"port": 80, "tags": {"kuma.io/service": "web"}},
        {"port": 81, "state": "NotReady", "tags": {"kuma.io/service": "adm"}},
    ]}  # fmt: skip
    subscription = {
        "connectTime": "0001-01-01T00:00:00Z",
        "status": {"lastUpdateTime": "0001-01-01T00:00:00Z", "total": {"responsesSent": "3", "responsesRejected": "1"}},
        "version": {"kumaDp": {"version": "2.14.3"}, "envoy": {"version": "1.38.2"}, "dependencies": {"coredns": "1"}},
    }
    mtls = {
        "certificateExpirationTime": "2026-01-31T12:00:00Z", "lastCertificateRegeneration": "0001-01-01T00:00:00Z",
        "certificateRegenerations": 2, "issuedBackend": "ca-1", "supportedBackends": ["ca-1", "ca-2"],
    }  # fmt: skip
    seen = {"mesh": "default", "name": "a", "dataplane": {"networking": networking}}
    items = [
        {**seen, "dataplaneInsight": {"subscriptions": [subscription], "mTLS": mtls}},
        {**seen, "name": "b", "dataplaneInsight": {}},
    ]
    stub.canned["/meshes/default/dataplanes/_overview"] = (200, {"total": 2, "items": items, "next": None})
    lines = [
        [cell.strip() for cell in line.split("   ") if cell.strip()]
        for line in call("inspect", "dataplanes").out.splitlines()
    ]
    tags = "kuma.io/service=adm,web"
    note = "inbound[port=81,svc=adm] is not ready"
    assert lines[1] == ["default", "a", tags, "Partially degraded", "292y", "292y", "3", "1", "292y", "2026-01-31 12:00:00",
                        "2", "ca-1", "ca-1,ca-2", "2.14.3", "1.38.2", "coredns: 1", note]  # fmt: skip
    assert lines[2] == ["default", "b", tags, "Offline", "never", "never", "0", "0", "never", "-", "0", "-", "-", note]


@pytest.mark.parametrize(("disconnected", "expected"), [(None, "too much;first"), ("2026-01-31T12:00:00Z", "")])
def test_inspect_dataplanes_tells_why_a_configuration_is_not_the_newest(stub, call, disconnected, expected) -> None:
    refused = {"lastError": {"message": "first\nsecond line", "resource": "api"}}
    status = {
        "lastUpdateTime": "2026-01-30T12:00:00Z",
        "total": {"lastError": {"message": "too much"}},
        "cds": refused,
        "lds": refused,
    }
    subscription = {"id": "1", "connectTime": "2026-01-30T12:00:00Z", "disconnectTime": disconnected, "status": status}
    item = {"mesh": "default", "name": "a", "dataplane": {"networking": {"address": "1.1.1.1"}}}
    found = {**item, "dataplaneInsight": {"subscriptions": [subscription]}}
    stub.canned["/meshes/default/dataplanes/_overview"] = (200, {"total": 1, "items": [found], "next": None})
    notes = call("inspect", "dataplanes").out.splitlines()[1].split("   ")[-1].strip()
    assert notes == expected


def test_inspect_dataplane_tells_the_policies_of_each_part(stub: rest_stub.Stub, call: Call) -> None:
    items = [
        {
            "type": "dataplane",
            "matchedPolicies": {"MeshRetry": [{"name": "r"}], "MeshTimeout": [{"name": "t1"}, {"name": "t2"}]},
        },
        {
            "type": "inbound",
            "name": "10.0.0.1:80:8080",
            "service": "web",
            "matchedPolicies": {"RateLimit": [{"name": "l"}]},
        },
    ]
    stub.canned["/meshes/default/dataplanes/web-1/policies"] = (
        200,
        {"kind": "SidecarDataplane", "total": 2, "items": items},
    )
    assert call("inspect", "dataplane", "web-1").out == (
        "DATAPLANE:\n  MeshRetry\n    r\n  MeshTimeout\n    t1\nt2\n\nINBOUND 10.0.0.1:80:8080(web):\n  RateLimit\n    l\n\n"
    )
    bad = call("inspect", "dataplane", "web-1", "--shadow")
    assert bad.err == "Error: flag '--shadow' can be used only when '--type=config'\n"


def test_inspect_policy_warns_of_what_has_no_effect(stub: rest_stub.Stub, call: Call) -> None:
    path = "/meshes/default/meshtimeouts/t"
    reference = {"type": "Dataplane", "mesh": "default", "name": "web-1", "labels": {}}
    stub.canned[f"{path}/_resources/dataplanes"] = (200, {"items": [reference], "total": 1})
    stub.canned[f"{path}/dataplanes"] = (200, {"items": []})
    assert call("inspect", "meshtimeout", "t", "--new-api").err == ""  # a control plane without that view
    warning = {"field": "spec.to[0].targetRef", "reason": 'there is no MeshService "db"'}
    stub.canned[f"{path}/_warnings"] = (200, {"warnings": [warning]})
    done = call("inspect", "meshtimeout", "t", "--new-api")
    assert done.code == 0
    assert "web-1" in done.out
    assert done.err == 'Warning: spec.to[0].targetRef: there is no MeshService "db"\n'
    older = call("inspect", "meshtimeout", "t")
    assert (older.out, older.err) == ("Affected data plane proxies:\n\n", done.err)


@pytest.mark.parametrize(
    ("args", "path"),
    [
        (("dataplane", "web-1"), "/meshes/default/dataplanes/web-1/policies"),
        (("meshtimeout", "t"), "/meshes/default/meshtimeouts/t/dataplanes"),
        (("meshtimeout", "t", "--new-api"), "/meshes/default/meshtimeouts/t/_resources/dataplanes"),
        (("retry", "r"), "/meshes/default/retries/r/dataplanes"),
        (("meshgateway", "g"), "/meshes/default/meshgateways/g/dataplanes"),
    ],
)
def test_inspect_gives_the_answer_itself_in_other_formats(
    stub: rest_stub.Stub, call: Call, args: tuple[str, ...], path: str
) -> None:
    answer = {"total": 1, "items": [{"name": "web-1", "dataplane": {"name": "web-1"}}]}
    stub.canned[path] = (200, answer)
    assert json.loads(call("inspect", *args, "-o", "json").out) == answer
    assert yaml.safe_load(call("inspect", *args, "-o", "yaml").out) == answer
    wrong = call("inspect", *args, "-o", "wrong")
    assert (wrong.code, wrong.out, wrong.err) == (1, "", 'Error: unknown output format "wrong"\n')


@pytest.mark.parametrize(
    ("args", "what", "path"),
    [
        (("dataplane", "web-1"), "the policies of a Dataplane", "/meshes/default/dataplanes/web-1/policies"),
        (("meshtrafficpermission", "p"), "the Dataplanes that a policy applies to",
         "/meshes/default/meshtrafficpermissions/p/dataplanes"),
        (("meshtrafficpermission", "p", "--new-api"), "the Dataplanes that a policy applies to",
         "/meshes/default/meshtrafficpermissions/p/_resources/dataplanes"),
        (("meshgateway", "g"), "the Dataplanes of a MeshGateway", "/meshes/default/meshgateways/g/dataplanes"),
        (("zones",), "such a list", "/zones/_overview"),
    ],
)  # fmt: skip
def test_a_view_that_the_control_plane_lacks_is_named(
    stub: rest_stub.Stub, call: Call, args: tuple[str, ...], what: str, path: str
) -> None:
    stub.canned[path] = (404, "404: Page Not Found")
    done = call("inspect", *args)
    assert (done.code, done.out) == (1, "")
    assert done.err == f"Error: this control plane does not answer {what} yet (GET {path}: 404)\n"
    stub.canned[path] = (404, {"title": "Could not retrieve", "detail": "Not found", "status": 404})
    assert call("inspect", *args).err == "Error: Could not retrieve (Not found)\n"


def test_a_missing_view_of_a_proxy_that_exists_is_not_called_a_missing_proxy(stub: rest_stub.Stub, call: Call) -> None:
    path = "/meshes/default/dataplanes/web-1/policies"
    stub.canned[path] = (404, {"title": "Could not execute admin operation", "detail": "Not found", "status": 404})
    assert call("inspect", "dataplane", "web-1").err == "Error: Could not execute admin operation (Not found)\n"
    stub.add(DATAPLANE)
    assert call("inspect", "dataplane", "web-1").err.startswith(
        "Error: this control plane does not answer the policies of a Dataplane yet"
    )


@pytest.mark.parametrize("what", ["zoneingress", "zoneegress"])
def test_inspect_of_a_zone_proxy_prints_what_its_envoy_says(stub: rest_stub.Stub, call: Call, what: str) -> None:
    base = f"/{what}es"
    stub.canned[f"{base}/one/xds"] = (200, {"configs": []})
    stub.canned[f"{base}/one/stats"] = (200, "server.live: 1\n")
    assert call("inspect", what, "one").out == '{\n "configs": []\n}\n'
    assert call("inspect", what, "one", "--include-eds").code == 0
    assert stub.requests[-1][1] == f"{base}/one/xds?include_eds=true"
    assert call("inspect", what, "one", "--type", "stats").out == "server.live: 1\n"
    for extra, text in (
        (["--type", "policies"], "invalid inspection type"),
        (["--type", "stats", "--include-eds"], "flag '--include-eds' can be used only when '--type=config-dump'"),
    ):
        done = call("inspect", what, "one", *extra)
        assert (done.code, done.err) == (1, f"Error: {text}\n")


def test_version_tells_both_sides(stub: rest_stub.Stub, call: Call) -> None:
    assert call("version").out == "Client: Kuma 2.14.3\nServer: Kuma 2.14.3\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_program(call: Call, shell: str) -> None:
    done = call("completion", shell, "--no-descriptions")
    assert done.code == 0
    assert "_KUMACTL_COMPLETE" in done.out


def test_global_flags_may_stand_anywhere(stub: rest_stub.Stub, call: Call) -> None:
    stub.add(MESH)
    assert json.loads(call("get", "-o", "json", "mesh", "default", "--api-timeout", "5s").out)["name"] == "default"
    assert call("get", "mesh", "default", "--no-config=false").code == 0
