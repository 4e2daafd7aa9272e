"""Posting to an address that a member names, and to nothing inside: no private address is ever connected to.

The host's name is looked up once; every address that it has must be a public one, and the connection goes to the
address that was looked at. So a name that changes its mind between the look and the connection (DNS rebinding) changes
nothing. Redirects are not followed, and the whole exchange has a deadline.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from authority.deadline import hung_up_after
from authority.people.errors import AddressRefusedError, NotTakenError

DEADLINE_SECONDS = 15.0
LONGEST_URL = 512
_ANSWER_SIZE = 4_096
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Resolve = Callable[[str, int], Sequence[str]]
"""The addresses of a host."""


def resolved(host: str, port: int) -> Sequence[str]:
    """The addresses that the machine's resolver has of a host."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def is_public(text: str) -> bool:
    """Whether an address is one of the public Internet, also where another one is written inside it."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


@dataclass(frozen=True)
class Outside:
    """The way out; what is looked up, what counts as public, and whom TLS trusts come from outside for the tests."""

    resolve: Resolve = resolved
    public: Callable[[str], bool] = is_public
    context: ssl.SSLContext = field(default_factory=ssl.create_default_context)

    def look(self, url: str) -> tuple[str, int, str, str]:
        """Host, port, an address of it, and the path of a URL; AddressRefusedError."""
        if (
            len(url) > LONGEST_URL
            or not url.isascii()
            or not url.isprintable()
            or any(each in url for each in ' "<>\\')
        ):
            raise AddressRefusedError(f"a webhook's address has at most {LONGEST_URL} plain characters")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or 443
        except ValueError as error:
            raise AddressRefusedError("this is no address: write one such as https://example.org/campus") from error
        if parts.scheme != "https" or not host or parts.username is not None or parts.password is not None:
            raise AddressRefusedError("a webhook's address is https://, with no user and password in it")
        try:
            found = self.resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise AddressRefusedError(f"{host} is not known to the Internet's directory") from error
        if not found or not all(map(self.public, found)):
            raise AddressRefusedError(f"{host} leads to a private network, and nothing is sent there")
        return host, port, found[0], (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Post to it; AddressRefusedError, and NotTakenError where the answer is not 2xx."""
        host, port, address, target = self.look(url)
        connection = _Pinned(host, port, address, self.context)
        try:
            with hung_up_after(connection, DEADLINE_SECONDS):
                connection.request("POST", target, body, dict(headers))
                response = connection.getresponse()
                response.read(_ANSWER_SIZE)
        except (OSError, http.client.HTTPException) as error:
            raise NotTakenError(f"{host}: {str(error) or type(error).__name__}") from error
        finally:
            connection.close()
        if not 200 <= response.status < 300:
            raise NotTakenError(f"{host} answers {response.status}")


class _Pinned(http.client.HTTPSConnection):
    """A connection to an address that was looked at, for the host whose certificate it has to have."""

    def __init__(self, host: str, port: int, address: str, context: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=DEADLINE_SECONDS, context=context)
        self._address, self._tls = address, context

    def connect(self) -> None:
        """Connect to the address, and to no other."""
        plain = socket.create_connection((self._address, self.port), DEADLINE_SECONDS)
        try:
            self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise
