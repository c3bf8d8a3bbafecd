"""Who is tied to whom, out of the transactions alone."""

from typing import Any

from apps.risk.links.picture import HEIGHT, WIDTH, picture_of
from apps.risk.links.selectors import Links, Node, links_of, sharing_subjects
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.secrets import subject_key
from tests.conftest import ApiClient
from tests.queries import CapturedQueries


def pay(api: ApiClient, number: int, user: str, **things: Any) -> None:
    body = {"transaction_id": f"t-{number}", "subject": {"user_id": user}, "amount": 20.0, "currency": "EUR"}
    assert api.post("risk/assessments", body | things).status_code == 201


def test_a_ring_that_shares_a_device_is_seen(api: ApiClient, other_api: ApiClient) -> None:
    pay(api, 1, "anna", card="c1", device="d1", counterparty="shop")
    for number, user in enumerate(("ben", "carla"), start=2):
        pay(api, number, user, card=f"c{number}", device="d1")
    pay(api, 9, "dora", card="c9", device="d9")
    api.post("risk/labels", {"transaction_id": "t-2", "kind": "fraud"})
    api.post("risk/labels", {"transaction_id": "t-1", "kind": "fraud"})

    found = api.get("risk/links?transaction_id=t-1").json()

    kinds = [node["kind"] for node in found["nodes"]]
    assert sorted(kinds) == ["card", "counterparty", "device", "subject", "subject", "subject"]
    assert kinds[0] == "subject"
    assert [node["frauds"] for node in found["nodes"] if node["kind"] == "subject"] == [1, 1, 0]
    device = next(node["key"] for node in found["nodes"] if node["kind"] == "device")
    assert sum(edge["one"] == device for edge in found["edges"]) == 2
    assert other_api.get("risk/links?transaction_id=t-1").status_code == 404
    assert api.get("risk/links").status_code == 400


def test_who_paid_the_same_mule_is_tied_and_who_paid_a_shop_is_not(api: ApiClient, tenant: Tenant) -> None:
    for number, user in enumerate(("anna", "ben"), start=1):
        pay(api, number, user, counterparty="mule")
    for number, user in enumerate(("anna", "carla", "dora", "emil"), start=10):
        pay(api, number, user, counterparty="shop")
    with tenant_scope(tenant.id):
        anna, ben = (subject_key("user_id", user) for user in ("anna", "ben"))
        assert sharing_subjects(anna, most_subjects=2) == {ben: {"counterparty": 1}}
        links = links_of(anna, most_subjects=2)
        assert [(node.kind, node.transactions) for node in links.nodes] == [
            ("subject", 2),
            ("counterparty", 1),
            ("subject", 1),
        ]
        assert len(sharing_subjects(anna, most_subjects=3)) == 4


def test_links_cost_at_most_five_queries_and_are_bounded(api: ApiClient, tenant: Tenant) -> None:
    batch = [
        {
            "transaction_id": f"t-{number}",
            "subject": {"user_id": f"u-{number}"},
            "amount": 20.0,
            "currency": "EUR",
            "device": "shared",
            "card": "also shared",
            "address": "too",
            "counterparty": "mule",
        }
        for number in range(60)
    ]
    assert api.post("risk/assessments/batch", {"transactions": batch}).status_code == 200
    with tenant_scope(tenant.id), CapturedQueries() as queries:
        links = links_of(subject_key("user_id", "u-0"), most_subjects=100)
    # And the tenant's secret.
    assert len(queries) <= 6
    assert (len(links.nodes), links.left_out) == (45, 19)
    picture = picture_of(links)
    assert picture is not None
    assert all(0 < spot.x < WIDTH and 0 < spot.y < HEIGHT for spot in picture.spots)
    places = {(spot.x, spot.y) for spot in picture.spots}
    assert len(places) == len(picture.spots)


def test_who_is_tied_to_nothing_has_no_picture() -> None:
    assert picture_of(Links([Node(0, "subject", "anna", 1, 0)], [], 0)) is None
