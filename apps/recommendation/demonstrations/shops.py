"""Two shops with a past: what `manage.py demo` puts into the suite, through the same doors as a client's data."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from apps.recommendation.demonstrations.merchandising import ensure_rules
from apps.recommendation.demonstrations.visits import serve_visitors
from apps.recommendation.engine import simulated_shop
from apps.recommendation.lists.habits import refresh_purchase_habits
from apps.recommendation.scenarios import MODEL
from apps.recommendation.services import create_default_scenarios
from behavior.popularity import refresh_item_popularity
from behavior.services import store_events
from catalog.services import upsert_items
from serving.models import ACTIVE_STATUSES, RunStatus, TrainingRun
from serving.selectors import training_runs
from serving.services import request_training
from tenancy.api_scopes import API_SCOPES
from tenancy.models import Role, Tenant
from tenancy.scope import tenant_scope
from tenancy.selectors import tenant_id_of
from tenancy.services import add_member, create_api_key, create_tenant

LOGIN = "admin@demo.example"
BATCH = 5_000
# A few epochs take the model well above its baselines; the demonstration is not the place to wait for the last percent.
TRAINING = {"epochs": 10}
WORTH_SHOWING = 8  # events of a subject whose list is worth showing


@dataclass(frozen=True)
class Shop:
    slug: str
    name: str
    theme: str


SHOPS = (Shop("outdoor-shop", "Outdoor shop", "outdoor"), Shop("grocery", "Grocery", "grocery"))

# What a run of the command leaves for the next one, kept in var/demo.json.
State = dict[str, Any]
Say = Callable[[str], None]
Save = Callable[[], None]


def fill_shop(shop: Shop, *, subjects: int, state: State, save: Save, say: Say) -> int:
    """Make the tenant with its operator, key, scenarios, rules, catalogue and history; each only where it is missing.

    Returns the tenant's id. Cut off, it goes on where it stood: the end of the history is kept in `state`, so that the
    same events come again and the log recognises those that it has.
    """
    try:
        tenant_id = tenant_id_of(shop.slug)
    except Tenant.DoesNotExist:
        tenant_id = create_tenant(slug=shop.slug, name=shop.name).id
        state.pop(shop.slug, None)  # speaks of a database that is no more
    known = state.setdefault(shop.slug, {"subjects": subjects, "end": datetime.now(UTC).isoformat()})
    save()
    with tenant_scope(tenant_id):
        add_member(email=LOGIN, role=Role.ADMIN, password=state.setdefault("password", secrets.token_urlsafe(12)))
        if "api_key" not in known:
            _, known["api_key"] = create_api_key(name="demo", scopes=list(API_SCOPES))
        create_default_scenarios()
        ensure_rules(shop.theme)
    save()
    if "events" not in known:
        known |= _import_history(shop, tenant_id, known, say)
        save()
    return tenant_id


def _import_history(shop: Shop, tenant_id: int, known: State, say: Say) -> State:
    """What the log made of it, and a subject and an item for the printed calls."""
    world = simulated_shop(shop.theme, subjects=known["subjects"])
    catalogue = world.catalogue()
    with tenant_scope(tenant_id):
        upsert_items(catalogue)
    events = world.events(end=datetime.fromisoformat(known["end"]))
    counts: dict[str, int] = {}
    seen: dict[str, list[str]] = {}
    while batch := list(islice(events, BATCH)):
        # A transaction for each batch, as the importer does.
        with tenant_scope(tenant_id):
            answer = store_events(events=batch, source="demo", historical=True)
        counts = {name: counts.get(name, 0) + count for name, count in answer.counts.items()}
        _remember(seen, batch)
        say(f"{shop.name}: {sum(counts.values()):,} events sent")
    with tenant_scope(tenant_id):
        refresh_item_popularity()
        refresh_purchase_habits()
    shown = next(user_id for user_id, items in seen.items() if len(items) >= WORTH_SHOWING)
    far = next(row["id"] for row in reversed(catalogue) if row["available"] and row["id"] not in seen[shown])
    return {"events": counts, "subject": shown, "item": far}


def _remember(seen: dict[str, list[str]], batch: list[dict[str, Any]]) -> None:
    """Items of the users who agreed to personalisation."""
    for event in batch:
        user_id = (event.get("subject") or {}).get("user_id")
        if user_id and event.get("item_id") and (event.get("consent") or {}).get("personalisation"):
            seen.setdefault(user_id, []).append(event["item_id"])


def ensure_training(tenant_id: int) -> TrainingRun | None:
    """The run to wait for; None when one has succeeded before."""
    with tenant_scope(tenant_id):
        runs = training_runs(MODEL)
        if runs.filter(status=RunStatus.SUCCEEDED).exists():
            return None
        active = runs.filter(status__in=ACTIVE_STATUSES).first()
        return active or request_training(model=MODEL, task="next_item", config=TRAINING, requested_by="demo")


def ensure_visits(shop: Shop, tenant_id: int, *, state: State, save: Save, say: Say) -> None:
    """Lists that were served lately, with what came of them; once."""
    known = state[shop.slug]
    if "lists" in known:
        return
    lists = known["subjects"] // 2
    serve_visitors(tenant_id, simulated_shop(shop.theme, subjects=known["subjects"]), lists=lists)
    known["lists"] = lists
    save()
    say(f"{shop.name}: {lists:,} lists served, and what came of them")


def training_state(tenant_id: int, run: TrainingRun) -> TrainingRun:
    with tenant_scope(tenant_id):
        return training_runs(run.model).get(id=run.id)
