"""Which traffic counts for nothing: programs, the business itself, and clicks that no reader makes."""

import ipaddress
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from apps.ads.settings import AdSettings

# Why nothing counts that an advertiser's own people see and click, or those of the business.
OWN = "self_click"
# Readers share few browsers, so what these say of themselves is mostly known already.
MOST_AGENTS = 2_000
# Words by which programs name themselves, and tools that are not browsers.
_BOT = re.compile(
    r"bot\b|bot[/;]|crawl|spider|slurp|scrap|headless|phantomjs|selenium|puppeteer|playwright|lighthouse|preview|monitor|"
    r"^(curl|wget|python|java|go-http|okhttp|libwww|httpie|axios|node|ruby|perl|php)\b",
    re.IGNORECASE,
)
_TABLET = re.compile(r"ipad|tablet|kindle|silk|playbook|android(?!.*mobile)", re.IGNORECASE)
_MOBILE = re.compile(r"mobi|iphone|ipod|android|windows phone", re.IGNORECASE)


@lru_cache(maxsize=MOST_AGENTS)
def is_bot(user_agent: str) -> bool:
    return bool(_BOT.search(user_agent))


@lru_cache(maxsize=MOST_AGENTS)
def device_of(user_agent: str) -> str:
    """`tablet`, `mobile` or `desktop`, as far as the browser says."""
    if _TABLET.search(user_agent):
        return "tablet"
    return "mobile" if _MOBILE.search(user_agent) else "desktop"


def visitor_problem(user_agent: str, address: str, settings: AdSettings) -> str | None:
    """Why nothing of this visitor counts: `bot`, `no_user_agent` or `self_click`; None where it does."""
    if not user_agent.strip():
        return "no_user_agent"
    if is_bot(user_agent):
        return "bot"
    return OWN if is_within(address, settings.own_networks) else None


def click_problem(
    delivery: dict[str, Any], *, now: datetime, clicks_of_subject: int, settings: AdSettings
) -> str | None:
    """Why a click does not count: `not_seen`, `too_fast` or `too_many`; None where it does."""
    if delivery["impression_at"] is None:
        return "not_seen"
    if now - delivery["impression_at"] < timedelta(milliseconds=settings.fastest_click_ms):
        return "too_fast"
    return "too_many" if clicks_of_subject >= settings.most_clicks_an_hour else None


def is_within(address: str, networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in networks)
