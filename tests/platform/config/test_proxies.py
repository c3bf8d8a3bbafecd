"""Behind a proxy: who the client is, and how browsers find the API."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.checks import run_checks
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from config.proxies import TrustedProxies, parse_networks

Asked = Callable[..., tuple[str, bool]]


@pytest.fixture
def asked(settings: Any) -> Asked:
    """asked("10.0.0.1", forwarded_for="...") tells the client's address and whether the request came by https."""
    settings.TRUSTED_PROXIES = parse_networks("10.0.0.0/8, 2001:db8::1")

    def ask(peer: str, **headers: str) -> tuple[str, bool]:
        seen: list[HttpRequest] = []

        def view(request: HttpRequest) -> HttpResponse:
            seen.append(request)
            return HttpResponse()

        names = {f"X-{name.replace('_', '-')}": value for name, value in headers.items()}
        TrustedProxies(view)(RequestFactory().get("/", REMOTE_ADDR=peer, headers=names))
        return seen[0].META["REMOTE_ADDR"], seen[0].is_secure()

    return ask


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("198.51.100.1, 203.0.113.7", "203.0.113.7"),  # The client wrote the first one itself.
        ("203.0.113.7, 10.1.1.1", "203.0.113.7"),
        ("10.2.2.2, 10.1.1.1", "10.2.2.2"),
        ("2001:db8:5::7", "2001:db8:5::7"),
        ("203.0.113.7, unknown", "10.0.0.1"),
        ("", "10.0.0.1"),
    ],
)
def test_the_client_is_the_last_address_that_is_no_proxy(forwarded: str, client: str, asked: Asked) -> None:
    assert asked("10.0.0.1", forwarded_for=forwarded) == (client, False)


def test_a_proxy_tells_the_scheme(asked: Asked) -> None:
    assert asked("2001:db8::1", forwarded_for="203.0.113.7", forwarded_proto="https") == ("203.0.113.7", True)


@pytest.mark.parametrize("stranger", ["203.0.113.9", "2001:db8::2", ""])
def test_a_stranger_tells_nothing(stranger: str, asked: Asked) -> None:
    assert asked(stranger, forwarded_for="203.0.113.7", forwarded_proto="https") == (stranger, False)


def test_without_proxies_nobody_is_believed(asked: Asked, settings: Any) -> None:
    settings.TRUSTED_PROXIES = ()
    assert asked("127.0.0.1", forwarded_for="203.0.113.7") == ("127.0.0.1", False)


def test_what_is_no_network_is_refused_with_the_name_of_the_setting() -> None:
    with pytest.raises(ValueError, match=r"TRUSTED_PROXIES: 'proxy'.*such as 10\.0\.0\.0/8"):
        parse_networks("10.0.0.1, proxy")


@pytest.mark.parametrize(
    ("hosts", "url", "warned"),
    [
        (["localhost", "127.0.0.1", "[::1]", "testserver"], "http://127.0.0.1:8000", False),
        (["localhost", "ads.example.com"], "http://127.0.0.1:8000", True),
        ([".example.com"], "http://localhost:8000", True),
        (["ads.example.com"], "https://ads.example.com", False),
    ],
)
def test_ads_that_would_point_at_this_machine_are_warned_of(
    hosts: list[str], url: str, warned: bool, settings: Any
) -> None:
    settings.ALLOWED_HOSTS, settings.API_URL = hosts, url
    found = [warning.msg for warning in run_checks() if warning.id == "config.W001"]
    assert bool(found) == warned
    assert all(url in message for message in found)
