"""Compiles a template's tokens into nodes, with the complaints of Go's parser."""

import ast
from collections.abc import Collection

from kuma.base import gotext
from kuma.base.gotemplate import nodes, tokens
from kuma.base.gotemplate.tokens import Kind, TemplateError

_OPERANDS = frozenset(
    (
        Kind.BOOL,
        Kind.CHAR_CONSTANT,
        Kind.DOT,
        Kind.FIELD,
        Kind.IDENTIFIER,
        Kind.NUMBER,
        Kind.NIL,
        Kind.RAW_STRING,
        Kind.STRING,
        Kind.VARIABLE,
        Kind.OPEN,
    )
)


def parse_tree(source: str, functions: Collection[str]) -> tuple[nodes.Node, ...]:
    """The nodes of a template that may call `functions`; TemplateError where it does not compile."""
    try:
        return _Parser(source, functions).whole()
    except RecursionError:
        raise TemplateError("template: :1: nested too deeply") from None


class _Parser:
    def __init__(self, source: str, functions: Collection[str]) -> None:
        self._source = source
        self._tokens = list(tokens.cut(source))
        self._next = 0
        self._functions = functions
        self._variables = ["$"]

    # Tokens

    def _peek(self) -> tokens.Token:
        return self._tokens[min(self._next, len(self._tokens) - 1)]

    def _take(self) -> tokens.Token:
        token = self._peek()
        self._next += 1
        return token

    def _peek_word(self) -> tokens.Token:
        while self._peek().kind is Kind.SPACE:
            self._next += 1
        return self._peek()

    def _take_word(self) -> tokens.Token:
        self._peek_word()
        return self._take()

    def _refuse(self, message: str) -> TemplateError:
        last = self._tokens[max(0, min(self._next, len(self._tokens)) - 1)]
        line = 1 + self._source.count("\n", 0, last.at)
        return TemplateError(f"template: :{line}: {message}")

    def _unexpected(self, token: tokens.Token, context: str) -> TemplateError:
        return self._refuse(str(token) if token.kind is Kind.ERROR else f"unexpected {token} in {context}")

    # Structure

    def whole(self) -> tuple[nodes.Node, ...]:
        """The whole template."""
        found, end = self._until_end()
        if end:
            raise self._refuse("unexpected {{" + end + "}}")
        return found

    def _until_end(self) -> tuple[tuple[nodes.Node, ...], str]:
        """Nodes up to an `end` or `else` (whose keyword comes second), or to the end of the template (empty)."""
        found: list[nodes.Node] = []
        while True:
            token = self._take()
            if token.kind is Kind.EOF:
                return tuple(found), ""
            if token.kind is Kind.TEXT:
                found.append(nodes.Text(token.text))
                continue
            if token.kind is not Kind.LEFT:
                raise self._unexpected(token, "input")
            keyword = self._peek_word()
            if keyword.kind is not Kind.KEYWORD:
                found.append(nodes.Action(self._pipeline("command", Kind.RIGHT)))
                continue
            self._take()
            if keyword.text == "end":
                self._expect_right("end")
                return tuple(found), "end"
            if keyword.text == "else":
                return tuple(found), "else"
            if keyword.text not in ("if", "with"):
                raise self._refuse(f"{{{{{keyword.text}}}}} is not supported here")
            found.append(self._branch(keyword.text))

    def _expect_right(self, context: str) -> None:
        token = self._take_word()
        if token.kind is not Kind.RIGHT:
            raise self._unexpected(token, context)

    def _branch(self, keyword: str) -> nodes.Branch:
        known = len(self._variables)
        pipeline = self._pipeline(keyword, Kind.RIGHT)
        body, end = self._until_end()
        otherwise: tuple[nodes.Node, ...] = ()
        if end == "else":
            following = self._peek_word()
            if following.kind is Kind.KEYWORD and following.text == keyword:
                self._take()
                otherwise = (self._branch(keyword),)
                end = "end"
            else:
                self._expect_right("else")
                otherwise, end = self._until_end()
                if end == "else":
                    raise self._refuse("expected end; found {{else}}")
        if not end:
            raise self._refuse("unexpected EOF")
        del self._variables[known:]
        return nodes.Branch(pipeline, body, otherwise, keyword == "with")

    # Pipelines

    def _pipeline(self, context: str, end: Kind) -> nodes.Pipeline:
        first = self._peek_word()
        variable, declares = self._assignment()
        commands: list[nodes.Command] = []
        while True:
            token = self._peek_word()
            if token.kind is end:
                self._take()
                break
            if token.kind not in _OPERANDS:
                self._take()
                raise self._unexpected(token, context)
            commands.append(self._command())
        if not commands:
            raise self._refuse(f"missing value for {context}")
        for stage, command in enumerate(commands[1:], 2):
            head = command.arguments[0]
            if isinstance(head, nodes.Constant) or (isinstance(head, nodes.Field) and not head.names):
                raise self._refuse(f"non executable command in pipeline stage {stage}")
        if variable and declares:
            self._variables.append(variable)
        return nodes.Pipeline(tuple(commands), variable, declares, first.at)

    def _assignment(self) -> tuple[str, bool]:
        """The variable that keeps a pipeline's result (empty: none) and whether it is new."""
        start = self._next
        token = self._peek_word()
        if token.kind is Kind.VARIABLE:
            self._take()
            operator = self._peek_word()
            if operator.kind in (Kind.ASSIGN, Kind.DECLARE):
                self._take()
                if operator.kind is Kind.ASSIGN:
                    self._require_variable(token.text)
                return token.text, operator.kind is Kind.DECLARE
        self._next = start
        return "", False

    def _require_variable(self, name: str) -> None:
        if name not in self._variables:
            raise self._refuse(f"undefined variable {gotext.quote(name)}")

    def _command(self) -> nodes.Command:
        arguments: list[nodes.Argument] = []
        start = self._peek_word().at
        while True:
            operand = self._operand()
            if operand is not None:
                arguments.append(operand)
            token = self._take()
            if token.kind is Kind.SPACE:
                continue
            if token.kind in (Kind.RIGHT, Kind.CLOSE):
                self._next -= 1
            elif token.kind is not Kind.PIPE:
                raise self._unexpected(token, "operand")
            break
        if not arguments:
            raise self._refuse("empty command")
        return nodes.Command(tuple(arguments), start)

    def _operand(self) -> nodes.Argument | None:
        """A term with the fields that follow it; None where no term stands here."""
        term = self._term()
        if term is None or self._peek().kind is not Kind.FIELD:
            return term
        names = []
        while self._peek().kind is Kind.FIELD:
            names.append(self._take().text[1:])
        if isinstance(term, nodes.Field) and term.names:
            return nodes.Field((*term.names, *names), term.at)
        if isinstance(term, nodes.Variable):
            return nodes.Variable(term.name, (*term.names, *names), term.at)
        if isinstance(term, nodes.Constant | nodes.Field):
            raise self._refuse(f"unexpected . after term {gotext.quote(term.text)}")
        raise self._refuse("fields of results are not supported here")

    def _term(self) -> nodes.Argument | None:
        token = self._take_word()
        at = token.at
        if token.kind is Kind.IDENTIFIER:
            if token.text not in self._functions:
                raise self._refuse(f"function {gotext.quote(token.text)} not defined")
            return nodes.Function(token.text, at)
        if token.kind is Kind.DOT:
            return nodes.Field((), at)
        if token.kind is Kind.FIELD:
            return nodes.Field((token.text[1:],), at)
        if token.kind is Kind.VARIABLE:
            self._require_variable(token.text)
            return nodes.Variable(token.text, (), at)
        if token.kind is Kind.OPEN:
            return self._pipeline("parenthesized pipeline", Kind.CLOSE)
        if token.kind in (Kind.NIL, Kind.BOOL):
            return nodes.Constant({"nil": None, "true": True, "false": False}[token.text], token.text, at)
        if token.kind in (Kind.NUMBER, Kind.CHAR_CONSTANT):
            return nodes.Constant(self._number(token.text), token.text, at)
        if token.kind in (Kind.STRING, Kind.RAW_STRING):
            return nodes.Constant(self._string(token.text), token.text, at)
        self._next -= 1
        return None

    def _number(self, text: str) -> int | float:
        try:
            if text.startswith("'"):
                return ord(self._string(text))
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError):
            value = None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._refuse(f"illegal number syntax: {gotext.quote(text)}")
        return value

    def _string(self, text: str) -> str:
        if text.startswith("`"):
            return text[1:-1]
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            raise self._refuse("invalid syntax") from None
        return str(value)
