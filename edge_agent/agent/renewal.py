"""The gateway's next certificate, without a person: asked for a third of the old one's life before its end.

The request goes over the mutual-TLS door that the present certificate opens, for the same key. The new certificate is
stored beside the old one, tried on a connection of its own, and takes the old one's place only when the authority has
answered on that connection. Connections that are made from then on show it; nothing is restarted.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from edge_agent import log
from edge_agent.errors import EdgeError
from edge_agent.state.certificate import validity
from edge_agent.state.credentials import Answer, Credentials, CredentialsInvalidError, CredentialStore
from edge_agent.state.keys import KeyStore
from edge_agent.uplinks import CertificateRefusedError
from edge_agent.uplinks.https import HttpsClient
from edge_agent.wire import paths

LOOK_SECONDS = 3_600.0
"""How often the certificate's end is looked at, and how long to wait after an authority that does not answer."""
POLL_SECONDS = 10.0
"""How often the authority is asked whether what was asked for is issued."""


def renew_at(certificate: str) -> float:
    """When a certificate (PEM) should be renewed, Unix seconds: a third of its life before its end."""
    begins, ends = validity(certificate)
    return ends - (ends - begins) / 3


class Renewal:
    """Renews one gateway's certificate. contexts are those of the uplinks, which show the new one from then on.

    renewed is told the new credentials; clock gives Unix seconds.
    """

    def __init__(
        self,
        store: CredentialStore,
        keys: KeyStore,
        address: tuple[str, int],
        credentials: Credentials,
        contexts: Sequence[ssl.SSLContext],
        renewed: Callable[[Credentials], None],
        clock: Callable[[], float],
        *,
        timeout: float = 10.0,
    ) -> None:
        self._store = store
        self._keys = keys
        self._address = address
        self._credentials = credentials
        self._contexts = contexts
        self._renewed = renewed
        self._clock = clock
        self._timeout = timeout
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._told = ""

    def start(self) -> None:
        """Look after it in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="certificate", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(2 * self._timeout)

    def _run(self) -> None:
        while not self._stop.is_set():
            wait = LOOK_SECONDS
            try:
                if not self.step():
                    wait = POLL_SECONDS
                self._told = ""
            except (EdgeError, OSError) as error:
                if str(error) != self._told:  # once a cause, however often it is met
                    log.warning("the certificate is not renewed yet, the old one goes on", reason=str(error))
                    self._told = str(error)
            until = renew_at(self._credentials.certificate) - self._clock()
            self._stop.wait(max(1.0, min(wait, until)) if until > 0 else wait)

    def step(self) -> bool:
        """Do what is due; False where the authority has yet to issue it.

        UplinkError or CredentialsError where it could not be done; the old certificate is in use then.
        """
        if self._clock() < renew_at(self._credentials.certificate):
            return True
        issued = self._ask()
        if issued is None:
            return False
        new = replace(self._credentials, certificate=self._checked(issued))
        self._try(new)
        self._store.save(new)
        for context in self._contexts:
            context.load_cert_chain(self._store.certificate, self._store.key)
        self._credentials = new
        self._renewed(new)
        log.info("the certificate is renewed", gateway=new.gateway)
        return True

    def _ask(self) -> str | None:
        client = HttpsClient(self._address, self._store.tls_context(self._credentials), timeout=self._timeout)
        body = json.dumps({"csr": self._keys.certificate_request(self._credentials.gateway)}).encode()
        try:
            reply = client.call("POST", paths.certificate(self._credentials.gateway), body)
        finally:
            client.close()
        answer = Answer(reply.json(), "the authority's answer")
        return answer.text("certificate") if answer.choice("status", ("pending", "issued")) == "issued" else None

    def _checked(self, certificate: str) -> str:
        """What the authority hands out is for this gateway and this key, or it is not taken."""
        from cryptography import x509  # noqa: PLC0415 - 2 MiB, for one certificate in a year
        from cryptography.x509.oid import NameOID  # noqa: PLC0415

        try:
            parsed = x509.load_pem_x509_certificate(certificate.encode())
        except ValueError as error:
            raise CredentialsInvalidError(f"the authority's certificate cannot be read: {error}") from error
        names = [str(name.value) for name in parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        own = self._keys.load_or_make_tls().public_key()
        if names != [self._credentials.gateway] or parsed.public_key() != own:
            raise CredentialsInvalidError(f"the authority's certificate is made out to {names}, or for another key")
        return certificate

    def _try(self, new: Credentials) -> None:
        """The new certificate opens the door, and the authority takes it for the gateway's from now on."""
        client = HttpsClient(self._address, self._store.trial_context(new), timeout=self._timeout)
        try:
            reply = client.call("PUT", paths.certificate(new.gateway), b"{}")
        finally:
            client.close()
        if Answer(reply.json(), "the authority's answer").text("status") != "used":
            raise CertificateRefusedError("the authority does not know the certificate that it issued")
