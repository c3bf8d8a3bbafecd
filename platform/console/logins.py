"""How many logins may go wrong."""

from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from axes.attempts import get_cool_off_threshold
from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.db.models import Sum
from django.http import HttpRequest


class LoginLimits(AxesDatabaseHandler):
    """Beside the limit of one account at one address, an address has one for all accounts together: a password that is
    tried once on each of many accounts locks none of them."""

    def get_failures(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        """Of the account at the request's address; as many as lock it once the address has had too many."""
        failures: int = super().get_failures(request, credentials)
        if _failures_at_address(request) < settings.LOGIN_FAILURES_PER_ADDRESS:
            return failures
        return max(failures, settings.AXES_FAILURE_LIMIT)


def _failures_at_address(request: Any) -> int:
    """Failed logins within AXES_COOLOFF_TIME; 0 where the address is unknown, as behind a socket."""
    if not request.axes_ip_address:
        return 0
    attempts = AccessAttempt.objects.filter(
        ip_address__range=_network(request.axes_ip_address), attempt_time__gte=get_cool_off_threshold(request)
    )
    return attempts.aggregate(failures=Sum("failures_since_start", default=0))["failures"]


def _network(address: str) -> tuple[str, str]:
    """First and last address of the one household or office that has this one: of IPv6 it has the last 64 bits."""
    found = ip_address(address)
    is_shared = isinstance(found, IPv6Address) and found.ipv4_mapped is None
    network = ip_network((found, 64 if is_shared else found.max_prefixlen), strict=False)
    return str(network[0]), str(network[-1])
