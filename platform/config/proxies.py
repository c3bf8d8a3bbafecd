"""Whom a request comes from, where it comes through a proxy."""

from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest, HttpResponse

Networks = tuple[IPv4Network | IPv6Network, ...]


def parse_networks(value: str) -> Networks:
    """Addresses and networks, separated by commas. Raises ValueError that names the setting and the cure."""
    try:
        return tuple(ip_network(each.strip(), strict=False) for each in value.split(",") if each.strip())
    except ValueError as error:
        raise ValueError(f"TRUSTED_PROXIES: {error}; give addresses or networks, such as 10.0.0.0/8") from error


class TrustedProxies:
    """Puts the client's address and scheme, as a trusted proxy tells them, in place of the proxy's own.

    The client is the last address of X-Forwarded-For that is no trusted proxy: what stands before it the client itself
    may have written. From anybody else these headers say nothing.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.networks: Networks = settings.TRUSTED_PROXIES

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if self.networks and self._is_trusted(request.META.get("REMOTE_ADDR", "")):
            request.META["REMOTE_ADDR"] = self._client(request)
            if (scheme := request.headers.get("X-Forwarded-Proto")) in ("http", "https"):
                request.META["wsgi.url_scheme"] = scheme
        return self.get_response(request)

    def _client(self, request: HttpRequest) -> str:
        client = str(request.META["REMOTE_ADDR"])
        for each in reversed(request.headers.get("X-Forwarded-For", "").split(",")):
            try:
                client = str(ip_address(each.strip()))
            except ValueError:
                return client
            if not self._is_trusted(client):
                return client
        return client

    def _is_trusted(self, address: str) -> bool:
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self.networks)
