"""What the console shows of an audience."""

from typing import Any

from apps.ads.audiences.models import Audience, AudienceBuild, SeedKind
from apps.ads.audiences.selectors import builds_of, last_success, member_count, seed_count
from console.figures import percent

BUILDS_SHOWN = 10
WORDS = {
    "consent": "whose newest event lacks consent to personalisation or training",
    "nothing known": "who did nothing that the model knows",
    "erased": "who have been erased",
    "seed without history": "of the seed, with nothing before it",
}


def audience_context(audience: Audience) -> dict[str, Any]:
    shown = last_success(audience.id)
    return {
        "members": member_count(audience.id),
        "listed": seed_count(audience.id) if audience.seed_kind == SeedKind.LIST else None,
        "report": _shown(shown) if shown else None,
        "builds": list(builds_of(audience.id)[:BUILDS_SHOWN]),
    }


def _shown(build: AudienceBuild) -> dict[str, Any]:
    report = build.report or {}
    rows = [
        ("By this audience", report["recall"]),
        ("By how much each subject did", report["activity"]),
        ("By chance", report["random"]),
    ]
    return {
        "seed": report["seed"],
        "scored": report["scored"],
        "share": f"{100 * report['share']:g} %",
        "head": report["head"],
        "found": [(name, percent(share, 1)) for name, share in rows],
        "excluded": [(WORDS.get(reason, reason), count) for reason, count in report["excluded"].items()],
    }
