"""`kumactl demo`: a mesh of three small services on one machine, to look at and to break.

`python -m kuma.apps.demo` starts the control plane, a sidecar for each service and the services (`web` calls `api`
calls `counter`), then tells what each change of the resources does to the page. It talks to the other programs as a
user would: over their command lines and the REST API.
"""
