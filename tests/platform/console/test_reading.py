"""What makes pages easy to read: times with their zone, figures with their unit, names, and the next step."""

import re
from collections.abc import Callable

import pytest
from django.test import Client
from django.utils import timezone

from console.figures import amount, percent
from tenancy.models import Role
from tests.platform.console.furnishing import Furnished


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "—"), (0.0, "0.00"), (2.5900000000000003, "2.59"), (1250.0, "1,250.00"), (0.0005, "0.0005")],
)
def test_an_amount_is_written_with_two_places_unless_these_say_nothing(value: float | None, shown: str) -> None:
    assert amount(value) == shown


def test_a_figure_carries_its_unit() -> None:
    assert amount(12.5, "EUR") == "12.50 EUR"
    assert percent(0.125) == "12.50 %"
    assert percent(0.25510204081632654, 0) == "26 %"
    assert percent(0.02, 0, "+") == "+2 %"
    assert percent(None) == "—"


def test_times_name_their_zone(furnished: Furnished, as_role: Callable[[Role], Client]) -> None:
    client = as_role(Role.ADMIN)
    moment = r">\s*\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\s*<"
    assert re.search(moment, client.get("/console/behavior/event/").content.decode())
    furnished.membership.user.last_login = timezone.now()
    furnished.membership.user.save()
    member = client.get(f"/console/tenancy/membership/{furnished.membership.pk}/change/").content.decode()
    assert len(re.findall(moment, member)) == 2
    assert 'aria-label="Time (UTC)"' in client.get("/console/tenancy/apikey/add/").content.decode()


def test_an_empty_list_offers_the_first_row_to_whoever_may_add_it(as_role: Callable[[Role], Client]) -> None:
    page = "/console/webhooks/webhook/"
    assert "Add webhook</a>" in as_role(Role.ADMIN).get(page).content.decode()
    empty = "/console/recommendation/rule/"
    offered = as_role(Role.OPERATOR).get(empty).content.decode()
    assert "Add rule</a>" in offered
    assert 'role="search"' not in offered
    assert "Add rule</a>" not in as_role(Role.VIEWER).get(empty).content.decode()
    searched = as_role(Role.VIEWER).get(f"{empty}?q=nothing").content.decode()
    assert 'role="search"' in searched
    assert "Clear the search" in searched


def test_a_word_in_angle_brackets_is_seen_in_the_help(as_role: Callable[[Role], Client]) -> None:
    page = as_role(Role.OPERATOR).get("/console/ads/flight/add/").content.decode()
    assert "&lt;name&gt;" in page


def test_an_empty_field_of_json_is_empty(as_role: Callable[[Role], Client]) -> None:
    page = as_role(Role.OPERATOR).get("/console/recommendation/rule/add/").content.decode()
    assert re.search(r'<textarea name="context"[^>]*>\s*</textarea>', page)


def test_a_history_names_what_an_object_belongs_to(furnished: Furnished, as_role: Callable[[Role], Client]) -> None:
    page = as_role(Role.VIEWER).get(f"/console/ads/campaign/{furnished.campaign.pk}/change/").content.decode()
    history = page[page.index('id="history"') :]
    assert furnished.advertiser.name in history
    assert str(furnished.advertiser.pk) not in history


def test_a_reply_leads_to_its_conversation_and_decision(
    furnished: Furnished, as_role: Callable[[Role], Client]
) -> None:
    page = as_role(Role.VIEWER).get(f"/console/service/reply/{furnished.reply.pk}/change/").content.decode()
    assert f"/console/service/conversation/{furnished.reply.conversation_id}/change/" in page
    assert f"/console/decisions/decision/{furnished.reply.decision_id}/change/" in page
