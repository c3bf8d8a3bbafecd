"""A service desk at work: knowledge, four weeks of judged drafts, a model that chooses, and today's conversations."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.utils import timezone

from apps.service.conversations.services import add_message, open_conversation
from apps.service.demonstrations.history import fill_history, mixed_outcomes, publish_macros
from apps.service.engine import REPLY_MODEL, REPLY_TASK
from apps.service.knowledge.services import create_source
from apps.service.replies.judging import accept_reply
from apps.service.replies.models import ReplyStatus
from apps.service.replies.services import reply_to
from apps.service.replies.settings import put_settings
from behavior.services import store_events
from serving.models import ACTIVE_STATUSES, RunStatus, TrainingRun
from serving.selectors import training_runs
from serving.services import request_training
from tenancy.scope import tenant_scope

ACTOR = "demo"
CONVERSATIONS, DAYS = 420, 28
SEED = 7
# By words and n-grams alone: seconds instead of minutes.
TRAINING = {"pretrained": False, "batch_pairs": 64, "epochs": 6, "least_steps": 200}
ARTICLE = "You can return an item within 30 days of delivery. Used items are not taken back."
# Today's customers: what they did before, and what they write.
TODAY: tuple[tuple[tuple[str, ...], str], ...] = (
    (("order_placed", "order_delayed", "order_shipped"), "where is it?"),
    (("order_shipped", "order_delivered"), "where is it?"),
    (("page_view", "cart_add", "payment_failed"), "it did not work"),
    (("return_sent", "return_received", "refund_issued"), "what about my money?"),
    (("page_view",), "Can I return an item that I have used?"),
    (("order_placed",), "This is terrible, I am furious! Nobody answers!!"),
    (("order_placed", "order_cancelled"), "any news for me?"),
)
# The first so many are answered already.
ANSWERED = 2

State = dict[str, Any]
Say = Callable[[str], None]


def fill_service(tenant_id: int, *, state: State, save: Callable[[], None], say: Say) -> TrainingRun | None:
    """Knowledge, settings and a history, once; returns the run of a model to wait for, None where one has succeeded."""
    if "service" not in state:
        with tenant_scope(tenant_id):
            macros = publish_macros(ACTOR)
            create_source(kind="article", actor=ACTOR, publish=True, title="Returning an item", body=ARTICLE)
            put_settings({"business_name": "Sequitur Shop", "error_rate": 0.1}, actor=ACTOR)
            outcomes = mixed_outcomes(CONVERSATIONS, seed=SEED)
            spacing = timedelta(days=DAYS) / CONVERSATIONS
            fill_history(outcomes, macros, seed=SEED, spacing=spacing, agent=ACTOR)
        state["service"] = {"conversations": CONVERSATIONS}
        save()
        say(f"Service desk: {CONVERSATIONS} conversations of the last {DAYS} days")
    with tenant_scope(tenant_id):
        runs = training_runs(REPLY_MODEL)
        if runs.filter(status=RunStatus.SUCCEEDED).exists():
            return None
        active = runs.filter(status__in=ACTIVE_STATUSES).first()
        return active or request_training(model=REPLY_MODEL, task=REPLY_TASK, config=TRAINING, requested_by=ACTOR)


def work_at_service(tenant_id: int, *, state: State, save: Callable[[], None], say: Say) -> None:
    """Today's conversations, some answered; once."""
    if "today" in state["service"]:
        return
    for number, (kinds, text) in enumerate(TODAY):
        with tenant_scope(tenant_id):
            _write(f"today-{number}", kinds, text, accepts=number < ANSWERED)
    state["service"]["today"] = len(TODAY)
    save()
    say(f"Service desk: {len(TODAY)} customers have written today")


def _write(user: str, kinds: tuple[str, ...], text: str, *, accepts: bool) -> None:
    ends = timezone.now()
    store_events(
        events=[
            {
                "message_id": f"{user}-{place}",
                "type": kind,
                "subject": {"user_id": user},
                "item_id": "article-1",
                "created_at": (ends - timedelta(hours=4 * (len(kinds) - place))).isoformat(),
            }
            for place, kind in enumerate(kinds)
        ],
        source=ACTOR,
        historical=True,
    )
    conversation = open_conversation(subject={"user_id": user}, channel="web", language="en", title=text)
    add_message(conversation_id=conversation.id, role="customer", text=text, client_id="m-1")
    reply = reply_to(conversation_id=conversation.id).reply
    if accepts and reply.status == ReplyStatus.WAITING:
        accept_reply(reply_id=reply.id, actor=ACTOR)
