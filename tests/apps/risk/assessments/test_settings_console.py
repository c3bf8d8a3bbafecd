"""The desk's settings in the console: a field for each, a picture of what they come to, and changes that are undone."""

from typing import Any

import pytest
from django.test import Client

from apps.risk.assessments.picture import HEIGHT, WIDTH, picture_of
from apps.risk.assessments.settings import RiskSettings, current_settings
from apps.risk.assessments.thresholds import scored_of_late, thresholds_of
from decisions.editing import scenario_changes
from tenancy.models import Role, Tenant
from tenancy.scope import tenant_scope
from tests.apps.risk.assessments.test_thresholds import assessed
from tests.database import connected_as
from tests.platform.console.furnishing import logged_in, make_operator

__all__ = ["assessed"]
SETTINGS = "/console/risk/monitoring/settings/"


@pytest.fixture(autouse=True)
def console_process(settings: Any) -> None:
    settings.MIDDLEWARE = settings.MIDDLEWARE_BY_PROCESS["console"]
    settings.ROOT_URLCONF = "config.urls_console"


class Operator:
    def __init__(self, tenant: Tenant, role: Role) -> None:
        user = make_operator(tenant, role)
        with connected_as("console"):
            self.client: Client = logged_in(user)
            self.page = self.client.get(SETTINGS).headers["Location"]

    def read(self) -> str:
        with connected_as("console"):
            return self.client.get(self.page).content.decode()

    def save(self, **settings: object) -> int:
        return self.post(self.page, **settings).status_code

    def preview(self, **settings: object) -> str:
        return self.post(self.page.replace("change/", "preview/"), **settings).content.decode()

    def post(self, path: str, **settings: object) -> Any:
        fields = {f"setting_{name}": value for name, value in (DEFAULTS | settings).items()}
        with connected_as("console"):
            return self.client.post(path, {"name": "Transactions", "model": "risk", "is_active": "on", **fields})


DEFAULTS: dict[str, object] = RiskSettings().to_dict() | {"event_types": ", ".join(RiskSettings().event_types)}


@pytest.fixture
def operator(tenant: Tenant) -> Operator:
    return Operator(tenant, Role.OPERATOR)


def test_each_setting_has_a_field_with_words(operator: Operator) -> None:
    page = operator.read()
    for name in RiskSettings.__dataclass_fields__:
        assert f'name="setting_{name}"' in page
    for words in ("Cost of a wrong decline", "Reviews a day", "Training on schedule"):
        assert words in page
    assert "preview_kind" not in page  # no subject is asked for


def test_a_change_counts_is_kept_and_can_be_undone(operator: Operator, tenant: Tenant) -> None:
    assert operator.save(daily_capacity=40, retrain="weekly", decline_above=2) == 302
    with tenant_scope(tenant.id):
        assert (current_settings().daily_capacity, current_settings().retrain) == (40, "weekly")
        assert current_settings().decline_above == 2
        (change,) = scenario_changes("transactions")
    assert "settings.daily_capacity" in operator.read()
    with connected_as("console"):
        operator.client.post(operator.page.replace("change/", f"undo/{change.id}/"))
    with tenant_scope(tenant.id):
        assert current_settings() == RiskSettings()


def test_what_cannot_be_used_is_told_at_its_field(operator: Operator, tenant: Tenant) -> None:
    answer = operator.post(operator.page, review_above=0.9, currency="EURO")
    assert answer.status_code == 200
    page = answer.content.decode()
    assert "must be an ISO 4217 code" in page
    assert "must not be above decline_above" in operator.post(operator.page, review_above=0.9).content.decode()
    with tenant_scope(tenant.id):
        assert current_settings() == RiskSettings()


@pytest.mark.usefixtures("assessed")
def test_the_picture_shows_what_changes_come_to_and_saves_nothing(operator: Operator, tenant: Tenant) -> None:
    page = operator.preview(review_above=0.005)
    assert 'id="thresholds"' in page
    assert page.count("<polyline") == 2
    assert "With your changes" in page
    assert "0.0050" in page
    with tenant_scope(tenant.id):
        assert current_settings() == RiskSettings()
        scored = scored_of_late(days=30)
    found = [thresholds_of(each, scored) for each in (RiskSettings(), RiskSettings(review_above=0.005))]
    assert found[1]["current"]["reviews_a_day"] > found[0]["current"]["reviews_a_day"]
    picture = picture_of(*found, daily_capacity=100)
    for point in picture.points:
        assert 0 <= point.x <= WIDTH
        assert 0 <= point.y <= HEIGHT
    now, then, _ = picture.points
    assert then.x > now.x


def test_without_a_models_assessments_the_picture_says_why(operator: Operator) -> None:
    assert "200 are needed" in operator.preview()


def test_a_viewer_sees_the_settings_and_changes_nothing(tenant: Tenant) -> None:
    viewer = Operator(tenant, Role.VIEWER)
    assert "Transactions" in viewer.read()
    assert viewer.save(daily_capacity=1) == 403
    with tenant_scope(tenant.id):
        assert current_settings() == RiskSettings()
