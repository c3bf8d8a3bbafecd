"""The demonstration's visitors leave lists with outcomes, so that the KPI pages are not empty."""

from collections import Counter
from datetime import UTC, timedelta
from itertools import islice

from django.utils import timezone

from apps.recommendation.demonstrations.merchandising import ensure_rules
from apps.recommendation.demonstrations.shops import Shop, ensure_visits
from apps.recommendation.demonstrations.visits import serve_visitors
from apps.recommendation.engine import simulated_shop
from apps.recommendation.models import Rule
from apps.recommendation.services import create_default_scenarios
from behavior.popularity import refresh_item_popularity
from behavior.services import store_events
from catalog.selectors import look_up_items
from catalog.services import upsert_items
from decisions.kpi import Period, scenario_kpi
from decisions.models import Decision
from decisions.selectors import get_decision
from tenancy.models import Tenant
from tenancy.scope import tenant_scope


def test_lists_are_spread_over_days_and_have_outcomes(tenant: Tenant) -> None:
    world = simulated_shop("outdoor", subjects=40)
    with tenant_scope(tenant.id):
        create_default_scenarios()
        upsert_items(world.catalogue())
    serve_visitors(tenant.id, world, lists=60)

    today = timezone.now().astimezone(UTC).date()
    with tenant_scope(tenant.id):
        keys = set(Decision.objects.values_list("scenario", flat=True))
        kpi = [scenario_kpi(key, Period(today - timedelta(days=20), today)) for key in keys]
        oldest = Decision.objects.earliest("decided_at")
        assert get_decision(oldest.decision_id) == oldest
    assert sum(each.total.lists for each in kpi) == 60
    assert sum(each.total.seen for each in kpi) == 12 * 60
    assert sum(each.total.lists_clicked for each in kpi) > 0


def test_rules_act_on_the_lists_of_the_visitors_and_are_made_once(tenant: Tenant) -> None:
    world = simulated_shop("outdoor", subjects=40)
    with tenant_scope(tenant.id):
        create_default_scenarios()
        upsert_items(world.catalogue())
        store_events(events=list(islice(world.events(end=timezone.now()), 2_000)), source="demo", historical=True)
        refresh_item_popularity()
        for _ in range(2):
            ensure_rules("outdoor")
        states = dict(Rule.objects.values_list("key", "is_active"))
    assert states == {"season": True, "mixed-shelf": True, "own-brand-weekend": False}

    serve_visitors(tenant.id, world, lists=20)

    with tenant_scope(tenant.id):
        popular = Decision.objects.filter(scenario="popular").first()
        assert popular is not None
        shown = look_up_items([item["id"] for item in popular.items])
        of_all = {name for row in Decision.objects.all() for item in row.items for name in item["rules"]}
    assert max(Counter(name for item in shown.values() for name in item.categories).values()) <= 4
    assert of_all <= {"season", "mixed-shelf"}
    assert "season" in of_all


def test_visitors_come_once(tenant: Tenant) -> None:
    shop = Shop(tenant.slug, tenant.name, "outdoor")
    state = {tenant.slug: {"subjects": 20}}
    with tenant_scope(tenant.id):
        create_default_scenarios()
        upsert_items(simulated_shop("outdoor", subjects=20).catalogue())
    for _ in range(2):
        ensure_visits(shop, tenant.id, state=state, save=lambda: None, say=lambda text: None)
    with tenant_scope(tenant.id):
        assert Decision.objects.count() == 10
