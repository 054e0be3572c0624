"""The methods of HTTP requests as old kinds spell them."""

from kuma.resources import values


class HttpMethod(values.ProtoEnum):
    """A method of HTTP requests (RFC 9110, section 9); NONE: none was said."""

    __proto_name__ = "kuma.mesh.v1alpha1.HttpMethod"
    NONE = "NONE"
    CONNECT = "CONNECT"
    DELETE = "DELETE"
    GET = "GET"
    HEAD = "HEAD"
    OPTIONS = "OPTIONS"
    PATCH = "PATCH"
    POST = "POST"
    PUT = "PUT"
    TRACE = "TRACE"
