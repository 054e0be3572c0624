"""`kumactl config`: the control planes that kumactl knows, and which one it talks to."""

import click

from kuma.apps.kumactl import configuration, documents, flags, grammar, rest, session, tables

TEXT, SWITCH, MAP = flags.Form.TEXT, flags.Form.SWITCH, flags.Form.MAP
NAME = flags.Flag("name", required=True, help="name of the control plane")


def _view(call: grammar.Invocation) -> None:
    click.echo(documents.to_yaml(session.read_configuration(call).tree()))


def _list(call: grammar.Invocation) -> None:
    known = session.read_configuration(call)
    current = next((each.control_plane for each in known.contexts if each.name == known.current), "")
    rows = [("*" if name == current else "", name, server.url) for name, server in known.control_planes.items()]
    click.echo(tables.render(("ACTIVE", "NAME", "ADDRESS"), rows), nl=False)


def _add(call: grammar.Invocation) -> None:
    name = call.text("name")
    known = session.read_configuration(call)
    server = _described(call)
    if not call.switch("overwrite"):
        if name in known.control_planes:
            raise grammar.CommandError(
                f'Control Plane with name "{name}" already exists. Use --overwrite to replace an existing one.'
            )
        if any(each.name == name for each in known.contexts):
            raise grammar.CommandError(f'Context with name "{name}" already exists')
    if not call.switch("skip-check"):
        _check(server, call)
    known.control_planes[name] = server
    fresh = configuration.Context(name, name)
    others = [each for each in known.contexts if each.name == name]
    if others:
        known.contexts[known.contexts.index(others[0])] = fresh
    else:
        known.contexts.append(fresh)
    known.current = name
    _save(call, known)
    click.echo(f'added Control Plane "{name}"')
    click.echo(f'switched active Control Plane to "{name}"')


def _described(call: grammar.Invocation) -> configuration.ApiServer:
    """The control plane that the flags of `add` describe; CommandError where they do not fit together."""
    address = call.text("address")
    if not rest.valid_url(address):
        raise grammar.CommandError(f'API Server URL is invalid: parse "{address}": invalid URI for request')
    certificate, key = call.text("client-cert-file"), call.text("client-key-file")
    if bool(certificate) != bool(key):
        raise grammar.CommandError("Both --client-cert-file and --client-key-file needs to be specified")
    auth, conf = call.text("auth-type"), dict(call.pairs("auth-conf"))
    if auth and auth != "tokens":
        raise grammar.CommandError(f'authentication plugin of type "{auth}" is not found')
    if auth == "tokens" and not conf.get("token"):
        raise grammar.CommandError("--auth-conf is not valid: provide token=YOUR_TOKEN")
    return configuration.ApiServer(
        url=address,
        ca_cert_file=call.text("ca-cert-file"),
        client_cert_file=certificate,
        client_key_file=key,
        skip_verify=call.switch("skip-verify"),
        headers=list(call.pairs("headers").items()),
        auth_type=auth,
        auth_conf=conf,
    )


def _check(server: configuration.ApiServer, call: grammar.Invocation) -> None:
    try:
        index = rest.ControlPlane(server, call.number("api-timeout")).get("/")
    except (rest.Unreachable, rest.Refused) as problem:
        raise grammar.CommandError(f"could not connect to the Control Plane API Server: {problem}") from None
    if not isinstance(index, dict) or "product" not in index:
        raise grammar.CommandError("could not connect to the Control Plane API Server: something else answers there")


def _remove(call: grammar.Invocation) -> None:
    known = session.read_configuration(call)
    name = _known_name(call, known)
    known.remove(name)
    _save(call, known)
    click.echo(f'removed Control Plane "{name}"')
    if known.current:
        click.echo(f'switched active Control Plane to "{known.current}"')
    else:
        click.echo(
            "there is no active Control Plane left. "
            "Use `kumactl config control-planes add` to add a Control Plane and make it active"
        )


def _switch(call: grammar.Invocation) -> None:
    known = session.read_configuration(call)
    name = _known_name(call, known)
    context = next((each.name for each in known.contexts if each.control_plane == name), "")
    if not context:
        raise grammar.CommandError(configuration.BROKEN)
    known.current = context
    _save(call, known)
    click.echo(f'switched active Control Plane to "{name}"')


def _known_name(call: grammar.Invocation, known: configuration.Configuration) -> str:
    name = call.text("name")
    if name not in known.control_planes:
        raise grammar.CommandError(f'there is no Control Plane with name "{name}"')
    return name


def _save(call: grammar.Invocation, known: configuration.Configuration) -> None:
    if not call.switch("no-config"):
        configuration.save(session.config_path(call), known)


ADD_FLAGS = [
    flags.Flag(
        "address",
        required=True,
        help="URL of the control plane's API (http://localhost:5681 or https://localhost:5682)",
    ),
    flags.Flag("auth-conf", form=MAP, help="values for the authentication, such as token=YOUR_TOKEN"),
    flags.Flag("auth-type", help="how to authenticate: tokens"),
    flags.Flag("ca-cert-file", help="CA certificates that the API's certificate is checked against"),
    flags.Flag("client-cert-file", help="client certificate, if the API asks for one"),
    flags.Flag("client-key-file", help="key of the client certificate"),
    flags.Flag("headers", form=MAP, help="headers to add to each request"),
    NAME,
    flags.Flag("overwrite", form=SWITCH, help="replace a control plane of that name"),
    flags.Flag("skip-check", form=SWITCH, help="do not try to reach the control plane now"),
    flags.Flag("skip-verify", form=SWITCH, help="accept any certificate of the API"),
]


def _control_planes() -> dict[str, grammar.Entry]:
    rows = [
        ("add", "Add a control plane and make it the active one", _add, ADD_FLAGS),
        ("list", "List the control planes", _list, []),
        ("remove", "Remove a control plane", _remove, [NAME]),
        ("switch", "Make another control plane the active one", _switch, [NAME]),
    ]
    commands = [grammar.Command(name, run, summary=text, flags=own) for name, text, run, own in rows]
    return grammar.ready(commands)


CONTROL_PLANES = grammar.Group(
    "control-planes", _control_planes, description="Manage the control planes that kumactl knows."
)
VIEW = grammar.Command("view", _view, summary="Print the configuration")
COMMAND = grammar.Group(
    "config",
    lambda: {
        "control-planes": grammar.Entry("Manage known control planes", lambda: CONTROL_PLANES),
        "view": grammar.Entry("Print the configuration", lambda: VIEW),
    },
    description="Manage the configuration of kumactl.",
)
