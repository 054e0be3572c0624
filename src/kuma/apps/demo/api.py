"""The service in the middle: passes each request on to the counter and adds itself to the way."""

from kuma.apps.demo import serving

NAME = "api"


def route(counter_port: int) -> serving.Route:
    """Answers of the service; the counter is behind a local outbound port of the sidecar."""

    def answer(method: str, path: str, headers: dict[str, str]) -> serving.Reply:
        found = serving.call(NAME, "counter", counter_port, "POST" if method == "POST" else "GET", "/")
        if isinstance(found, serving.Trouble):
            return serving.reply_to(found)
        return serving.Reply(serving.OK, {**found, "path": [serving.step(NAME, headers), *found.get("path", [])]})

    return answer


def main() -> None:
    """Runs the service."""
    serving.serve(int(serving.required("DEMO_PORT")), route(int(serving.required("DEMO_COUNTER_PORT"))))


if __name__ == "__main__":
    main()
