"""`python -m kuma.apps.demo`, which `kumactl demo` becomes."""

import sys

from kuma.apps.demo import settings, stage


def main() -> int:
    """Runs the demo; 0 when a signal ended it, 1 when it could not run."""
    try:
        stage.Stage(settings.read(sys.argv[1:])).run()
    except stage.Failed as problem:
        for line in str(problem).splitlines():
            print(f"Error: {line}" if not line.startswith(" ") else line, file=sys.stderr)
        return 1
    except stage.Ended:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
