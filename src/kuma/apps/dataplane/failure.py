"""The one error that ends the agent with a message for the person who started it."""


class AgentError(Exception):
    """Printed as `Error: <message>`; the agent then ends with `code`."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code
