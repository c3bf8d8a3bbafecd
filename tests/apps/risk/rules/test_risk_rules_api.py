"""The desk's rules over the API: drafts, shadow, publishing, history, what is refused, and who may do it."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import ProgrammingError, connection, transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from apps.risk.models import RiskRuleChange
from apps.risk.rules import evaluation
from apps.risk.rules.counting import count_hits
from apps.risk.rules.evaluation import Judgement, judge
from decisions.services import record_decision
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.secrets import subject_key
from tests.conftest import ApiClient
from tests.queries import CapturedQueries

LARGE = {"name": "Large at night", "expression": "amount > 500 and hour < 5", "action": "review"}
FACTS = {"amount": 620.0, "hour": 3.5, "country": "DE", "properties": {}}


def make(api: ApiClient, *, then: str = "", **body: Any) -> dict[str, Any]:
    answer = api.post("risk/rules", LARGE | body)
    assert answer.status_code == 201, answer.content
    if then:
        answer = api.post(f"risk/rules/{answer.json()['id']}/{then}", {})
        assert answer.status_code == 200, answer.content
    made: dict[str, Any] = answer.json()
    return made


def judged(tenant: Tenant, **facts: Any) -> Judgement:
    with tenant_scope(tenant.id):
        (judgement,) = judge([FACTS | facts])
        return judgement


def test_a_rule_is_a_draft_then_a_shadow_then_live(tenant: Tenant, api: ApiClient) -> None:
    rule = make(api)
    assert (rule["key"], rule["mode"], rule["version"], rule["severity"]) == ("large-at-night", "draft", 1, "medium")
    assert rule["hits_7d"] == {"live": 0, "shadow": 0}
    assert judged(tenant) == Judgement([], [])

    assert api.post(f"risk/rules/{rule['id']}/shadow", {}).json()["mode"] == "shadow"
    judgement = judged(tenant)
    assert judgement.hits == []
    assert [hit.key for hit in judgement.shadow_hits] == ["large-at-night"]

    assert api.post(f"risk/rules/{rule['id']}/publish", {}).json()["version"] == 3
    (hit,) = judged(tenant).hits
    assert (hit.key, hit.name, hit.version, hit.action) == ("large-at-night", "Large at night", 3, "review")
    assert judged(tenant, amount=10.0) == Judgement([], [])

    assert api.post(f"risk/rules/{rule['id']}/unpublish", {}).json()["mode"] == "draft"
    assert judged(tenant) == Judgement([], [])
    assert api.delete(f"risk/rules/{rule['id']}").status_code == 204
    assert api.get(f"risk/rules/{rule['id']}").json()["is_removed"] is True
    assert api.post(f"risk/rules/{rule['id']}/publish", {}).status_code == 409


def test_a_rule_holds_within_its_schedule_and_hits_come_by_priority(tenant: Tenant, api: ApiClient) -> None:
    make(api, then="publish", name="Later", starts_at="2100-01-01T00:00:00Z")
    make(api, then="publish", name="Low", action="alert", priority=-1)
    make(api, then="publish", name="High", action="decline", priority=5)
    assert [hit.name for hit in judged(tenant).hits] == ["High", "Low"]
    ended = make(api, name="Ended", ends_at="2020-01-01T00:00:00Z")
    answer = api.post(f"risk/rules/{ended['id']}/publish", {})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "ends_at"


def test_another_process_judges_by_a_change_after_a_second(tenant: Tenant, api: ApiClient) -> None:
    rule = make(api, then="publish")
    assert judged(tenant).hits
    with tenant_scope(tenant.id):
        remembered = evaluation.published_book()
        api.post(f"risk/rules/{rule['id']}/unpublish", {})
        evaluation._book.get(None, lambda: remembered)
    assert judged(tenant).hits
    time.sleep(evaluation.BOOK_SECONDS)
    assert not judged(tenant).hits


def test_judging_takes_one_statement_a_second_and_one_where_there_are_lists(tenant: Tenant, api: ApiClient) -> None:
    make(api, then="publish")
    evaluation._book.clear()
    with tenant_scope(tenant.id), CapturedQueries() as queries:
        judge([FACTS])
        judge([FACTS, FACTS | {"amount": 1.0}])
    assert len(queries) == 1
    listed = api.post("risk/lists", {"name": "far", "kind": "watch", "field": "country"}).json()
    api.post(f"risk/lists/{listed['id']}/entries", {"entries": [{"value": "DE"}]})
    evaluation._book.clear()
    with tenant_scope(tenant.id), CapturedQueries() as queries:
        (judgement,) = judge([FACTS])
        assert [hit.key for hit in judgement.hits] == ["list:far", "large-at-night"]
        assert [len(each.hits) for each in judge([FACTS, FACTS | {"country": "FR"}])] == [2, 1]
    assert len(queries) == 3


def test_one_unusable_rule_takes_no_answer_with_it(tenant: Tenant, api: ApiClient) -> None:
    make(api, then="publish")
    broken = make(api, then="publish", name="Broken")
    with tenant_scope(tenant.id), connection.cursor() as cursor:
        cursor.execute("UPDATE risk_riskrule SET expression = 'gone > 1' WHERE id = %s", [broken["id"]])
    evaluation._book.clear()
    assert [hit.name for hit in judged(tenant).hits] == ["Large at night"]


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"expression": "amuont > 5"}, "expression", "column 1: 'amuont' is unknown; did you mean 'amount'?"),
        ({"expression": 'in_list("gone", card)'}, "expression", "column 1: there is no list 'gone'"),
        ({"action": "block"}, "action", "block"),
        ({"severity": "huge"}, "severity", "huge"),
        ({"priority": 5000}, "priority", "1000"),
        ({"starts_at": "2030-01-02T00:00:00Z", "ends_at": "2030-01-01T00:00:00Z"}, "ends_at", "after starts_at"),
        ({"threshold": 1}, "threshold", "is not a field; known are"),
    ],
)
def test_bad_rules_are_refused_by_field(api: ApiClient, changes: dict[str, Any], field: str, message: str) -> None:
    answer = api.post("risk/rules", LARGE | changes)
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["field"] == field
    assert message in error["message"]


def test_each_change_is_kept_and_a_version_can_be_restored(tenant: Tenant, api: ApiClient) -> None:
    rule = make(api, then="publish")
    changed = api.patch(f"risk/rules/{rule['id']}", {"expression": "amount > 1000"}).json()
    assert (changed["version"], changed["mode"]) == (3, "live")
    assert not judged(tenant).hits
    restored = api.post(f"risk/rules/{rule['id']}/restore", {"version": 1}).json()
    assert (restored["expression"], restored["mode"], restored["version"]) == (LARGE["expression"], "live", 4)
    changes = api.get(f"risk/rules/{rule['id']}/changes").json()["results"]
    assert [change["action"] for change in changes] == ["restored", "changed", "published", "created"]
    assert changes[1]["differences"] == [
        {"name": "expression", "before": LARGE["expression"], "after": "amount > 1000"}
    ]
    assert all(change["actor"].startswith("API key ") for change in changes)
    api.delete(f"risk/rules/{rule['id']}")
    back = api.post(f"risk/rules/{rule['id']}/restore", {"version": 1}).json()
    assert (back["mode"], back["is_removed"]) == ("draft", False)
    assert api.post(f"risk/rules/{rule['id']}/restore", {"version": 99}).status_code == 404
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic(), tenant_scope(tenant.id):
        RiskRuleChange.objects.update(actor="nobody")


def test_who_saw_an_older_version_undoes_nothing(api: ApiClient) -> None:
    rule = make(api)
    path = f"risk/rules/{rule['id']}"
    assert api.patch(path, {"version": 1, "expression": "amount > 1000"}).json()["version"] == 2
    late = api.patch(path, {"version": 1, "priority": 7})
    assert late.status_code == 409
    assert "at version 2, not 1" in late.json()["detail"]
    assert api.patch(path, {"version": 2, "priority": 7}).json()["expression"] == "amount > 1000"
    assert api.patch(path, {"version": "two"}).json()["errors"][0]["field"] == "version"


def test_the_fields_are_named_with_type_and_words(api: ApiClient) -> None:
    fields = {field["name"]: field for field in api.get("risk/fields").json()["fields"]}
    assert fields["amount"]["type"] == "number"
    assert fields["card"]["type"] == "key"
    assert fields["is_night"]["type"] == "boolean"
    assert fields["customer_count_1h"]["group"] == "velocity"
    assert fields["score"]["group"] == "model"
    assert all(field["description"] for field in fields.values())


def test_hits_are_counted_once_by_rule_and_day(tenant: Tenant, api: ApiClient) -> None:
    rule = make(api, then="publish")
    with tenant_scope(tenant.id):
        for shadow in ([], [{"key": rule["key"], "version": 1}]):
            record_decision(
                decision_id=uuid7(),
                application="risk",
                scenario="transactions",
                policy="rules",
                items=[{"id": "review", "rank": 1, "rules": [rule["key"], "list:far"]}],  # type: ignore[typeddict-item]
                request={"shadow_rules": shadow},
                latency_ms=1.0,
                decided_at=timezone.now(),
            )
        for _ in range(2):
            count_hits(committed_after=timezone.timedelta(0))
    assert api.get("risk/rules").json()["results"][0]["hits_7d"] == {"live": 2, "shadow": 1}


def test_a_dry_run_shows_each_part(tenant: Tenant, api: ApiClient) -> None:
    facts = {"amount": 620, "hour": 3.5, "card": "4711", "properties": {"n": 2}}
    expression = 'amount > 6 * customer_amount_mean_30d or (properties.n == 2 and not in_list("bad cards", card))'
    listed = api.post("risk/lists", {"name": "bad cards", "kind": "deny", "field": "card"}).json()
    answer = api.post("risk/rules/dry-run", {"expression": expression, "facts": facts})
    assert answer.status_code == 200, answer.content
    values = {part["text"]: part["value"] for part in answer.json()["parts"]}
    assert answer.json()["holds"] is True
    assert values["amount > 6 * customer_amount_mean_30d"] is False
    assert values["customer_amount_mean_30d"] is None
    assert values["properties.n"] == 2
    assert values['in_list("bad cards", card)'] is False
    api.post(f"risk/lists/{listed['id']}/entries", {"entries": [{"value": "4711"}]})
    assert api.post("risk/rules/dry-run", {"expression": expression, "facts": facts}).json()["holds"] is False

    rule = make(api)
    assert api.post("risk/rules/dry-run", {"rule": rule["id"], "facts": facts}).json()["holds"] is True
    for body in (
        {"expression": "amount >", "facts": facts},
        {"expression": "amount > 1", "facts": {"amuont": 1}},
        {"expression": "amount > 1"},
        {"facts": facts},
        {"expression": "amount > 1", "rule": rule["id"], "facts": facts},
    ):
        assert api.post("risk/rules/dry-run", body).status_code == 400
    assert api.post("risk/rules/dry-run", {"expression": "amount > 1", "transaction_id": "no"}).status_code == 404


def test_another_tenant_sees_and_reaches_nothing(tenant: Tenant, api: ApiClient, other_api: ApiClient) -> None:
    rule = make(api, then="publish")
    listed = api.post("risk/lists", {"name": "cards", "kind": "deny", "field": "card"}).json()
    assert other_api.get("risk/rules").json()["results"] == []
    assert other_api.get("risk/lists").json()["results"] == []
    for answer in (
        other_api.get(f"risk/rules/{rule['id']}"),
        other_api.get(f"risk/rules/{rule['id']}/changes"),
        other_api.patch(f"risk/rules/{rule['id']}", {"name": "mine"}),
        other_api.post(f"risk/rules/{rule['id']}/unpublish", {}),
        other_api.post(f"risk/rules/{rule['id']}/restore", {"version": 1}),
        other_api.delete(f"risk/rules/{rule['id']}"),
        other_api.post("risk/rules/dry-run", {"rule": rule["id"], "facts": {}}),
        other_api.get(f"risk/lists/{listed['id']}"),
        other_api.post(f"risk/lists/{listed['id']}/entries", {"entries": [{"value": "x"}]}),
        other_api.delete(f"risk/lists/{listed['id']}"),
    ):
        assert answer.status_code == 404
    assert api.get(f"risk/rules/{rule['id']}").json() == rule


def test_each_call_needs_its_scope(api: ApiClient, client_with_scopes: Callable[..., ApiClient]) -> None:
    rule = make(api)
    reader = client_with_scopes("risk-rules:read")
    assert reader.get(f"risk/rules/{rule['id']}").status_code == 200
    assert reader.post("risk/rules/dry-run", {"rule": rule["id"], "facts": {}}).status_code == 200
    for answer in (
        reader.post("risk/rules", LARGE),
        reader.patch(f"risk/rules/{rule['id']}", {"name": "mine"}),
        reader.post(f"risk/rules/{rule['id']}/publish", {}),
        reader.post(f"risk/rules/{rule['id']}/shadow", {}),
        reader.delete(f"risk/rules/{rule['id']}"),
        reader.post("risk/lists", {"name": "cards", "kind": "deny", "field": "card"}),
    ):
        assert answer.status_code == 403
    assert client_with_scopes("rules:read").get("risk/rules").status_code == 403


def test_lists_act_by_their_kind_and_keep_no_raw_card(tenant: Tenant, api: ApiClient) -> None:
    cards = api.post("risk/lists", {"name": "blocked cards", "kind": "deny", "field": "card"}).json()
    added = api.post(
        f"risk/lists/{cards['id']}/entries",
        {"entries": [{"value": "4711", "note": "stolen"}, {"value": "0815"}, {"value": "4711", "note": "lost"}]},
    )
    assert added.json() == {"added": 2, "updated": 0}
    assert api.post(f"risk/lists/{cards['id']}/entries", {"entries": [{"value": "0815"}]}).json()["updated"] == 1
    entries = api.get(f"risk/lists/{cards['id']}/entries").json()["results"]
    with tenant_scope(tenant.id):
        keys = {raw: subject_key("card", raw).hex() for raw in ("4711", "0815")}
    assert {entry["value"]: entry["note"] for entry in entries} == {keys["4711"]: "lost", keys["0815"]: ""}
    assert api.get(f"risk/lists/{cards['id']}").json()["entries"] == 2
    found = {value: api.get(f"risk/lists/{cards['id']}/entries?value={value}").json() for value in ("4711", "1")}
    assert [entry["note"] for entry in found["4711"]["results"]] == ["lost"]
    assert found["1"]["results"] == []

    rule = make(api, then="publish", name="Listed", expression='in_list("blocked cards", card) and amount > 1')
    hits = judged(tenant, card=keys["4711"]).hits
    assert [(hit.key, hit.action) for hit in hits] == [("list:blocked cards", "decline"), ("listed", "review")]
    assert not judged(tenant, card="other").hits
    assert not judged(tenant, counterparty=keys["4711"]).hits

    refused = api.delete(f"risk/lists/{cards['id']}")
    assert refused.status_code == 409
    assert "listed" in refused.json()["detail"]
    api.delete(f"risk/rules/{rule['id']}")
    stolen = next(entry for entry in entries if entry["note"] == "lost")
    assert api.delete(f"risk/lists/{cards['id']}/entries/{stolen['id']}").status_code == 204
    assert not judged(tenant, card=keys["4711"]).hits
    assert api.delete(f"risk/lists/{cards['id']}").status_code == 204
    assert api.get(f"risk/lists/{cards['id']}").status_code == 404


def test_ten_thousand_entries_go_in_at_once_and_bad_ones_are_named(tenant: Tenant, api: ApiClient) -> None:
    shops = api.post("risk/lists", {"name": "shops", "kind": "watch", "field": "counterparty"}).json()
    address = f"risk/lists/{shops['id']}/entries"
    many = [{"value": f"T-{number}"} for number in range(10_000)]
    assert api.post(address, {"entries": many}).json() == {"added": 10_000, "updated": 0}
    assert api.post(address, {"entries": [*many, {"value": "more"}]}).status_code == 400
    assert api.post(address, {"entries": []}).status_code == 400
    past = api.post(address, {"entries": [{"value": "x", "expires_at": "2020-01-01T00:00:00Z"}]})
    assert past.status_code == 400
    assert "has passed" in past.json()["detail"]
    assert [hit.action for hit in judged(tenant, counterparty="T-17").hits] == ["alert"]
    again = api.post("risk/lists", {"name": "shops", "kind": "deny", "field": "card"})
    assert again.json()["errors"][0]["field"] == "name"
    wrong = api.post("risk/rules", LARGE | {"expression": 'in_list("shops", card)'})
    assert "holds values of counterparty, not card" in wrong.json()["detail"]


def test_entries_are_read_as_transactions_are_or_none_would_ever_meet_them(tenant: Tenant, api: ApiClient) -> None:
    def add(field: str, value: str) -> Any:
        listed = api.post("risk/lists", {"name": f"{field} {value}", "kind": "deny", "field": field}).json()
        return api.post(f"risk/lists/{listed['id']}/entries", {"entries": [{"value": "DE"}, {"value": value}]})

    assert add("counterparty", " T-1 ").status_code == 200
    assert [hit.action for hit in judged(tenant, counterparty="T-1").hits] == ["decline"]
    for field, value, cure in (
        ("country", "germany", "of two upper-case letters"),
        ("subject", "null", "stands for no one"),
        ("card", " ", "must have 1 to 200 characters"),
    ):
        refused = add(field, value)
        assert refused.status_code == 400
        assert "[1].value" in refused.json()["detail"]
        assert cure in refused.json()["detail"]


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({"amount": "much"}, "'amount' must be a number, not text"),
        ({"amount": True}, "'amount' must be a number, not true or false"),
        ({"amount": 10**400}, "'amount' must lie within"),
        ({"is_night": "maybe"}, "'is_night' must be true or false"),
        ({"country": ["DE"]}, "'country' must be a string, not a list"),
        ({"card": {}}, "'card' must be a string"),
        ({"properties": 5}, "'properties' must be a JSON object"),
    ],
)
def test_made_up_facts_that_no_transaction_could_have_are_named(
    api: ApiClient, facts: dict[str, Any], problem: str
) -> None:
    answer = api.post("risk/rules/dry-run", {"expression": "amount > 1 or is_night", "facts": facts})
    assert answer.status_code == 400
    assert problem in answer.json()["errors"][0]["message"]


def test_an_expired_entry_is_none(tenant: Tenant, api: ApiClient) -> None:
    shops = api.post("risk/lists", {"name": "shops", "kind": "allow", "field": "counterparty"}).json()
    api.post(f"risk/lists/{shops['id']}/entries", {"entries": [{"value": "T-1", "expires_at": "2100-01-01T00:00:00Z"}]})
    assert [hit.action for hit in judged(tenant, counterparty="T-1").hits] == ["approve"]
    with tenant_scope(tenant.id), connection.cursor() as cursor:
        cursor.execute("UPDATE risk_listentry SET expires_at = now() - interval '1 minute'")
    assert not judged(tenant, counterparty="T-1").hits
