"""`kumactl install`: what is put into a cluster, printed as YAML for `kubectl apply`."""

import click

from kuma.apps.kumactl import documents, flags, grammar, kinds


def _crds(call: grammar.Invocation) -> None:
    from kuma.resources import crds

    if call.switch("only-missing"):
        raise grammar.CommandError(
            "--only-missing would need to ask a cluster, which kumactl cannot do: "
            "leave it out, applying a definition that is there already changes nothing"
        )
    found = crds.definitions(kinds.catalog())
    click.echo("---\n".join(documents.to_yaml(each) for each in found), nl=False)


COMMAND = grammar.Group(
    "install",
    lambda: grammar.ready(
        [
            grammar.Command(
                "crds",
                _crds,
                summary="Print the custom resource definitions of Kubernetes",
                flags=[
                    flags.Flag(
                        "only-missing",
                        form=flags.Form.SWITCH,
                        help="leave out those that the cluster has (not built yet)",
                    )
                ],
            )
        ]
    ),
    description="Print what Kubernetes needs to run the mesh.",
    strict=True,  # a script that installs what is not built yet must not believe that it did
)
