"""Dialogs of ads: an audience's list and build, and an advertiser's own people."""

from collections.abc import Callable

import pytest
from django.test import Client

from apps.ads.audiences.models import Audience, AudienceBuild, AudienceSeed, BuildStatus
from apps.ads.campaigns.models import Advertiser, Creative, ReviewStatus
from apps.ads.campaigns.services import archive, change, create
from apps.ads.models import Experiment, OwnSubject
from tenancy.models import Role, Tenant
from tenancy.scope import tenant_scope
from tenancy.secrets import subject_key
from tests.database import connected_as
from tests.platform.console.furnishing import Furnished, make_creative, send, view

REPORT = {
    "members": 0,
    "seed": 40,
    "scored": 1000,
    "share": 0.05,
    "recall": 0.42,
    "random": 0.05,
    "activity": 0.07,
    "head": "cosine",
    "model_version": "00000000-0000-0000-0000-000000000001",
    "excluded": {"consent": 3},
}


@pytest.fixture
def operator(as_role: Callable[[Role], Client]) -> Client:
    return as_role(Role.OPERATOR)


def test_an_audience_is_set_up_built_and_its_quality_shown(
    furnished: Furnished, tenant: Tenant, operator: Client
) -> None:
    form = {
        "key": "like-clickers",
        "name": "Like clickers",
        "seed_kind": "event",
        "seed_event": "ad_click",
        "seed_flight_id": str(furnished.flight.pk),
        "seed_days": "30",
        "share": "0.05",
        "refresh": "weekly",
    }
    page = operator.post("/console/ads/audience/add/", form, follow=True)
    assert "The audience is made." in page.content.decode()
    with connected_as("app"), tenant_scope(tenant.id):
        audience = Audience.objects.get(key="like-clickers")
        assert audience.seed_flight_id == furnished.flight.pk
    address = f"/console/ads/audience/{audience.pk}"
    assert operator.post(f"{address}/build/", {"_form_submitted": "on"})["HX-Redirect"] == f"{address}/change/"
    with connected_as("app"), tenant_scope(tenant.id):
        build = AudienceBuild.objects.get()
        assert build.status == BuildStatus.QUEUED
        AudienceBuild.objects.update(status=BuildStatus.SUCCEEDED, report=REPORT)
    shown = operator.get(f"{address}/change/").content.decode()
    for text in ("42.0 %", "7.0 %", "5.0 %", "Whose newest event lacks consent", "like-clickers"):
        assert text in shown
    refused = operator.post("/console/ads/audience/add/", form | {"key": "other", "seed_event": "purchase"})
    assert "of a flight must be ad_impression, ad_click, ad_conversion" in refused.content.decode()


def test_a_list_of_subjects_is_kept_as_pseudonyms(tenant: Tenant, operator: Client) -> None:
    send(tenant, view("a", subject={"user_id": "ada"}), view("b", subject={"user_id": "bob"}))
    with connected_as("app"), tenant_scope(tenant.id):
        audience = create(Audience, actor="test", key="listed", name="Listed", seed_kind="list")
    address = f"/console/ads/audience/{audience.pk}/subjects/"
    operator.post(address, {"_form_submitted": "on", "kind": "user_id", "ids": "ada\n\nbob\nnobody\n"})
    shown = operator.get(f"/console/ads/audience/{audience.pk}/change/").content.decode()
    assert "2 of 3 subjects are known and make the list." in shown
    with connected_as("app"), tenant_scope(tenant.id):
        keys = {bytes(each.subject_key) for each in AudienceSeed.objects.all()}
        assert keys == {subject_key("user_id", "ada"), subject_key("user_id", "bob")}
    operator.post(address, {"_form_submitted": "on", "kind": "user_id", "ids": "x" * 300})
    with connected_as("app"), tenant_scope(tenant.id):
        assert AudienceSeed.objects.count() == 2, "a bad id changes nothing"


def test_the_business_and_its_members_are_own_people(furnished: Furnished, tenant: Tenant, operator: Client) -> None:
    address = f"/console/ads/advertiser/{furnished.advertiser.pk}"
    form = {"_form_submitted": "on", "kind": "user_id", "ids": "boss", "whose": "business", "members": "on"}
    answer = operator.post(f"{address}/people/", form)
    assert answer["HX-Redirect"] == f"{address}/change/"
    with connected_as("app"), tenant_scope(tenant.id):
        keys = {bytes(key) for key in OwnSubject.objects.filter(advertiser=None).values_list("subject_key", flat=True)}
        emails = [f"{who}@{tenant.slug}.example" for who in ("operator", "guard", "member")]
        assert keys == {subject_key("user_id", user) for user in ("boss", *emails)}
    shown = operator.get(f"{address}/change/").content.decode()
    assert "Own people of the business" in shown


