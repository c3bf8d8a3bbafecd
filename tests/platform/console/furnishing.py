"""Operators, and a tenant with one row, at least, on every page of the console."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from uuid_utils.compat import uuid7

from apps.ads.audiences.models import Audience
from apps.ads.campaigns.models import Advertiser, Campaign, Creative, Flight, Placement
from apps.ads.campaigns.services import create as create_ad_object
from apps.ads.models import AdDecision, Experiment
from apps.recommendation.models import Rule
from apps.recommendation.rules.services import create_rule
from apps.risk.cases.models import Case
from apps.risk.cases.raising import NewAlert, raise_alerts
from apps.risk.lists.services import create_list
from apps.risk.rules.services import create_rule as create_risk_rule
from apps.risk.transactions.models import Label, Transaction
from apps.service.conversations.services import add_message, open_conversation
from apps.service.experiments.models import Experiment as ServiceExperiment
from apps.service.experiments.services import start as start_service_experiment
from apps.service.knowledge.imports import import_files
from apps.service.knowledge.models import Source
from apps.service.knowledge.services import create_source
from apps.service.replies.backends.choosing import put_backends
from apps.service.replies.models import ReplyBackend
from apps.service.replies.services import reply_to
from apps.service.understanding.services import create_intent
from behavior.logins import record_login
from behavior.models import Event, IdentityLink, Quarantine
from behavior.services import store_events
from behavior.subjects import read_subject
from catalog.filter_services import put_filter
from catalog.models import Item
from catalog.services import upsert_items
from decisions.services import define_scenario, record_decision
from serving.models import ModelVersion, RunStatus, TrainingRun
from serving.services import promote
from tenancy.models import Membership, Role, Tenant
from tenancy.scope import current_tenant_id, tenant_scope
from tenancy.secrets import subject_key
from tenancy.services import add_member, create_api_key
from tests.database import connected_as
from webhooks.models import WebhookDelivery
from webhooks.services import create_webhook

PASSWORD = "a long password for tests"


def make_operator(tenant: Tenant, role: Role, email: str | None = None) -> User:
    with connected_as("owner"), tenant_scope(tenant.id):
        return add_member(email=email or f"{role}@{tenant.slug}.example", role=role, password=PASSWORD).user


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def send(tenant: Tenant, *events: dict[str, Any]) -> dict[str, int]:
    """Store events as the API does; the counts of each result."""
    with connected_as("app"), tenant_scope(tenant.id):
        return store_events(events=list(events), source="api").counts


def view(message_id: str, **changes: Any) -> dict[str, Any]:
    return {"message_id": message_id, "type": "view", "item_id": "sku-1", "subject": {"user_id": "u1"}} | changes


REPORT = {
    "metric": "ndcg@10",
    "score": 0.2,
    "baselines": {"popularity": 0.1, "sequential_rules": 0.15},
    "counts": {"events": 100, "items": 5, "subjects": 20},
    "heads": {
        "churn": {
            "cases": 1234,
            "weight": 1.0,
            "scores": {"model": {"auc": 0.875, "log_loss": 0.25}, "base_rate": {"auc": 0.5, "log_loss": 0.5}},
        }
    },
}
CURVE = [{"epoch": 1, "loss": 3.0, "ndcg@10": 0.1}, {"epoch": 2, "loss": 2.5, "ndcg@10": 0.2}]


def make_run(**values: Any) -> TrainingRun:
    values = {"model": "next_item", "task": "next_item", "status": RunStatus.SUCCEEDED, "report": REPORT} | values
    return TrainingRun.objects.create(curve=CURVE, started_at=timezone.now(), **values)


def make_version(number: int, *, model: str = "next_item", **values: Any) -> ModelVersion:
    return ModelVersion.objects.create(
        model=model,
        number=number,
        task=model,
        run=make_run(),
        artifact=f"1/{model}/{number}",
        artifact_sha256="0" * 64,
        reasons=["passed: better than popularity"],
        **values,
    )


def make_service_experiment() -> ServiceExperiment:
    promote(version=make_version(1, model="intents"), actor="gate")
    return start_service_experiment(name="Second", challenger_id=make_version(2, model="intents").id, actor="somebody")


def make_flight(name: str) -> Flight:
    advertiser = create_ad_object(Advertiser, actor="somebody", name=name, currency="EUR")
    campaign = create_ad_object(Campaign, actor="somebody", name=name, advertiser_id=advertiser.id)
    now = timezone.now()
    return create_ad_object(
        Flight,
        actor="somebody",
        name=name,
        campaign_id=campaign.id,
        starts_at=now,
        ends_at=now + timedelta(days=9),
        bid_kind="cpm",
        bid_micros=2_000_000,
        budget_micros=100_000_000,
    )


def make_creative(flight: Flight, name: str) -> Creative:
    return create_ad_object(
        Creative,
        actor="somebody",
        flight_id=flight.id,
        name=name,
        width=300,
        height=250,
        text="Sleep outside",
        click_url="https://tents.example/",
    )


def make_experiment(flight: Flight, creative: Creative, name: str) -> Experiment:
    now = timezone.now()
    members = {"first": creative, "second": make_creative(flight, f"{name}, second")}
    return create_ad_object(
        Experiment,
        actor="somebody",
        name=name,
        campaign_id=flight.campaign_id,
        starts_at=now,
        ends_at=now + timedelta(days=9),
        arms=[{"name": arm, "share": 0.5, "members": [str(each.id)]} for arm, each in members.items()],
    )


def make_audience(key: str) -> Audience:
    return create_ad_object(
        Audience, actor="somebody", key=key, name="Like buyers", seed_kind="event", seed_event="purchase"
    )


def make_ad_decision(flight: Flight) -> AdDecision:
    participant = {"flight": str(flight.id), "name": flight.name, "creative": str(flight.id), "lost": None}
    made = record_decision(
        decision_id=uuid7(),
        application="ads",
        scenario="top",
        policy="greedy",
        request={
            "placement": "top",
            "auction": "gsp",
            "currency": "EUR",
            "floor_micros": 0,
            "price_micros": 1_000_000,
            "ranked": 1,
            "participants": [participant | {"bid_micros": 2_000_000, "value_micros": 2_000_000, "score": 2e6}],
            "losses": {"targeting.countries": 1},
            "losers": {"targeting.countries": [str(flight.id)]},
        },
        items=[],
        latency_ms=1.0,
    )
    return AdDecision.objects.get(decision_id=made.decision_id)


RED = {"eq": {"field": "attributes.color", "value": "red"}}


def make_rule(name: str) -> Rule:
    target = {"eq": {"field": "id", "value": "sku-1"}}
    return create_rule(actor="somebody", name=name, kind="pin", target=target, values={"position": 1})


def make_alert(decision_id: UUID) -> NewAlert:
    return NewAlert(
        transaction_id="t-1",
        decision_id=decision_id,
        subject_key=subject_key("user_id", "u1"),
        verdict="review",
        score=0.5,
        amount=900.0,
        currency="EUR",
        reasons=[{"code": "amount", "text": "a large amount", "feature": "amount", "value": 900.0, "part": 0.5}],
        rules=[],
        occurred_at=timezone.now(),
    )


def make_source(title: str) -> Source:
    return create_source(kind="article", actor="somebody", publish=True, title=title, body="Refunds take five days.")


def make_label() -> Label:
    """Of a transaction that is stored."""
    now = timezone.now()
    transaction = Transaction.objects.create(
        tenant_id=current_tenant_id(),
        transaction_id="t-1",
        event_id=uuid7(),
        occurred_at=now,
        received_at=now,
        subject_key=subject_key("user_id", "u1"),
        amount=900.0,
        currency="EUR",
    )
    return Label.objects.create(transaction_id=transaction.transaction_id, kind="fraud", known_at=now, source="api")


class Furnished:
    """A tenant with one row, at least, on every page."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        decision_id = uuid7()
        send(tenant, view("m1", decision_id=str(decision_id)), view("bad", value="cheap"))
        with connected_as("app"), tenant_scope(tenant.id):
            upsert_items([{"id": "sku-1", "title": "Lamp", "attributes": {"color": "red"}}])
            self.scenario = define_scenario(key="home", name="Home", application="recommendation", kind="personalised")
            self.rule = make_rule("Lamp first")
            self.risk_rule = create_risk_rule(actor="somebody", name="Large", expression="amount > 5", action="review")
            self.entity_list = create_list(actor="somebody", name="cards", kind="deny", field="card")
            self.webhook, _ = create_webhook(url="https://example.com/", events=["alert.raised"], actor="somebody")
            self.intent = create_intent(actor="somebody", name="refund")
            self.source = make_source("Returns")
            files = [("care.md", "# Care\n\nWash cold.")]
            self.knowledge_import = import_files(files=files, actor="somebody", kind="article")
            raise_alerts([make_alert(decision_id)])
            self.delivery = WebhookDelivery.objects.get()
            self.case = Case.objects.get()
            self.label = make_label()
            self.saved_filter = put_filter(key="red", expression=RED, actor="somebody")
            self.live, self.candidate = make_version(1), make_version(2)
            promote(version=self.live, actor="gate")
            self.decision = record_decision(
                decision_id=decision_id,
                application="recommendation",
                scenario="home",
                policy="greedy",
                request={"count": 1},
                items=[
                    {
                        "id": "sku-1",
                        "rank": 1,
                        "score": 1.5,
                        "propensity": 1.0,
                        "reasons": [{"code": "popular", "text": "popular with others", "weight": 1.0}],
                        "rules": [],
                    }
                ],
                latency_ms=4.2,
                model_version=self.live.id,
            )
            self.event = Event.objects.get()
            record_login(read_subject({"user_id": "u1", "anonymous_id": "a1"}))
            self.link = IdentityLink.objects.get()
            self.quarantined = Quarantine.objects.get()
            self.item = Item.objects.get()
            self.conversation = open_conversation(subject={"user_id": "u1"}, channel="web", title="Where is it?")
            add_message(conversation_id=self.conversation.id, role="customer", text="Where is it?", client_id="m-1")
            put_backends(wanted=[{"name": "extractive", "kind": "extractive"}], actor="somebody")
            self.backend = ReplyBackend.objects.get()
            self.reply = reply_to(conversation_id=self.conversation.id).reply
            self.conversation.refresh_from_db()
            self.service_experiment = make_service_experiment()
            self.running = make_run(status=RunStatus.QUEUED, report=None)
            self.key, self.raw_key = create_api_key(name="shop", scopes=["events:write"])
            self.flight = make_flight("Autumn")
            self.campaign, self.advertiser = Campaign.objects.get(), Advertiser.objects.get()
            self.creative = make_creative(self.flight, "Banner")
            self.ad_placement = create_ad_object(
                Placement, actor="somebody", key="top", name="Top", width=300, height=250, currency="EUR"
            )
            self.ad_decision = make_ad_decision(self.flight)
            self.experiment = make_experiment(self.flight, self.creative, "Two banners")
            self.audience = make_audience("buyers")
        # So that no action on another member fails for want of an admin.
        make_operator(tenant, Role.ADMIN, f"guard@{tenant.slug}.example")
        self.member = make_operator(tenant, Role.VIEWER, f"member@{tenant.slug}.example")
        with connected_as("owner"), tenant_scope(tenant.id):
            self.membership = Membership.objects.get(user=self.member)

    def add_rows(self, count: int) -> None:
        """More rows on every page."""
        for number in range(count):
            send(self.tenant, view(f"more-{number}"), view(f"bad-{number}", value="cheap"))
            make_operator(self.tenant, Role.VIEWER, f"member-{number}@{self.tenant.slug}.example")
            with connected_as("app"), tenant_scope(self.tenant.id):
                upsert_items([{"id": f"more-{number}"}])
                define_scenario(key=f"more-{number}", name="More", application="recommendation", kind="popular")
                record_login(read_subject({"user_id": f"u{number}", "anonymous_id": f"more-{number}"}))
                make_rule(f"More {number}")
                create_risk_rule(actor="somebody", name=f"More {number}", expression="amount > 5", action="review")
                create_webhook(url=f"https://example.com/{number}", events=["case.opened"], actor="somebody")
                create_list(actor="somebody", name=f"more {number}", kind="deny", field="card")
                create_intent(actor="somebody", name=f"more {number}")
                make_source(f"More {number}")
                import_files(files=[(f"{number}.md", "More")], actor="somebody", kind="article")
                put_filter(key=f"more-{number}", expression=RED, actor="somebody")
                make_version(10 + number)
                create_api_key(name="more", scopes=["events:write"])
                flight = make_flight(f"More {number}")
                make_experiment(flight, make_creative(flight, f"More {number}"), f"More {number}")
                make_ad_decision(flight)
                make_audience(f"more-{number}")
                create_ad_object(
                    Placement,
                    actor="somebody",
                    key=f"more-{number}",
                    name="More",
                    width=300,
                    height=250,
                    currency="EUR",
                )
                record_decision(
                    decision_id=uuid7(),
                    application="recommendation",
                    scenario="home",
                    policy="greedy",
                    request={},
                    items=[],
                    latency_ms=1.0,
                )

    def rows(self) -> dict[str, Any]:
        """Page address -> the row on it."""
        return {
            "behavior/event": self.event,
            "behavior/identitylink": self.link,
            "behavior/quarantine": self.quarantined,
            "catalog/item": self.item,
            "catalog/savedfilter": self.saved_filter,
            "recommendation/rule": self.rule,
            "risk/riskrule": self.risk_rule,
            "risk/entitylist": self.entity_list,
            "risk/case": self.case,
            "risk/label": self.label,
            "service/conversation": self.conversation,
            "service/reply": self.reply,
            "service/replybackend": self.backend,
            "service/experiment": self.service_experiment,
            "webhooks/webhook": self.webhook,
            "webhooks/webhookdelivery": self.delivery,
            "service/intent": self.intent,
            "ads/advertiser": self.advertiser,
            "ads/campaign": self.campaign,
            "ads/flight": self.flight,
            "ads/creative": self.creative,
            "ads/placement": self.ad_placement,
            "ads/addecision": self.ad_decision,
            "ads/experiment": self.experiment,
            "service/source": self.source,
            "service/knowledgeimport": self.knowledge_import,
            "decisions/scenario": self.scenario,
            "decisions/decision": self.decision,
            "serving/trainingrun": self.running,
            "serving/modelversion": self.candidate,
            "tenancy/membership": self.membership,
            "tenancy/apikey": self.key,
            "tenancy/tenant": self.tenant,
        }

    def fresh(self, row: Any) -> Any:
        """The row as it is in the database now; None when it is gone."""
        with connected_as("owner"), tenant_scope(self.tenant.id):
            return type(row).objects.filter(pk=row.pk).first()

    def count(self, model: Any) -> int:
        with connected_as("owner"), tenant_scope(self.tenant.id):
            return model.objects.count()
