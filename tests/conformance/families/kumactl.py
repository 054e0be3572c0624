"""Family `kumactl`: command lines against a stub of the REST API, and what they must print or leave behind.

Commands of kinds that this build does not know count as unsupported.
"""

import json
import pathlib
import re
import tempfile
from typing import Any

import yaml

from kuma.apps.kumactl import documents, kinds, sources
from tests.conformance import outcome
from tests.kit import cli, rest_stub

_SAYS_TYPE = re.compile(r"^type: *(\w+)", re.MULTILINE)


def run(case: dict[str, Any], folder: pathlib.Path) -> outcome.Outcome:
    """One case: the outputs, the exit code, and what it left in the store or the configuration."""
    missing = unsupported(case, folder)
    if missing:
        return outcome.unsupported(missing)
    wrong = check_case(case, folder)
    return outcome.failed("\n".join(wrong)) if wrong else outcome.PASSED


def unsupported(case: dict[str, Any], folder: pathlib.Path) -> str:
    """Why this build cannot answer the case at all; empty where it can."""
    args = case["args"]
    if "excluded" in case:
        return str(case["excluded"])
    known = kinds.catalog()
    words = {word for each in kinds.offered() for word in (each.argument, each.argument_alias) if word}
    words |= {kinds.list_word(word) for word in words}
    if args[0] == "get" and args[1] not in words:
        return f"no kind for {args[1]}"
    if args[0] == "inspect" and args[1] not in words | {"dataplane", "meshgateway"}:
        return f"no kind for {args[1]}"
    if args[0] == "apply":
        text = case["stdin"] if "stdin" in case else (folder / args[args.index("-f") + 1]).read_text()
        for name in _SAYS_TYPE.findall(text):
            if known.find(name) is None:
                return f"no kind {name}"
    return ""


def check_case(case: dict[str, Any], folder: pathlib.Path) -> list[str]:
    """What differs from what the case expects; empty where nothing does."""
    stub = rest_stub.Stub(kinds.catalog())
    if "setup" in case:
        for piece in sources.split(sources.Source("", (folder / case["setup"]["apply"]).read_text())):
            stub.add(documents.from_yaml(piece.text))
    if "serverResponse" in case:
        stub.fallback = json.loads((folder / case["serverResponse"]).read_text())
    with rest_stub.serve(stub), tempfile.TemporaryDirectory() as home:
        config = pathlib.Path(home) / "config"
        wanted = {"controlPlanes": [{"name": "stub", "coordinates": {"apiServer": {"url": stub.url}}}]}
        wanted |= {"contexts": [{"name": "stub", "controlPlane": "stub"}], "currentContext": "stub"}
        config.write_text(yaml.safe_dump(wanted))
        if "configFile" in case:
            config.write_text((folder / case["configFile"]).read_text().replace("http://placeholder-address", stub.url))
        args = [arg.replace("{{cp-url}}", stub.url) for arg in case["args"]]
        if "-f" in args and args[args.index("-f") + 1] != "-":
            args[args.index("-f") + 1] = str(folder / args[args.index("-f") + 1])
        found = cli.kumactl(["--config-file", str(config), *args], case.get("stdin", ""))
        return [*_outputs(case, folder, found), *_effects(case, folder, stub, config)]


def _outputs(case: dict[str, Any], folder: pathlib.Path, found: cli.Outcome) -> list[str]:
    wrong = []
    fails = case.get("exit", 1 if case.get("stderr") else 0)
    if found.code != fails:
        wrong.append(f"exit code {found.code}, expected {fails}: {found.both[:300]!r}")
    for key, text in (("stdout", found.out), ("stderr", found.err), ("stdout_and_stderr", found.both)):
        if key in case:
            golden = (folder / case[key]).read_text() if case[key] else ""
            if text != golden:
                wrong.append(f"{key}: {text!r}, expected {golden!r}")
    for key, text in (("output_equals", found.both), ("stdout_stderr_equals", found.both)):
        if key in case and case[key] != text:
            wrong.append(f"{key}: {text!r}, expected {case[key]!r}")
    for key, text in (("stderr_contains", found.err), ("stdout_stderr_contains", found.both)):
        if key in case and case[key] not in text:
            wrong.append(f"{key}: {text!r} lacks {case[key]!r}")
    return wrong


def _effects(case: dict[str, Any], folder: pathlib.Path, stub: rest_stub.Stub, config: pathlib.Path) -> list[str]:
    wrong = []
    if "configAfter" in case:
        golden = (folder / case["configAfter"]).read_text().replace("http://placeholder-address", stub.url)
        if yaml.safe_load(config.read_text()) != yaml.safe_load(golden):
            wrong.append(f"config: {config.read_text()!r}, expected {golden!r}")
    if case.get("store"):
        golden = (folder / case["store"]).read_text()
        if store_dump(stub).strip() != golden.strip():
            wrong.append(f"store: {store_dump(stub)!r}, expected {golden!r}")
    mesh = case.get("expectMeshInRequest")
    if mesh and not any(f"/meshes/{mesh}/" in path for _, path, _ in stub.requests):
        wrong.append(f"no request for mesh {mesh}: {[path for _, path, _ in stub.requests]}")
    return wrong


def store_dump(stub: rest_stub.Stub) -> str:
    """All resources of the stub, by type and name, in the form that the corpus describes (section 20)."""
    text = ""
    for kind in sorted({key.kind for key in stub.resources}):
        text += f"# {kind}\n"
        for key in sorted(key for key in stub.resources if key.kind == kind):
            body = documents.to_yaml(stub.resources[key])
            text += "---\n" + re.sub(r"(version|buildDate|gitCommit|gitTag): .*", r"\1: STRIPPED_VERSION", body)
        text += "\n"
    return text
