"""Envoy's network filter `kafka_broker`, which counts the requests of Kafka clients.

It is one of Envoy's contributed extensions: not every build has it, and the generated modules that we use (xds-protos)
leave it out. So the little of it that we write is described here. Source: Envoy's API, `kafka_broker.proto`.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from kuma.envoy import api

FILTER = "envoy.filters.network.kafka_broker"

_PACKAGE = "envoy.extensions.filters.network.kafka_broker.v3"
_FILE = f"contrib/{_PACKAGE.replace('.', '/')}/kafka_broker.proto"


def _registered() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name=_FILE, package=_PACKAGE, syntax="proto3")
    message = file.message_type.add(name="KafkaBroker")
    field = message.field.add(name="stat_prefix", number=1)
    field.type = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
    field.label = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
    pool: Any = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.KafkaBroker"))


_KafkaBroker = _registered()


def broker(stat_prefix: str) -> api.Message:
    """The filter, which stands before a TCP proxy."""
    return _KafkaBroker(stat_prefix=stat_prefix)
