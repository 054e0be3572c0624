"""The last service: a number in a file. `GET /` reads it, `POST /` adds one."""

import os
import threading
from pathlib import Path

from kuma.apps.demo import serving

NAME = "counter"


class Counter:
    """A number that outlives its process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            self._value = int(path.read_text())
        except (OSError, ValueError):
            self._value = 0

    def read(self) -> int:
        """The number."""
        return self._value

    def add_one(self) -> int:
        """The number after adding one to it."""
        with self._lock:
            self._value += 1
            beside = self._path.with_suffix(".new")
            beside.write_text(str(self._value))
            os.replace(beside, self._path)
            return self._value


def route(counter: Counter) -> serving.Route:
    """Answers of the service."""

    def answer(method: str, path: str, headers: dict[str, str]) -> serving.Reply:
        value = counter.add_one() if method == "POST" else counter.read()
        return serving.Reply(serving.OK, {"count": value, "path": [serving.step(NAME, headers)]})

    return answer


def main() -> None:
    """Runs the service."""
    counter = Counter(Path(serving.required("DEMO_COUNTER_FILE")))
    serving.serve(int(serving.required("DEMO_PORT")), route(counter))


if __name__ == "__main__":
    main()
