"""Items that came into the catalogue after a model was trained become recommendable, without training.

Each process looks at the catalogue's changes every NEW_ITEMS_SECONDS while a model answers in it, in a thread beside
the requests. Items that the model has no events of are described to a copy of it, as those it was trained on were, and
the copy takes its place in the pool.
"""

import heapq
import threading
import time
import weakref
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from django.conf import settings
from django.db import connection

from catalog.selectors import ItemDescription, describe_items
from ml.data.vocabulary import Vocabulary
from ml.serving.requests import Predictor
from serving import engine
from serving.item_features import attribute_columns
from tenancy.scope import tenant_scope

log = structlog.get_logger(__name__)

# The newest ones; a model that lacks more should be trained again.
MOST_NEW_ITEMS = 10_000
# Rows carry the time at which their transaction began, and appear when it ends.
LONGEST_TRANSACTION = timedelta(minutes=5)


@dataclass
class State:
    """How far one version has followed the catalogue. `grown` is the predictor that knows `items`."""

    knows_content: bool
    due: float = 0.0
    working: bool = False
    read_until: datetime | None = None
    items: dict[str, ItemDescription] = field(default_factory=dict)
    grown: weakref.ref[Predictor] | None = None


_states: dict[Path, State] = {}
_lock = threading.Lock()
# One at a time, so that requests keep a core.
_turn = threading.Lock()


def load(tenant_id: int, folder: Path) -> None:
    """Have a version in memory before the first question comes, with the items that it was not trained on."""
    engine.predictors().get(folder)
    keep_up(tenant_id, folder)


def keep_up(tenant_id: int, folder: Path) -> None:
    """Look for new items of a version that answers here, if the last look is long enough ago; returns at once."""
    with _lock:
        state = _states.get(folder) or _begin(folder)
        if not state.knows_content or state.working or time.monotonic() < state.due:
            return
        state.working = True
    threading.Thread(target=_look, args=(tenant_id, folder, state), name="new-items", daemon=True).start()


def refresh(tenant_id: int, folder: Path, state: State) -> None:
    """Read what changed in the catalogue and, where it matters, put a predictor that knows it into the pool."""
    held = engine.predictors().held(folder)
    if held is None:
        return
    with tenant_scope(tenant_id):
        changed = _read_changes(folder, state)
    # A version that had to leave the pool comes back without them.
    is_grown = state.grown is not None and state.grown() is held
    if not state.items or (is_grown and not changed):
        return
    items = sorted(state.items.values(), key=lambda item: item.item_id)
    features = engine.describe_items(
        tenant_id, folder, attributes=attribute_columns(items), texts=[item.text for item in items]
    )
    grown = engine.open_predictor(folder).add_items([item.item_id for item in items], features)
    engine.predictors().replace(folder, grown)
    state.grown = weakref.ref(grown)
    log.info("new_items", tenant=tenant_id, artifact=str(folder), items=len(items))


def _begin(folder: Path) -> State:
    for known in [path for path in _states if engine.predictors().held(path) is None]:
        del _states[known]
    try:
        knows_content = engine.knows_content(folder)
    except (OSError, ValueError, KeyError):
        # What can still answer from memory goes on to do so.
        log.exception("new_items_failed", artifact=str(folder))
        knows_content = False
    state = _states[folder] = State(knows_content)
    return state


def _look(tenant_id: int, folder: Path, state: State) -> None:
    try:
        with _turn:
            refresh(tenant_id, folder, state)
    except Exception:
        # The model answers as before, and the next look tries again.
        log.exception("new_items_failed", tenant=tenant_id, artifact=str(folder))
    finally:
        connection.close()
        state.due = time.monotonic() + settings.NEW_ITEMS_SECONDS
        state.working = False


def _read_changes(folder: Path, state: State) -> bool:
    """Bring `state.items` up to date; whether that changed it."""
    began = _database_time() - LONGEST_TRANSACTION
    changes = describe_items(changed_since=state.read_until)
    items = dict(state.items)
    trained = Vocabulary.load(folder / "vocabulary.json").item_codes
    for item in changes:
        if item.visible and item.item_id not in trained:
            items[item.item_id] = item
        else:
            items.pop(item.item_id, None)
        if len(items) > 2 * MOST_NEW_ITEMS:
            items = _newest(items)
    items = _newest(items)
    changed = items != state.items
    state.items, state.read_until = items, began
    return changed


def _database_time() -> datetime:
    """The clock by which rows say when they changed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        moment: datetime = cursor.fetchone()[0]
    return moment


def _newest(items: dict[str, ItemDescription]) -> dict[str, ItemDescription]:
    newest = heapq.nlargest(MOST_NEW_ITEMS, items.values(), key=lambda item: (item.created_at, item.item_id))
    return {item.item_id: item for item in newest}
