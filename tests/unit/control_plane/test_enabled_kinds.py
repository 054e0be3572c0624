"""Which kinds a configuration leaves in."""

import dataclasses

from kuma.apps.control_plane import kinds
from kuma.apps.control_plane.settings import mesh as settings_mesh
from kuma.apps.control_plane.settings import tree as configuration


def test_all_kinds_are_there_unless_told_otherwise() -> None:
    everything = {each.name for each in kinds.known()}
    assert {each.name for each in kinds.enabled(configuration.Settings())} == everything


def test_new_kinds_can_be_left_out_and_old_ones_cannot() -> None:
    settings = dataclasses.replace(
        configuration.Settings(),
        core_resources=settings_mesh.CoreResourcesSettings(enabled=["workloads"]),
        policies=settings_mesh.PoliciesSettings(plugin_policies_enabled=["meshtrafficpermissions"]),
    )
    found = kinds.enabled(settings)
    new = {each.name for each in found if each.envelope.value == "spec"}
    assert new == {"Workload", "MeshTrafficPermission"}
    assert found.find("TrafficPermission") is not None
    assert found.find("Zone") is not None
