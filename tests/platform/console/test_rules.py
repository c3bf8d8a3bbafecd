"""Rules and saved filters as a merchandiser works with them in the console."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apps.recommendation.models import Rule, RuleChange
from apps.recommendation.rules.services import create_rule
from apps.recommendation.services import create_default_scenarios
from catalog.filter_services import put_filter
from catalog.models import SavedFilter
from catalog.services import upsert_items
from tenancy.models import Role, Tenant
from tenancy.scope import tenant_scope
from tests.database import connected_as
from tests.platform.console.furnishing import logged_in, make_operator

RULES = "/console/recommendation/rule/"
FILTERS = "/console/catalog/savedfilter/"
CHEAP = {"range": {"field": "price", "lte": {"param": "max"}}}
FORM = {
    "name": "Lamp first",
    "kind": "pin",
    "position": "1",
    "attribute": "category",
    "target_ids": "lamp",
    "priority": "0",
    "target": "",
    "context": "",
}


@pytest.fixture
def shop(tenant: Tenant) -> Tenant:
    with connected_as("app"), tenant_scope(tenant.id):
        create_default_scenarios()
        upsert_items([{"id": name, "title": name.title(), "price": 5} for name in ("chair", "desk", "lamp", "rug")])
    return tenant


@pytest.fixture
def operator(shop: Tenant, as_role: Callable[[Role], Client]) -> Client:
    return as_role(Role.OPERATOR)


def rule(tenant: Tenant) -> Rule:
    with connected_as("owner"), tenant_scope(tenant.id):
        return Rule.objects.get()


def made(tenant: Tenant, **values: Any) -> Rule:
    target = {"eq": {"field": "id", "value": "rug"}}
    values = {"name": "Rug first", "kind": "pin", "target": target, "values": {"position": 1}} | values
    with connected_as("app"), tenant_scope(tenant.id):
        return create_rule(actor="somebody", **values)


def press(client: Client, rule: Rule, action: str) -> Any:
    return client.post(f"{RULES}{rule.id}/{action}/", {"_form_submitted": "on"})


def test_a_form_that_was_opened_before_a_change_undoes_nothing(shop: Tenant, operator: Client) -> None:
    one = made(shop)
    address = f"{RULES}{one.id}/change/"
    assert '<input type="hidden" name="seen_version" value="1"' in operator.get(address).content.decode()
    operator.post(address, FORM | {"seen_version": "1"})
    refused = operator.post(address, FORM | {"name": "Again", "seen_version": "1"})
    assert "has changed this rule since" in refused.content.decode()
    assert rule(shop).name == "Lamp first"


def test_a_rule_is_written_previewed_published_changed_and_restored(shop: Tenant, operator: Client) -> None:
    assert "No rules yet" in operator.get(RULES).content.decode()
    page = operator.post(f"{RULES}add/", FORM | {"scenarios": ["popular"], "weekdays": ["1"]}, follow=True)
    assert "The rule is a draft" in page.content.decode()
    draft = rule(shop)
    assert (draft.key, draft.target) == ("lamp-first", {"eq": {"field": "id", "value": "lamp"}})
    assert (draft.values, draft.condition, draft.scenarios) == ({"position": 1}, {"weekdays": [1]}, ["popular"])
    assert draft.created_by == f"operator@{shop.slug}.example"

    operator.post(f"{RULES}{draft.id}/change/", FORM | {"scenarios": ["popular"], "position": "2"})
    assert (rule(shop).values, rule(shop).condition) == ({"position": 2}, {})

    address = f"{RULES}{draft.id}/change/"
    shown = operator.get(f"{address}?preview-scenario=popular&preview-kind=user_id&preview-subject=u1&preview-count=3")
    page = shown.content.decode()
    assert "Without this rule" in page
    assert 'class="console-moved' in page
    before, after = shown.context["shown"]["before"], shown.context["shown"]["after"]
    assert after[1]["id"] == "lamp"
    assert after[1]["rules"] == ["lamp-first"]
    assert all(row["rules"] == [] for row in before)

    press(operator, draft, "publish")
    assert rule(shop).status == "live"
    press(operator, draft, "unpublish")
    assert rule(shop).status == "draft"

    page = operator.get(address).content.decode()
    assert f"{RULES}{draft.id}/restore/1/" in page
    operator.post(f"{RULES}{draft.id}/restore/1/")
    assert rule(shop).values == {"position": 1}
    press(operator, draft, "remove")
    assert rule(shop).status == "removed"
    assert "Lamp first" not in operator.get(RULES).content.decode()
    assert "Lamp first" in operator.get(f"{RULES}?status=removed").content.decode()
    assert operator.get(address).status_code == 200
    operator.post(f"{RULES}{draft.id}/restore/1/")
    assert rule(shop).status == "draft"
    version = rule(shop).version
    with connected_as("owner"), tenant_scope(shop.id):
        assert RuleChange.objects.count() == version == 7


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"position": "0"}, "must be a whole number from 1 to 100"),
        ({"target_ids": ""}, "is needed: the items"),
        ({"target": "{not json"}, "Enter a valid JSON"),
        ({"target": '{"eq": {"field": "colour", "value": 1}}'}, "is not a field"),
        ({"hour_from": "9"}, "must go from an hour"),
        ({"kind": "boost", "factor": "0.5"}, "above 1, at most 100"),
        (
            {"starts_at_0": "2026-02-01", "starts_at_1": "00:00", "ends_at_0": "2026-01-01", "ends_at_1": "00:00"},
            "later",
        ),
    ],
)
def test_a_mistake_in_the_form_is_named_and_nothing_is_stored(
    changes: dict[str, str], complaint: str, shop: Tenant, operator: Client
) -> None:
    page = operator.post(f"{RULES}add/", FORM | changes)
    assert page.status_code == 200
    assert complaint in page.content.decode().replace("&#x27;", "'")
    with connected_as("owner"), tenant_scope(shop.id):
        assert not Rule.objects.exists()


def test_the_form_gives_back_what_the_api_was_told(shop: Tenant, operator: Client) -> None:
    target = {"and": [{"eq": {"field": "brand", "value": "Acme"}}, {"range": {"field": "price", "lte": 80}}]}
    condition = {
        "context": {"device": "mobile"},
        "query": ["lamp"],
        "weekdays": [1, 7],
        "hours": {"from": 9, "until": 12},
    }
    stored = made(
        shop, kind="cap", target=target, values={"attribute": "brand", "limit": 1, "window": 4}, condition=condition
    )
    form = operator.get(f"{RULES}{stored.id}/change/").context["adminform"].form
    shown = {bound.name: bound.value() for bound in form if bound.name not in ("starts_at", "ends_at")}
    data = {name: value for name, value in shown.items() if value not in (None, [], "")}
    page = operator.post(f"{RULES}{stored.id}/change/", data, follow=True)
    assert "The rule is saved" in page.content.decode()
    after = rule(shop)
    assert (after.target, after.values, after.condition) == (target, stored.values, condition)
    assert after.version == 1


def test_warnings_stand_on_the_page_of_a_rule(shop: Tenant, operator: Client) -> None:
    nothing = made(shop, target={"eq": {"field": "brand", "value": "Nobody"}})
    assert "no item that may be shown meets the target" in operator.get(f"{RULES}{nothing.id}/change/").content.decode()


@pytest.mark.parametrize("role", [Role.VIEWER, Role.ANALYST])
def test_others_than_operators_see_rules_and_previews_but_change_nothing(
    role: Role, shop: Tenant, as_role: Callable[[Role], Client]
) -> None:
    stored = made(shop)
    client = as_role(role)
    assert "Rug first" in client.get(RULES).content.decode()
    page = client.get(f"{RULES}{stored.id}/change/?preview-scenario=popular").content.decode()
    assert "Without this rule" in page
    assert "/restore/" not in page
    assert 'name="_save"' not in page
    assert client.post(f"{RULES}add/", FORM).status_code == 403
    assert client.post(f"{RULES}{stored.id}/change/", FORM).status_code == 403
    assert client.post(f"{RULES}{stored.id}/restore/1/").status_code == 403
    for action in ("publish", "remove"):
        assert press(client, stored, action).status_code == 403
    assert rule(shop).version == 1


def test_rules_of_another_tenant_are_out_of_reach(shop: Tenant, other_tenant: Tenant, operator: Client) -> None:
    foreign = made(other_tenant)
    assert operator.get(f"{RULES}{foreign.id}/change/").status_code in (302, 404)
    assert operator.post(f"{RULES}{foreign.id}/restore/1/").status_code == 404
    assert press(operator, foreign, "publish").status_code == 404
    assert "Rug first" not in operator.get(RULES).content.decode()
    assert rule(other_tenant).version == 1


def test_a_filter_is_saved_used_and_removed_only_when_nothing_uses_it(shop: Tenant, operator: Client) -> None:
    body = {
        "key": "cheap",
        "description": "Up to a price",
        "expression": '{"range": {"field": "price", "lte": {"param": "max"}}}',
        "parameters": '{"max": {"type": "number", "default": 80}}',
    }
    page = operator.post(f"{FILTERS}add/", body | {"parameters": "{}"})
    assert "is used in the filter but not declared" in page.content.decode().replace("&#x27;", "'")
    operator.post(f"{FILTERS}add/", body)
    with connected_as("owner"), tenant_scope(shop.id):
        saved = SavedFilter.objects.get()
    assert (saved.expression, saved.updated_by) == (CHEAP, f"operator@{shop.slug}.example")
    assert "There is a saved filter of this key" in operator.post(f"{FILTERS}add/", body).content.decode()

    made(shop, target={"saved": "cheap"})
    address = f"{FILTERS}{saved.id}/"
    body["description"] = "As cheap as it gets"
    operator.post(f"{address}change/", body)
    refused = operator.post(f"{address}change/", body | {"parameters": '{"max": {"type": "number"}}'})
    assert "could no longer do so" in refused.content.decode()
    with connected_as("owner"), tenant_scope(shop.id):
        saved.refresh_from_db()
    assert (saved.description, saved.parameters["max"]) == ("As cheap as it gets", {"type": "number", "default": 80})
    assert "rule &#x27;rug-first&#x27;" in operator.get(f"{address}change/").content.decode()
    operator.post(f"{address}remove/", {"_form_submitted": "on"})
    with connected_as("owner"), tenant_scope(shop.id):
        assert SavedFilter.objects.exists()
        Rule.objects.update(target=None, is_active=False)
    operator.post(f"{address}remove/", {"_form_submitted": "on"})
    with connected_as("owner"), tenant_scope(shop.id):
        assert not SavedFilter.objects.exists()


def test_a_viewer_reads_saved_filters(shop: Tenant) -> None:
    with connected_as("app"), tenant_scope(shop.id):
        saved = put_filter(key="cheap", expression=CHEAP, parameters={"max": {"type": "number"}}, actor="somebody")
    viewer = logged_in(make_operator(shop, Role.VIEWER))
    assert "cheap" in viewer.get(FILTERS).content.decode()
    assert viewer.get(f"{FILTERS}{saved.id}/change/").status_code == 200
    assert viewer.post(f"{FILTERS}{saved.id}/change/", {"expression": "{}"}).status_code == 403
    assert viewer.post(f"{FILTERS}{saved.id}/remove/", {"_form_submitted": "on"}).status_code == 403
