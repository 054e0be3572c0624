"""The committed custom resource definitions: what they should be, and (run as a program) writing them."""

from pathlib import Path

from kuma.apps.kumactl import documents, kinds
from kuma.resources import crds

COMMITTED = Path(__file__).parents[2] / "deploy/crds"


def files() -> dict[str, str]:
    """The text of each file by its name."""
    found = crds.definitions(kinds.catalog())
    return {f"{crds.GROUP}_{each['spec']['names']['plural']}.yaml": documents.to_yaml(each) for each in found}


def write() -> None:
    """Makes the folder what it should be."""
    COMMITTED.mkdir(parents=True, exist_ok=True)
    wanted = files()
    for path in COMMITTED.glob("*.yaml"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (COMMITTED / name).write_text(text)


if __name__ == "__main__":
    write()
