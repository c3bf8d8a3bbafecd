"""What a requirement on a scenario's data is, and how counts and shares are judged."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from apps.recommendation.lists.settings import ScenarioSettings
from apps.recommendation.sufficiency.log_sample import LogSample
from decisions.models import Scenario

OURS = "our own threshold"


class Verdict(StrEnum):
    """`thin` works, and less well than with enough; `insufficient` means that something else stands in."""

    OK = "ok"
    THIN = "thin"
    INSUFFICIENT = "insufficient"


@dataclass(frozen=True)
class Requirement:
    """`found` of `needed`, in `unit`; shares lie in [0, 1]. `at_least` marks a count that stopped at 50,000 events."""

    code: str
    title: str
    verdict: Verdict
    found: float | None
    needed: float
    unit: str
    source: str
    missing: str | None = None
    cure: str | None = None
    at_least: bool = False


@dataclass(frozen=True)
class Facts:
    """What the requirements of one scenario are held against."""

    scenario: Scenario
    settings: ScenarioSettings
    sample: LogSample
    now: datetime


def count(
    facts: Facts, code: str, title: str, found: int, *, least: int, enough: int, unit: str, cure: str, source: str
) -> Requirement:
    verdict = Verdict.INSUFFICIENT if found < least else Verdict.THIN if found < enough else Verdict.OK
    is_ok = verdict == Verdict.OK
    return Requirement(
        code=code,
        title=title,
        verdict=verdict,
        found=found,
        needed=enough,
        unit=unit,
        source=source,
        missing=None if is_ok else f"{enough - found:,} more {unit}",
        cure=None if is_ok else cure,
        at_least=not facts.sample.is_whole_log,
    )


def share(
    code: str, title: str, part: int, whole: int, *, least: float, enough: float, unit: str, cure: str
) -> Requirement:
    found = part / whole if whole else None
    verdict = Verdict.THIN if found is None or found < enough else Verdict.OK
    if found is not None and found < least:
        verdict = Verdict.INSUFFICIENT
    missing = f"{whole - part:,} of {whole:,} {unit}" if whole else f"no {unit} to look at yet"
    is_ok = verdict == Verdict.OK
    return Requirement(
        code=code,
        title=title,
        verdict=verdict,
        found=found,
        needed=enough,
        unit="share",
        source=OURS,
        missing=None if is_ok else missing,
        cure=None if is_ok else cure,
    )
