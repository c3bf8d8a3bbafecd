"""One POST to an address that a tenant chose: no redirects, no way into the private network, and never for long."""

import ipaddress
import socket
import ssl
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError

LONGEST_URL = 500
CONNECT_SECONDS = 3.0
DEADLINE = 10.0  # seconds for the whole exchange, however slowly the other side drips
# Addresses of version 6 that carry one of version 4 within, which a gateway would unwrap.
CARRIERS = tuple(
    ipaddress.ip_network(block) for block in ("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
)
# A look-up has no time limit of its own.
_names = ThreadPoolExecutor(max_workers=8, thread_name_prefix="names")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class NotAllowed(Exception):
    """The address is one that webhooks may not reach."""


@dataclass(frozen=True)
class Answer:
    """`status` is None where there was no answer; `words` says what came, for the log of deliveries."""

    status: int | None
    words: str

    @property
    def is_good(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def check_url(url: str) -> None:
    """Raises ValidationError, with the cure, for an address that no webhook could have."""
    try:
        _split(url)
    except NotAllowed as problem:
        raise ValidationError({"url": str(problem)}) from None


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Send `body`; whatever goes wrong is an Answer.

    The host is looked up once and connected to by the address that was checked, so that a name cannot mean one address
    when it is checked and another when it is used.
    """
    try:
        parts = _split(url)
        address = _allowed_address(parts)
        return _exchange(parts, address, body, headers)
    except NotAllowed as problem:
        return Answer(None, str(problem))
    except ssl.SSLCertVerificationError:
        return Answer(None, "the certificate is not trusted")
    except (OSError, HTTPException, ValueError):
        return Answer(None, f"no answer within {DEADLINE:g} seconds, or none that is HTTP")


def _split(url: str) -> SplitResult:
    """Raises NotAllowed."""
    if len(url) > LONGEST_URL or not url.isascii() or any(not "!" <= character <= "~" for character in url):
        raise NotAllowed(f"must be at most {LONGEST_URL} visible ASCII characters; encode others")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise NotAllowed("is not an address; write it like https://example.com/hook") from None
    if not parts.hostname or parts.scheme not in ("https", "http") or port == 0:
        raise NotAllowed("is not an address; write it like https://example.com/hook")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise NotAllowed("must hold no user, password or fragment; the signature says who calls")
    if literal := _literal(parts.hostname):
        _check(literal, parts.scheme)
    elif parts.scheme == "http" and not (parts.hostname == "localhost" and settings.WEBHOOKS_TO_PRIVATE_ADDRESSES):
        raise NotAllowed("must begin with https://")
    return parts


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _check(address: Address, scheme: str) -> None:
    """Raises NotAllowed for one of the private network, and for http to anything but this machine."""
    inner = getattr(address, "ipv4_mapped", None) or address
    is_carrier = any(address in block for block in CARRIERS if block.version == address.version)
    is_public = inner.is_global and not inner.is_multicast and not is_carrier
    if not is_public and not settings.WEBHOOKS_TO_PRIVATE_ADDRESSES:
        raise NotAllowed("names an address that is not public; webhooks reach public ones alone")
    if scheme == "http" and not inner.is_loopback:
        raise NotAllowed("must begin with https://")


def _allowed_address(parts: SplitResult) -> tuple[str, int]:
    """The first address of the host. Raises NotAllowed unless all that it has are allowed."""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        asked = _names.submit(socket.getaddrinfo, parts.hostname, port, type=socket.SOCK_STREAM)
        found = asked.result(timeout=CONNECT_SECONDS)
    except OSError:
        raise NotAllowed("names a host that cannot be found") from None
    addresses = [str(each[4][0]) for each in found]
    for address in addresses:
        _check(ipaddress.ip_address(address.partition("%")[0]), parts.scheme)
    return addresses[0], port


def _exchange(parts: SplitResult, address: tuple[str, int], body: bytes, headers: Mapping[str, str]) -> Answer:
    connection = HTTPConnection(parts.hostname or "", address[1])
    connection.sock = socket.create_connection(address, timeout=CONNECT_SECONDS)
    connection.sock.settimeout(DEADLINE)
    watch = threading.Timer(DEADLINE, _cut, [connection])
    watch.daemon = True
    watch.start()
    try:
        if parts.scheme == "https":
            # The handshake comes after, so that the watch can cut it too.
            secured = ssl.create_default_context().wrap_socket(
                connection.sock, server_hostname=parts.hostname, do_handshake_on_connect=False
            )
            connection.sock = secured
            secured.do_handshake()
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, body, {**headers, "Host": parts.netloc, "Connection": "close"})
        with connection.getresponse() as response:
            return Answer(response.status, f"HTTP {response.status}")
    finally:
        watch.cancel()
        connection.close()


def _cut(connection: HTTPConnection) -> None:
    with suppress(OSError):
        if connection.sock is not None:
            socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)
