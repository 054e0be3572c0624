"""Envoy's network filter `set_filter_state` as Envoy 1.38 knows it.

The generated modules that we use (xds-protos) are older than the Envoy that we run and lack the values that are noted
after the TLS handshake, the only moment at which the client's certificate is known. So the file is described here,
and stands in for the generated module: one process knows one description of a message. Whoever reads messages that
others wrote imports this module, too, before any generated one. Source: Envoy's API, `set_filter_state.proto`.
"""

import sys
from types import ModuleType
from typing import Any

from envoy.extensions.filters.common.set_filter_state.v3 import value_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "envoy.extensions.filters.network.set_filter_state.v3"
_MODULE = f"{_PACKAGE}.set_filter_state_pb2"
_LISTS = ("on_new_connection", "on_downstream_tls_handshake", "on_downstream_data")
"""The fields, numbered from 1: when their values are noted."""


def _described() -> bytes:
    file = descriptor_pb2.FileDescriptorProto(name=f"{_MODULE.replace('.', '/')[: -len('_pb2')]}.proto")
    file.package, file.syntax = _PACKAGE, "proto3"
    file.dependency.append(value_pb2.DESCRIPTOR.name)
    message = file.message_type.add(name="Config")
    for number, name in enumerate(_LISTS, start=1):
        field = message.field.add(name=name, number=number, type_name=f".{FilterStateValue.DESCRIPTOR.full_name}")
        field.type = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
        field.label = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
    return file.SerializeToString()


def _registered() -> Any:
    """The message class, out of what stands in for the generated module."""
    pool: Any = descriptor_pool.Default()
    pool.AddSerializedFile(_described())
    made: Any = ModuleType(_MODULE)
    made.DESCRIPTOR = pool.FindFileByName(f"{_MODULE.replace('.', '/')[: -len('_pb2')]}.proto")
    made.Config = message_factory.GetMessageClass(made.DESCRIPTOR.message_types_by_name["Config"])
    sys.modules[_MODULE] = made
    return made.Config


FilterStateValue = value_pb2.FilterStateValue
Config = _registered()