def test_a_dialog_of_an_advertiser_that_was_archived_meanwhile_says_so(
    furnished: Furnished, tenant: Tenant, operator: Client
) -> None:
    with connected_as("app"), tenant_scope(tenant.id):
        archive(Advertiser, object_id=furnished.advertiser.pk, actor="another tab")
    address = f"/console/ads/advertiser/{furnished.advertiser.pk}"
    form = {"_form_submitted": "on", "kind": "user_id", "ids": "boss", "whose": "advertiser"}
    assert operator.post(f"{address}/people/", form)["HX-Redirect"] == f"{address}/change/"
    assert "has been archived" in operator.get(f"{address}/change/").content.decode()
    with connected_as("app"), tenant_scope(tenant.id):
        assert not OwnSubject.objects.exists()


def test_a_viewer_names_nobody(furnished: Furnished, tenant: Tenant, as_role: Callable[[Role], Client]) -> None:
    viewer = as_role(Role.VIEWER)
    address = f"/console/ads/advertiser/{furnished.advertiser.pk}/people/"
    viewer.post(address, {"_form_submitted": "on", "kind": "user_id", "ids": "boss", "whose": "business"})
    viewer.post(f"/console/ads/audience/{furnished.audience.pk}/build/", {"_form_submitted": "on"})
    with connected_as("app"), tenant_scope(tenant.id):
        assert not OwnSubject.objects.exists()
        assert not AudienceBuild.objects.exists()


def test_what_changes_after_an_operator_has_looked_at_it_is_not_approved(
    furnished: Furnished, tenant: Tenant, operator: Client
) -> None:
    address = f"/console/ads/creative/{furnished.creative.pk}"
    dialog = operator.get(f"{address}/approve/")
    seen = {"_form_submitted": "on", "version": str(dialog.context["form"].initial["version"])}
    assert furnished.creative.click_url in dialog.content.decode()
    with connected_as("app"), tenant_scope(tenant.id):
        elsewhere = {"click_url": "https://elsewhere.example/"}
        change(Creative, object_id=furnished.creative.pk, actor="client", changes=elsewhere)

    operator.post(f"{address}/approve/", seen)
    assert "has been changed since you looked at it" in operator.get(f"{address}/change/").content.decode()
    assert furnished.fresh(furnished.creative).review == ReviewStatus.PENDING

    assert "https://elsewhere.example/" in operator.get(f"{address}/approve/").content.decode()
    operator.post(f"{address}/approve/", seen | {"version": str(int(seen["version"]) + 1)})
    assert furnished.fresh(furnished.creative).review == ReviewStatus.APPROVED


def test_arms_of_an_experiment_are_rows_of_inputs_with_names_to_choose_from(
    furnished: Furnished, tenant: Tenant, operator: Client
) -> None:
    flight, creative = furnished.flight, furnished.creative
    address = "/console/ads/experiment/add/"
    page = operator.get(address).content.decode()
    assert f'<option value="{creative.pk}">{flight.name}: {creative.name}</option>' in page
    with connected_as("app"), tenant_scope(tenant.id):
        second = make_creative(flight, "Second banner")
    form = {
        "campaign": str(flight.campaign_id),
        "name": "Two banners by form",
        "starts_at_0": "2040-10-01",
        "starts_at_1": "08:00:00",
        "ends_at_0": "2040-10-15",
        "ends_at_1": "08:00:00",
        "arms-0-name": "first",
        "arms-0-percent": "33.4",
        "arms-0-members": [str(creative.pk)],
        "arms-1-name": "second",
        "arms-1-percent": "66.6",
        "arms-1-members": [str(second.pk)],
    }
    wrong = operator.post(address, form | {"arms-1-percent": "much"}).content.decode()
    assert "Each share must be a number, such as 50." in wrong
    assert 'value="much"' in wrong
    assert f'<option value="{second.pk}" selected>' in wrong
    assert "do not add up to 1" in operator.post(address, form | {"arms-1-percent": "50"}).content.decode()

    assert "The experiment is made." in operator.post(address, form, follow=True).content.decode()
    with connected_as("app"), tenant_scope(tenant.id):
        made = Experiment.objects.get(name="Two banners by form")
    assert made.arms == [
        {"name": "first", "share": 0.334, "members": [str(creative.pk)]},
        {"name": "second", "share": 0.666, "members": [str(second.pk)]},
    ]
    shown = operator.get(f"/console/ads/experiment/{made.pk}/change/").content.decode()
    assert 'value="33.4"' in shown
    assert f'<option value="{creative.pk}" selected>' in shown


def test_what_an_experiment_splits_is_read_only_once_it_has_begun(furnished: Furnished, operator: Client) -> None:
    address = f"/console/ads/experiment/{furnished.experiment.pk}/change/"
    shown = operator.get(address).content.decode()
    assert 'name="arms-0-name"' not in shown
    assert 'name="ends_at_0"' in shown
    form = {"name": "Banners, renamed", "ends_at_0": "2040-10-15", "ends_at_1": "08:00:00"}
    operator.post(address, form)
    assert furnished.fresh(furnished.experiment).name == "Banners, renamed"
    assert furnished.fresh(furnished.experiment).arms == furnished.experiment.arms
