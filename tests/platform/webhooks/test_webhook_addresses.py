"""What no webhook may reach, however its address is written, and how long one may take."""

import socketserver
import time
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from tests.platform.webhooks.receivers import serving
from webhooks import posting
from webhooks.posting import check_url, post

PRIVATE = [
    "https://127.0.0.1/hook",
    "http://127.0.0.1/hook",
    "http://localhost/hook",
    "https://10.0.0.7/",
    "https://192.168.1.1/",
    "https://172.16.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://100.64.0.1/",
    "https://0.0.0.0/",
    "https://224.0.0.1/",
    "https://[::1]/",
    "https://[fe80::1]/",
    "https://[fc00::1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::a00:1]/",
    "https://[2002:a00:1::]/",
]


@pytest.mark.parametrize("url", PRIVATE)
def test_addresses_that_are_not_public_are_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        check_url(url)
    assert post(url, b"{}", {}).status is None


@pytest.mark.parametrize("url", ["https://localhost/", "https://2130706433/", "https://127.1/", "https://0x7f000001/"])
def test_names_and_spellings_of_this_machine_are_refused_when_they_are_used(url: str) -> None:
    """A name is looked up when the message goes, and the connection goes to the address that was checked."""
    assert post(url, b"{}", {}) == posting.Answer(
        None, "names an address that is not public; webhooks reach public ones alone"
    )


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/hook",
        "ftp://example.com/",
        "file:///etc/passwd",
        "http://example.com/",
        "https://user:secret@example.com/",
        "https://example.com/#part",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://[::1/",
        "https://exämple.com/",
        "https://example.com/a b",
        "https://example.com/a\r\nX-Evil: 1",
        f"https://example.com/{'x' * 500}",
    ],
)
def test_what_is_no_address_for_a_webhook_is_refused(url: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        check_url(url)
    assert "url" in refusal.value.message_dict


@pytest.mark.parametrize(
    "url", ["https://example.com/hook?a=1", "https://93.184.216.34:8443/", "https://[2606:4700::1]/"]
)
def test_public_addresses_are_taken(url: str) -> None:
    check_url(url)


def test_http_leaves_this_machine_never(settings: Any) -> None:
    settings.WEBHOOKS_TO_PRIVATE_ADDRESSES = True
    check_url("http://127.0.0.1:8080/hook")
    check_url("https://10.0.0.7/hook")
    for url in ("http://10.0.0.7/hook", "http://example.com/hook"):
        with pytest.raises(ValidationError):
            check_url(url)


def test_who_drips_is_cut_off(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that sends a byte now and then keeps no worker longer than the deadline."""
    settings.WEBHOOKS_TO_PRIVATE_ADDRESSES = True
    monkeypatch.setattr(posting, "DEADLINE", 0.5)

    class Dripping(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                for _ in range(100):
                    self.request.sendall(b"H")
                    time.sleep(0.05)
            except OSError:
                pass

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Dripping)
    with serving(server):
        began = time.monotonic()
        answer = post(f"http://127.0.0.1:{server.server_address[1]}/", b"{}", {})
    assert answer.status is None
    assert time.monotonic() - began < 3
