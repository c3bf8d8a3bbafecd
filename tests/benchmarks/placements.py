"""Ad decisions over HTTP with a thousand live flights, and how their cost grows with the number of flights.

Flights differ in what they target, bid and may spend; readers differ in what they are. A real gunicorn on loopback
answers, first one process, then as many as `manage.py up` starts. One in two requests names a subject with consent, so
that frequency caps are looked up; every answer is stored, with its price reserved. A request asks for one place or, as
a page does, for three; each place is a decision.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from django.utils import timezone

from apps.ads.auctions.asking import Ask
from apps.ads.auctions.serializers import AdAskSerializer, ask_of
from apps.ads.auctions.services import decide
from apps.ads.auctions.snapshot import forget_snapshots
from apps.ads.campaigns.models import Advertiser, Campaign, Creative, Flight, FlightStatus, Placement, ReviewStatus
from apps.ads.campaigns.services import announce_change, create
from apps.ads.models import FlightBudget
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.benchmarks.cpu import CpuWatch
from tests.benchmarks.load import Question, latencies, percentile
from tests.benchmarks.serve import ENVIRONMENT, PROCESSES, THREADS
from tests.conftest import make_client, make_tenant
from tests.database import vacuum
from tests.processes import Process, running_web
from tests.queries import CapturedQueries

FLIGHTS, MORE_FLIGHTS = 1_000, 4_000
SUBJECTS = 5_000
CLIENTS = (1, 8)
SECONDS = 8.0
IN_PROCESS = 400
UNIT = 1_000_000
COUNTRIES = [f"c{number}" for number in range(30)]
KEYWORDS = [f"word-{number}" for number in range(500)]
CATEGORIES = [f"category-{number}" for number in range(40)]
SEGMENTS = [f"segment-{number}" for number in range(100)]
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Mobile Safari/537.36",
)
PLACEMENTS = ("top", "side", "foot")
BODIES = 10_000


def measure(*, data: Path | None, full: bool) -> Iterator[dict[str, Any]]:
    seconds = SECONDS * (4 if full else 1)
    tenant, larger = make_tenant(), make_tenant()
    fill(tenant, FLIGHTS)
    fill(larger, MORE_FLIGHTS)
    vacuum()
    few, page, many = in_process(tenant), in_process(tenant, PLACEMENTS), in_process(larger)
    vacuum()
    detail = {"flights": FLIGHTS} | few
    key = make_client(tenant).raw_key
    place, page_of_places = (question(name, places) for name, places in (("ad", PLACEMENTS[:1]), ("page", PLACEMENTS)))
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "app.log"
        with running_web(log, environment=ENVIRONMENT, threads=THREADS) as (address, _):
            alone = {clients: latencies(address, key, place, clients, seconds) for clients in CLIENTS}
        with running_web(log, environment=ENVIRONMENT, threads=THREADS, workers=PROCESSES) as (address, server):
            place_rate, place_detail = throughput(address, key, place, server, seconds, placements=1)
            page_rate, page_detail = throughput(
                address, key, page_of_places, server, seconds, placements=len(PLACEMENTS)
            )
    found = {f"one_process_p{p}_ms_{n}": percentile(each, p) for n, each in alone.items() for p in (50, 99)}
    together = detail | place_detail | found
    yield {"id": "ads.decide.p99_ms", "value": together["p99_ms"], "aim": "<= 20 ms", "detail": together}
    yield {"id": "ads.decide.per_s", "value": place_rate, "aim": ">= 500", "detail": detail | place_detail}
    page_detail = {"flights": FLIGHTS} | page | page_detail
    yield {"id": "ads.decide.per_s_by_page", "value": page_rate, "aim": ">= 500", "detail": page_detail}
    yield {
        "id": "ads.decide.growth",
        "value": many["cpu_ms"] / few["cpu_ms"],
        # Four times as many flights.
        "aim": "<= 4 times",
        "detail": {"flights": MORE_FLIGHTS, "cpu_ms": many["cpu_ms"], "cpu_ms_at_1000": few["cpu_ms"]},
    }


def throughput(
    address: str, key: str, question: Question, server: Process, seconds: float, *, placements: int
) -> tuple[float, dict[str, Any]]:
    """(decisions a second, what else the record says) of requests for so many places each: latencies, and the CPU time
    of a request by group of processes."""
    watch = CpuWatch(server)
    found = latencies(address, key, question, max(CLIENTS), seconds, watch)
    detail = {"placements": placements, "processes": PROCESSES, "clients": max(CLIENTS)}
    detail |= {f"p{p}_ms": percentile(found, p) for p in (50, 99)}
    detail |= watch.per_request(len(found))
    return 1000 * placements * max(CLIENTS) / float(np.mean(found)), detail


def question(name: str, places: Sequence[str]) -> Question:
    """Its bodies are made now: making them is no part of what is measured."""
    bodies = [body(turn) | {"placements": list(places)} for turn in range(BODIES)]
    return Question(f"{name} decision", "ads/decisions", lambda turn: bodies[turn % BODIES])


def body(turn: int) -> dict[str, Any]:
    """For one place of a page."""
    rng = np.random.default_rng(turn)
    asked: dict[str, Any] = {
        "placements": ["top"],
        "context": {
            "country": COUNTRIES[rng.integers(30)],
            "language": "en",
            "categories": [CATEGORIES[each] for each in rng.integers(0, 40, 2)],
        },
        "keywords": [KEYWORDS[each] for each in rng.integers(0, 500, 4)],
        "user_agent": AGENTS[turn % 2],
    }
    if turn % 2 == 0:
        asked["subject"] = {"user_id": f"reader-{rng.integers(SUBJECTS)}"}
        asked["consent"] = {"personalisation": True}
        asked["context"]["segments"] = [SEGMENTS[each] for each in rng.integers(0, 100, 3)]
    return asked


def targeting(rng: np.random.Generator) -> dict[str, Any]:
    """Some of the dimensions, each with a few values."""
    include: dict[str, list[str]] = {}
    for name, values, share in (
        ("countries", COUNTRIES, 0.6),
        ("keywords", KEYWORDS, 0.3),
        ("categories", CATEGORIES, 0.3),
        ("segments", SEGMENTS, 0.2),
        ("devices", ["desktop", "mobile"], 0.2),
    ):
        if rng.random() < share:
            count = min(len(values) // 2, int(rng.integers(1, 8)))
            include[name] = sorted({values[each] for each in rng.integers(0, len(values), count)})
    exclude = {"categories": [CATEGORIES[rng.integers(40)]]} if rng.random() < 0.2 else {}
    return {name: each for name, each in (("include", include), ("exclude", exclude)) if each}


def fill(tenant: Tenant, flights: int) -> None:
    """Live flights with one approved creative each, in bulk: the services would take minutes."""
    rng = np.random.default_rng(0)
    now = timezone.now()
    with tenant_scope(tenant.id):
        for place in PLACEMENTS:
            create(Placement, actor="benchmark", key=place, name=place, width=300, height=250, currency="EUR")
        advertiser = create(Advertiser, actor="benchmark", name="Advertiser", currency="EUR")
        campaign = create(Campaign, actor="benchmark", name="Campaign", advertiser_id=advertiser.id)
        made = [
            Flight(
                campaign=campaign,
                name=f"Flight {number}",
                status=FlightStatus.LIVE,
                starts_at=now - timedelta(days=1),
                ends_at=now + timedelta(days=30),
                bid_kind=("cpm", "cpc")[number % 2],
                bid_micros=int(rng.integers(UNIT // 2, 3 * UNIT)),
                budget_micros=1_000_000 * UNIT,
                targeting=targeting(rng),
                cap_impressions=10 if number % 3 == 0 else None,
            )
            for number in range(flights)
        ]
        Flight.objects.bulk_create(made, batch_size=1000)
        FlightBudget.objects.bulk_create(
            [FlightBudget(flight_id=each.id, budget_micros=each.budget_micros) for each in made], batch_size=1000
        )
        Creative.objects.bulk_create(
            [
                Creative(
                    flight=flight,
                    name="Banner",
                    width=300,
                    height=250,
                    text="Sleep outside",
                    click_url="https://tents.example/",
                    review=ReviewStatus.APPROVED,
                )
                for flight in made
            ],
            batch_size=1000,
        )
        announce_change()


def in_process(tenant: Tenant, placements: Sequence[str] = PLACEMENTS[:1]) -> dict[str, Any]:
    """CPU time of a request without HTTP, in this process alone, and its statements."""
    asked = [ask_in(tenant, turn, placements) for turn in range(IN_PROCESS)]
    forget_snapshots()
    for each in asked[:20]:
        once(tenant, each)
    with tenant_scope(tenant.id), CapturedQueries() as queries:
        decide(asked[20])
    started = time.process_time()
    for each in asked[21:]:
        once(tenant, each)
    cpu_ms = 1000 * (time.process_time() - started) / len(asked[21:])
    return {"cpu_ms": cpu_ms, "statements": len(queries)}


def ask_in(tenant: Tenant, turn: int, placements: Sequence[str]) -> Ask:
    with tenant_scope(tenant.id):
        return ask_of(AdAskSerializer.read(body(turn) | {"placements": list(placements)}))


def once(tenant: Tenant, asked: Ask) -> None:
    with tenant_scope(tenant.id):
        decide(asked)
