"""Scenarios in the console: made, edited by fields or JSON, previewed, undone, judged."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from behavior.popularity import refresh_item_popularity
from catalog.services import upsert_items
from decisions.counting import refresh_kpi
from decisions.editing import scenario_changes
from decisions.models import Decision, Scenario
from decisions.services import define_scenario
from tenancy.models import Role, Tenant
from tenancy.scope import tenant_scope
from tests.database import connected_as
from tests.platform.console.furnishing import Furnished, send, view

PAGE = "/console/decisions/scenario"


class Shop:
    """A tenant with three items, of which lamps are viewed most, and a scenario of what is popular."""

    def __init__(self, tenant: Tenant, client: Client) -> None:
        self.tenant, self.client = tenant, client
        items = [("lamp", 3), ("desk", 2), ("rug", 1)]
        with connected_as("app"), tenant_scope(tenant.id):
            upsert_items([{"id": item, "title": f"A {item}", "price": 9.5, "currency": "EUR"} for item, _ in items])
            self.scenario = define_scenario(key="best", name="Best", application="recommendation", kind="popular")
        views = [(item, number) for item, times in items for number in range(times)]
        send(tenant, *(view(f"{item}-{number}", item_id=item) for item, number in views))
        with connected_as("app"), tenant_scope(tenant.id):
            refresh_item_popularity()

    @property
    def page(self) -> str:
        return f"{PAGE}/{self.scenario.pk}"

    def fresh(self) -> Scenario:
        with connected_as("owner"), tenant_scope(self.tenant.id):
            return Scenario.objects.get(pk=self.scenario.pk)

    def form(self, **changes: str) -> dict[str, str]:
        """What the browser would send for the page as it is, with some inputs changed."""
        html = self.client.get(f"{self.page}/change/").content.decode()
        form = self.client.get(f"{self.page}/change/").context["adminform"].form
        assert 'name="setting_temperature"' in html
        values = {name: form[name].value() for name in form.fields}
        sent = {name: str(value) for name, value in values.items() if value is not None and value is not False}
        sent |= {name: "on" for name, value in values.items() if value is True}
        return sent | changes

    def preview(self, **values: str) -> tuple[list[str], list[str]]:
        """Items of the list now and of the list with the changes."""
        html = self.client.post(f"{self.page}/preview/", self.form(**values)).content.decode()
        now, then = html.split('aria-label="With your changes"')
        return re.findall('data-item="([^"]+)"', now), re.findall('data-item="([^"]+)"', then)


@pytest.fixture
def shop(tenant: Tenant, as_role: Callable[[Role], Client]) -> Shop:
    return Shop(tenant, as_role(Role.OPERATOR))


# Made and edited -----------------------------------------------------------------------------------------------------


def test_a_scenario_is_made_and_opened(tenant: Tenant, as_role: Callable[[Role], Client]) -> None:
    values = {"name": "Cart", "key": "cart", "kind": "recommendation/similar", "settings": "{}", "is_active": "on"}
    page = as_role(Role.OPERATOR).post(f"{PAGE}/add/", values, follow=True).content.decode()
    assert "Cart is made" in page
    with connected_as("owner"), tenant_scope(tenant.id):
        made = Scenario.objects.get(key="cart")
        assert (made.application, made.kind, made.is_active) == ("recommendation", "similar", True)
        assert scenario_changes("cart")[0].actor == f"operator@{tenant.slug}.example"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"key": "best"}, "choose another one"),
        ({"key": "not a key"}, "valid"),
        ({"kind": "recommendation/telepathy"}, "Select a valid choice"),
        ({"settings": '{"temprature": 1}'}, "temprature: is not a setting"),
        ({"settings": "[]"}, "JSON object"),
    ],
)
def test_a_scenario_that_cannot_be_made_says_why(shop: Shop, changes: dict[str, str], complaint: str) -> None:
    values = {"name": "New", "key": "new", "kind": "recommendation/popular", "settings": "{}"} | changes
    page = shop.client.post(f"{PAGE}/add/", values).content.decode()
    assert complaint in page
    with connected_as("owner"), tenant_scope(shop.tenant.id):
        assert Scenario.objects.count() == 1


@pytest.mark.parametrize(
    ("kind", "has", "lacks"),
    [
        ("popular", "popular_days", "meaning personalisation trend_days viewed_types"),
        ("trending", "trend_days", "meaning viewed_types"),
        ("recently_viewed", "viewed_types", "trend_days"),
        ("search", "meaning personalisation temperature filter", "diversity exclude_bought_days rotation_rate"),
        ("ranking", "event_weights require_known_items", "meaning personalisation price fill"),
    ],
)
def test_the_form_has_the_settings_that_count_for_the_kind(shop: Shop, kind: str, has: str, lacks: str) -> None:
    with connected_as("app"), tenant_scope(shop.tenant.id):
        Scenario.objects.filter(pk=shop.scenario.pk).update(kind=kind, settings={"diversity": 0.5, "popular_days": 9})

    fields = shop.client.get(f"{shop.page}/change/").context["adminform"].form.fields
    assert all(f"setting_{name}" in fields for name in has.split())
    assert not any(f"setting_{name}" in fields for name in lacks.split())
    # What has no field stays as it was.
    shop.client.post(f"{shop.page}/change/", shop.form(setting_popular_days="8"))
    assert shop.fresh().settings == {"diversity": 0.5, "popular_days": 8}


def test_only_settings_that_differ_from_the_default_are_kept(shop: Shop) -> None:
    shop.client.post(f"{shop.page}/change/", shop.form(setting_popular_days="7", setting_exclude_seen="on"))
    assert shop.fresh().settings == {"popular_days": 7, "exclude_seen": True}

    back = shop.form(setting_popular_days="30", setting_event_weights="view: 1\npurchase: 2.5")
    shop.client.post(f"{shop.page}/change/", back)
    assert shop.fresh().settings == {"exclude_seen": True, "event_weights": {"view": 1.0, "purchase": 2.5}}

    shop.client.post(f"{shop.page}/change/", shop.form(setting_event_weights="", setting_bought_types="order, pay"))
    assert shop.fresh().settings == {"exclude_seen": True, "bought_types": ["order", "pay"]}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"setting_popular_days": "0"}, "must be a whole number of days from 1 to 3650"),
        ({"setting_popular_days": "many"}, "Enter a whole number"),
        ({"setting_event_weights": "view = 1"}, "is not a name and a number"),
        ({"setting_filter": '{"eq": {"field": "colour", "value": 1}}'}, "colour"),
        ({"settings": '{"popular_days": 0}'}, "popular_days: must be"),
        ({"settings": '{"popular_days": 7}', "setting_temperature": "1"}, "was changed here and in the fields above"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_and_changes_nothing(
    shop: Shop, changes: dict[str, str], complaint: str
) -> None:
    page = shop.client.post(f"{shop.page}/change/", shop.form(**changes)).content.decode()
    assert complaint in page
    assert shop.fresh().settings == {}


def test_the_expert_view_takes_json(shop: Shop) -> None:
    shop.client.post(f"{shop.page}/change/", shop.form(settings='{"popular_days": 3}'))
    assert shop.fresh().settings == {"popular_days": 3}


def test_an_operator_does_not_overwrite_another_ones_change(shop: Shop) -> None:
    early = shop.form(name="Mine")
    shop.client.post(f"{shop.page}/change/", shop.form(name="Theirs"))
    page = shop.client.post(f"{shop.page}/change/", early).content.decode()
    assert "has changed this scenario since you opened it" in page
    assert shop.fresh().name == "Theirs"


def test_a_change_is_in_the_history_and_is_undone(shop: Shop) -> None:
    page = shop.client.post(f"{shop.page}/change/", shop.form(setting_popular_days="7"), follow=True).content.decode()
    assert "settings.popular_days: default → 7" in page
    assert f"operator@{shop.tenant.slug}.example" in page

    [undo] = re.findall(rf'action="({shop.page}/undo/[^"]+)"', page)
    assert "as it was before this change" in shop.client.post(undo, follow=True).content.decode()
    assert shop.fresh().settings == {}
    assert shop.client.get(undo).status_code == 403


def test_a_duplicate_is_made_switched_off(shop: Shop) -> None:
    shop.client.post(f"{shop.page}/change/", shop.form(setting_popular_days="7"))
    form = shop.client.get(f"{shop.page}/duplicate/", follow=True).context["adminform"].form
    values = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    assert values["settings"] == {"popular_days": 7}
    assert (values["key"], values["kind"], values["is_active"]) == ("best-copy", "recommendation/popular", False)


# Preview -------------------------------------------------------------------------------------------------------------


def test_the_preview_shows_the_list_now_and_with_the_changes(shop: Shop) -> None:
    assert shop.preview() == (["lamp", "desk", "rug"], ["lamp", "desk", "rug"])
    only_rugs = '{"eq": {"field": "title", "value": "A rug"}}'
    assert shop.preview(setting_filter=only_rugs) == (["lamp", "desk", "rug"], ["rug"])
    # In the shop everything was viewed by u1.
    assert shop.preview(setting_exclude_seen="on", preview_kind="user_id", preview_id="u1")[1] == []
    assert shop.preview(setting_exclude_seen="on", preview_kind="user_id", preview_id="u2")[1] == [
        "lamp",
        "desk",
        "rug",
    ]


def test_a_preview_says_what_moves_and_why(shop: Shop) -> None:
    no_lamp = '{"not": {"eq": {"field": "title", "value": "A lamp"}}}'
    html = shop.client.post(f"{shop.page}/preview/", shop.form(setting_filter=no_lamp)).content.decode()
    for text in ("leaves", "▲ 1", "popular with others", "9.50 EUR", "1. A desk"):
        assert text in html


def test_a_preview_records_and_changes_nothing(shop: Shop) -> None:
    shop.preview(setting_popular_days="7", name="Another name")
    assert (shop.fresh().name, shop.fresh().settings) == ("Best", {})
    with connected_as("owner"), tenant_scope(shop.tenant.id):
        assert not Decision.objects.exists()
        assert not scenario_changes("best").exists()


def test_a_subject_that_was_active_lately_can_be_chosen(shop: Shop) -> None:
    page = shop.client.get(f"{shop.page}/change/").content.decode()
    [key] = re.findall('value="(key:[0-9a-f]{64})"', page)
    assert shop.preview(setting_exclude_seen="on", preview_kind=key)[1] == []


def test_a_scenario_that_is_switched_off_is_previewed_all_the_same(shop: Shop) -> None:
    shop.client.post(f"{shop.page}/change/", {name: v for name, v in shop.form().items() if name != "is_active"})
    assert shop.fresh().is_active is False
    assert shop.preview()[0] == ["lamp", "desk", "rug"]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"setting_popular_days": "0"}, "Popularity looks back, days: must be a whole number"),
        ({"preview_kind": "user_id"}, "Write the id"),
        ({"preview_kind": "user_id", "preview_id": "null"}, "The id"),
        ({"preview_kind": "key:nonsense"}, "choose another one"),
        ({"preview_page": "x" * 201}, "cannot be that"),
    ],
)
def test_a_preview_that_cannot_be_made_says_why(shop: Shop, changes: dict[str, str], complaint: str) -> None:
    answer = shop.client.post(f"{shop.page}/preview/", shop.form(**changes))
    assert answer.status_code == 200
    assert complaint in answer.content.decode()


def test_pictures_are_shown_only_from_hosts_that_are_allowed(shop: Shop, settings: Any) -> None:
    pictures = {"lamp": "https://elsewhere.example/a.png", "desk": "https://shop.example/b.png"}
    with connected_as("app"), tenant_scope(shop.tenant.id):
        upsert_items([{"id": item, "title": f"A {item}", "image_url": url} for item, url in pictures.items()])

    def shown() -> set[str]:
        html = shop.client.post(f"{shop.page}/preview/", shop.form()).content.decode()
        return set(re.findall('src="([^"]+)"', html))

    assert shown() == set()
    settings.IMAGE_HOSTS = {"shop.example"}
    assert shown() == {"https://shop.example/b.png"}


@pytest.mark.parametrize("role", [Role.VIEWER, Role.ANALYST])
def test_viewers_and_analysts_neither_preview_nor_undo(
    furnished: Furnished, as_role: Callable[[Role], Client], role: Role
) -> None:
    page = f"{PAGE}/{furnished.scenario.pk}"
    client = as_role(role)
    assert client.post(f"{page}/preview/", {}).status_code == 403
    assert client.post(f"{page}/undo/{furnished.scenario.pk}/").status_code == 403
    assert client.get(f"{PAGE}/add/").status_code == 403
    assert client.get(f"{page}/kpi/").status_code == 200
    assert "preview_form" not in client.get(f"{page}/change/").content.decode()


def test_another_tenants_scenario_is_not_there(shop: Shop, other_tenant: Tenant) -> None:
    with connected_as("app"), tenant_scope(other_tenant.id):
        foreign = define_scenario(key="home", name="Home", application="recommendation", kind="popular")
    for address in ("preview/", "kpi/", f"undo/{foreign.pk}/"):
        assert shop.client.post(f"{PAGE}/{foreign.pk}/{address}").status_code == 404


# KPI -----------------------------------------------------------------------------------------------------------------


def figures(html: str) -> dict[str, str]:
    return dict(re.findall(r'data-figure="([^"]+)">.*?text-important">([^<]*)<', html, flags=re.DOTALL))


def test_the_kpi_page_shows_what_came_of_the_lists(furnished: Furnished, as_role: Callable[[Role], Client]) -> None:
    page = f"{PAGE}/{furnished.scenario.pk}/kpi/"
    client = as_role(Role.VIEWER)
    assert "No list of this time has been counted" in client.get(page).content.decode()

    with connected_as("app"), tenant_scope(furnished.tenant.id):
        refresh_kpi(committed_after=timedelta(0))
    for days in ("1", "7", "30", "90", "nonsense"):
        html = client.get(f"{page}?days={days}").content.decode()
        shown = figures(html)
        assert (shown["Lists served"], shown["Lists with a click"]) == ("1", "100.00 %")
        assert (shown["Coverage"], shown["Lists with a purchase"]) == ("100.0 %", "0.00 %")
        assert "Fewer than 100 lists" in html


def test_the_list_links_nothing_that_a_role_may_not_open(shop: Shop, as_role: Callable[[Role], Client]) -> None:
    viewer: Any = as_role(Role.VIEWER).get(f"{shop.page}/change/").content.decode()
    assert f"{shop.page}/kpi/" in viewer
    assert f"{shop.page}/duplicate/" not in viewer
