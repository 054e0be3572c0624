"""How the control plane is known: by the CA that was given, or by the one that it leaves on this machine.

A control plane without a configured certificate makes one at its first start and writes it to a file. An agent may
start before, or survive a control plane that began anew, so that file is read again before each attempt.
"""

import os
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

from kuma.apps.dataplane import settings as conf
from kuma.apps.dataplane.joining import credentials, host

OWN_CERTIFICATE = "~/.kuma/kuma-cp.crt"
"""Where a control plane without a configured certificate puts the one that it makes for itself."""


class Trust:
    """The CA (PEM, empty: those of the system), where it comes from, and TLS with it.

    `own_file`: the file that is looked at again by `refresh`, empty where the CA is settled.
    """

    def __init__(self, ca: str = "", source: str = "", *, skip_verify: bool = False, own_file: str = "") -> None:
        self.ca = ca
        self.source = source
        self.own_file = own_file
        self.tls: ssl.SSLContext = credentials.tls_context(ca, skip_verify, source)

    def refresh(self) -> None:
        """Takes up the file as it is now; without it, the CA stays as it was. AgentError where it holds no CA."""
        if not self.own_file or not os.path.isfile(self.own_file):
            return
        ca = credentials.read_ca(self.own_file)
        if ca != self.ca:
            self.tls = credentials.tls_context(ca, skip_verify=False, source=self.own_file)
            self.ca, self.source = ca, self.own_file


def trust_of(settings: conf.Settings, environ: Mapping[str, str]) -> Trust:
    """What the settings say; without a word from them, the file of a control plane on this machine. AgentError."""
    if settings.ca_cert:
        return Trust(settings.ca_cert, "KUMA_CONTROL_PLANE_CA_CERT", skip_verify=settings.skip_verify)
    if settings.ca_cert_file:
        ca = credentials.read_ca(settings.ca_cert_file)
        return Trust(ca, settings.ca_cert_file, skip_verify=settings.skip_verify)
    if settings.skip_verify or not host.is_loopback(urlsplit(settings.cp_address).hostname or ""):
        return Trust(skip_verify=settings.skip_verify)
    return Trust(own_file=OWN_CERTIFICATE.replace("~", environ.get("HOME", ""), 1))
