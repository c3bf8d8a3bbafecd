"""What `manage.py check` and commands that run the checks warn of."""

from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register


@register
def api_url_reaches_others(**options: Any) -> list[CheckMessage]:
    """Readers' browsers fetch pixels and clicks from API_URL; on this machine's own address nobody else finds it."""
    others = [host for host in settings.ALLOWED_HOSTS if not _is_this_machine(host.strip("[]"))]
    if not others or not _is_this_machine(urlsplit(settings.API_URL).hostname or ""):
        return []
    hint = f"Set API_URL to where clients reach the API, such as https://{others[0].lstrip('.*') or 'api.example.com'}."
    message = f"Pixels and clicks of ads point at {settings.API_URL}, while ALLOWED_HOSTS names {', '.join(others)}."
    return [Warning(message, hint=hint, id="config.W001")]


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host in {"localhost", "testserver"}
