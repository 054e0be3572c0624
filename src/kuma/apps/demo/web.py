"""The service people see: a page whose every view is counted by `counter`, which only `api` may ask.

`GET /` counts a view and shows the page; `GET /status` asks the same way without counting and answers JSON. Both
carry the status that the way through the mesh ended with.
"""

from kuma.apps.demo import page, serving

NAME = "web"


def route(api_port: int) -> serving.Route:
    """Answers of the service; the API is behind a local outbound port of the sidecar."""

    def answer(method: str, path: str, headers: dict[str, str]) -> serving.Reply:
        if path not in ("/", "/status"):
            return serving.Reply(404, {"error": "not found"})
        counts = path == "/" and method == "GET"
        found = serving.call(NAME, "api", api_port, "POST" if counts else "GET", "/")
        if path == "/":
            return page.render(found)
        if isinstance(found, serving.Trouble):
            return serving.reply_to(found)
        return serving.Reply(serving.OK, found)

    return answer


def main() -> None:
    """Runs the service."""
    serving.serve(int(serving.required("DEMO_PORT")), route(int(serving.required("DEMO_API_PORT"))))


if __name__ == "__main__":
    main()
