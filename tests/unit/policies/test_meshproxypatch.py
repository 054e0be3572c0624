"""Rules of MeshProxyPatch that are easily lost."""

import pytest

from kuma.policies.meshproxypatch import model
from tests.kit import rules

AT = "spec.default.appendModifications[0]"


def modification(text: str) -> str:
    return f"{{default: {{appendModifications: [{text}]}}}}"


def patch(block: str) -> str:
    return modification(f"{{cluster: {{operation: Patch, jsonPatches: [{block}]}}}}")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("{default: {}}", ["spec.default.appendModifications: must not be empty"]),
        (
            modification("{}"),
            [f"{AT}: exactly one modification can be defined at a time. Currently, 0 modifications are defined"],
        ),
        (
            modification("{cluster: {operation: Add, value: 'type: STATIC'}}"),
            [f"{AT}.cluster.value: native Envoy resource is not valid: invalid Cluster.Name: value length must be at least 1 runes"],
        ),
        (modification("{cluster: {operation: Patch, value: 'type: STATIC'}}"), []),
        (
            modification("{cluster: {operation: Patch, value: 'type: NOTHING'}}"),
            [f'{AT}.cluster.value: native Envoy resource is not valid: unknown value "\\"NOTHING\\"" for enum envoy.config.cluster.v3.Cluster.DiscoveryType'],
        ),
        (modification("{httpFilter: {operation: AddLast}}"), [f"{AT}.httpFilter.value: must be defined"]),
        (modification("{virtualHost: {operation: Remove}}"), [f"{AT}.virtualHost.match: in body is required"]),
        (patch("{op: remove, path: ''}"), [f"{AT}.cluster.jsonPatches[0].path: root path cannot be removed"]),
        (patch("{op: add, path: /a, value: false}"), []),
        (
            patch("{op: add, path: /a, from: /b, value: 1}"),
            [f'{AT}.cluster.jsonPatches[0].from: "from" is allowed only when "op" is one of ["move", "copy"]'],
        ),
    ],
)  # fmt: skip
def test_rules(spec: str, expected: list[str]) -> None:
    assert rules.violations(model.KIND, spec) == expected


@pytest.mark.parametrize(
    ("block", "unknown"),
    [
        ("{cluster: {operation: Patch, value: '{connectTimeout: 1s, connect_timeout: 1s}'}}", []),
        ("{cluster: {operation: Patch, value: '{conect_timeout: 1s}'}}", ["cluster.value.conect_timeout"]),
        (
            "{cluster: {operation: Patch, value: '{load_assignment: {endpoints: [{}, {a: 1, b: 2}]}}'}}",
            ["cluster.value.load_assignment.endpoints[1].a", "cluster.value.load_assignment.endpoints[1].b"],
        ),
        (
            '{httpFilter: {operation: AddLast, value: \'{name: r, typed_config: {"@type": '
            "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router, suppres: true}}'}}",
            ["httpFilter.value.typed_config.suppres"],
        ),
        ("{cluster: {operation: Remove}}", []),
    ],
)
def test_what_envoy_does_not_know_is_told_of(block: str, unknown: list[str]) -> None:
    assert rules.violations(model.KIND, modification(block)) == []
    assert rules.warnings(model.KIND, modification(block)) == [
        f'unknown field "{AT}.{each}" was ignored' for each in unknown
    ]
