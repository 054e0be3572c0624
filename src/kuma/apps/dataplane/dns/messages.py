"""The few parts of a DNS message that matter to a server that passes on what it does not know. Source: RFC 1035, 6891."""

HEADER = 12
NOERROR = 0
FORMERR = 1
SERVFAIL = 2
NXDOMAIN = 3
NOTIMP = 4
REFUSED = 5

IPV4 = b"\0\x01\0\x01"
"""Type A of class IN, as the last bytes of a question."""
IPV6 = b"\0\x1c\0\x01"
"""Type AAAA of class IN."""

_LONGEST_NAME = 255
_RECURSION_AVAILABLE = 0x80


def question_end(message: bytes) -> int:
    """Where the first question ends; ValueError where there is none, or its name breaks a rule."""
    if message[4:6] == b"\0\0":
        raise ValueError("no question")
    at = HEADER
    while at < len(message) and (length := message[at]):
        if length > 63:
            raise ValueError("a label that is too long, or compressed")
        at += 1 + length
    end = at + 5
    if end > len(message) or at + 1 - HEADER > _LONGEST_NAME:
        raise ValueError("a question without an end")
    return end


def is_question(message: bytes) -> bool:
    """Whether it is long enough for a header, and no answer. What is not deserves no reply."""
    return len(message) >= HEADER and not message[2] & 0x80


def is_malformed(question: bytes) -> bool:
    """Whether a standard query does not ask for exactly one well-formed name (RFC 9619). Others may look as they like."""
    if question[2] & 0x78:
        return False
    if question[4:6] != b"\0\x01":
        return True
    try:
        question_end(question)
    except ValueError:
        return True
    return False


def type_of(question: bytes) -> bytes:
    """The two bytes of the type that is asked for; of no meaning where there is no well-formed question."""
    end = question.find(b"\0", HEADER) + 3
    return question[end - 2 : end]


def response_code(message: bytes) -> int:
    """The code of an answer, without what EDNS adds to it."""
    return message[3] & 0x0F


def bare_answer(query: bytes, code: int) -> bytes:
    """An answer without records, whose sender is no authority. Without a readable question it is the header alone."""
    try:
        end = question_end(query)
    except ValueError:
        end = HEADER
    return _head(query, code, bool(end - HEADER)) + query[HEADER:end]


def _head(query: bytes, code: int, has_question: bool) -> bytes:
    flags = bytes((0x80 | query[2] & 0x79, _RECURSION_AVAILABLE | query[3] & 0x10 | code & 0x0F))
    return query[:2] + flags + (b"\0\x01" if has_question else b"\0\0") + b"\0\0\0\0\0\0"


def is_answer_to(answer: bytes, number: bytes, query: bytes) -> bool:
    """Whether a message can be the answer to `query`, sent with this number: a server that failed may leave out the rest."""
    if len(answer) < HEADER or answer[:2] != number or not answer[2] & 0x80:
        return False
    if answer[4:6] == b"\0\0":
        return response_code(answer) != 0
    try:
        end = question_end(query)
    except ValueError:  # no standard query; its number is all that we know of it
        return True
    return answer[HEADER:end].lower() == query[HEADER:end].lower()


def encode_name(name: str) -> bytes:
    """A name as it stands in a message, in lower case; ValueError where it cannot be one."""
    out = bytearray()
    for label in name.removesuffix(".").lower().split("."):
        if not 0 < len(label) <= 63 or not all("!" <= each <= "~" for each in label):
            raise ValueError(f"{name!r} is no name")
        out.append(len(label))
        out += label.encode()
    if len(out) >= _LONGEST_NAME:
        raise ValueError(f"{name!r} is too long")
    return bytes(out) + b"\0"
