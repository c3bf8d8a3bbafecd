"""Finding an audience's members: from the log and a seed to the subjects who are most like it.

A seed's history is read up to the event that made it one, and the others' up to moments drawn from the seeds', so that
neither the event itself nor the season tells them apart. What is then ranked is what everybody has done until now.
"""

from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import numpy as np
from django.db import connection
from django.utils import timezone
from numpy.typing import NDArray

from apps.ads.audiences.models import Audience
from apps.ads.audiences.selectors import seeds_of
from apps.ads.engine import Alike, SubjectReader, find_alike, subject_reader
from behavior.histories import Histories, read_histories
from tenancy.scope import current_tenant_id
from tenancy.tasks import task_scope

# What subjects did before is left unread: they are taken as they are now.
MEMORY = timedelta(days=180)
# With fewer an audience would say something of single people.
LEAST_SEED = 20
LEAST_OTHERS = 100
MOST_OTHERS = 20_000  # that a head is fitted and judged against

STAGE = "CREATE TEMPORARY TABLE IF NOT EXISTS ads_staging (subject_key bytea) ON COMMIT DELETE ROWS"
REMOVE = "DELETE FROM ads_audiencemember WHERE tenant_id = %s AND audience_id = %s"
# Who has been erased is not in the vault any more.
STORE = """
    INSERT INTO ads_audiencemember (tenant_id, subject_key, audience_id)
    SELECT %(tenant)s, known.subject_key, %(audience)s FROM ads_staging AS staged
        JOIN behavior_subjectidentity AS known
            ON known.tenant_id = %(tenant)s AND known.subject_key = staged.subject_key
    ON CONFLICT DO NOTHING"""


class CannotBuild(ValueError):
    """An audience cannot be found; says why, and what would help."""


@dataclass(frozen=True)
class BuildReport:
    """Counts of subjects. `recall` is the share of seeds that are found within the audience's share when they are held
    out, beside `random` and beside ranking by how much each did (`activity`); `excluded` counts by reason."""

    members: int
    seed: int
    scored: int
    share: float
    recall: float
    random: float
    activity: float
    head: str
    model_version: str
    excluded: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class _Cases:
    """Persons, each with a moment in Unix seconds up to which its history is read; both (n,)."""

    person: NDArray[np.int64]
    moment: NDArray[np.float64]


@dataclass(frozen=True)
class _Reading:
    """Of the cases that have a history: persons (n,), vectors (n, D), numbers of events (n,)."""

    person: NDArray[np.int64]
    vectors: NDArray[np.float32]
    events: NDArray[np.int64]


@dataclass(frozen=True)
class Members:
    """Hexadecimal keys of who is to be in an audience, and what is said of how they were found."""

    audience_id: UUID
    keys: list[str]
    report: BuildReport


def build(audience: Audience) -> Members:
    """Find the members; nothing is written. Raises CannotBuild."""
    now = timezone.now()
    with task_scope():
        reader = subject_reader()
        if reader is None:
            raise CannotBuild("no version of the model line next-item is live; train and promote one first")
        histories = read_histories(now - MEMORY)
        keys, moments = seeds_of(audience, now - timedelta(days=audience.seed_days))
    moment = np.array(moments, dtype=np.int64)
    person = histories.persons_of(keys, moment)
    seed = _first_moments(person[person >= 0], moment[person >= 0])
    everybody = _Cases(np.arange(len(histories.keys)), np.full(len(histories.keys), now.timestamp()))
    ranked = _read(reader, histories, everybody)
    generator = np.random.default_rng(audience.id.int % 2**64)
    alike = _alike(reader, histories, seed, ranked.person, audience.share, generator)
    chosen = _best(ranked.person, alike.head.scores(ranked.vectors), seed.person, audience)
    report = BuildReport(
        members=len(chosen),
        seed=alike.quality.tested,
        scored=len(ranked.person),
        share=audience.share,
        recall=alike.quality.recall,
        random=alike.quality.random,
        activity=alike.quality.activity,
        head=alike.choice.name,
        model_version=str(reader.version),
        excluded={
            "consent": histories.without_consent,
            "nothing known": len(histories.keys) - len(ranked.person),
            "erased": 0,
            "seed without history": len(keys) - alike.quality.tested,
        },
    )
    return Members(audience.id, [histories.keys[each] for each in chosen], report)


def _first_moments(person: NDArray[np.int64], moment: NDArray[np.int64]) -> _Cases:
    """Each person once, by the first of its moments, which are microseconds."""
    order = np.lexsort((moment, person))
    persons, first = np.unique(person[order], return_index=True)
    return _Cases(persons, moment[order][first] / 1e6)


def _read(reader: SubjectReader, histories: Histories, cases: _Cases) -> _Reading:
    starts = histories.offsets[cases.person]
    bounds = zip(starts, histories.offsets[cases.person + 1], cases.moment, strict=True)
    ends = [start + np.searchsorted(histories.time[start:end], moment) for start, end, moment in bounds]
    end = np.array(ends, dtype=np.int64)
    vectors, is_known = reader.read(histories, cases.person, end)
    return _Reading(cases.person[is_known], vectors[is_known], (end - starts)[is_known])


def _alike(
    reader: SubjectReader,
    histories: Histories,
    seed: _Cases,
    everybody: NDArray[np.int64],
    share: float,
    generator: np.random.Generator,
) -> Alike:
    """The head that tells the seed from a sample of the others, and how well it does."""
    positive = _read(reader, histories, seed)
    if len(positive.person) < LEAST_SEED:
        raise CannotBuild(
            f"the seed has {len(positive.person)} subjects who agreed to personalisation and training and did "
            f"something before; an audience needs {LEAST_SEED}: choose more days, another event or more subjects"
        )
    others = generator.permutation(np.setdiff1d(everybody, seed.person))[:MOST_OTHERS]
    drawn = _read(reader, histories, _Cases(others, generator.choice(seed.moment, len(others))))
    if len(drawn.person) < LEAST_OTHERS:
        raise CannotBuild(
            f"besides the seed {len(drawn.person)} subjects did something by then; an audience needs {LEAST_OTHERS}"
        )
    return find_alike(
        seed=positive.vectors,
        others=drawn.vectors,
        seed_activity=positive.events,
        other_activity=drawn.events,
        share=share,
        generator=generator,
    )


def _best(
    person: NDArray[np.int64], scores: NDArray[np.float64], seed: NDArray[np.int64], audience: Audience
) -> NDArray[np.int64]:
    """The share of all persons with the highest scores, the seed left out or added as the audience says."""
    apart = ~np.isin(person, seed)
    order = person[apart][np.argsort(-scores[apart], kind="stable")]
    chosen = order[: max(1, round(audience.share * len(person)))]
    return np.union1d(chosen, seed) if audience.include_seed else np.sort(chosen)


def store_members(found: Members) -> BuildReport:
    """Put those of the members that the vault still knows in place of the former ones, in the caller's transaction."""
    values: dict[str, Any] = {"tenant": current_tenant_id(), "audience": found.audience_id}
    with connection.cursor() as cursor:
        cursor.execute(STAGE)
        with connection.wrap_database_errors, cursor.copy("COPY ads_staging FROM STDIN") as copy:
            copy.write("".join(f"\\\\x{key}\n" for key in found.keys))
        cursor.execute(REMOVE, [values["tenant"], found.audience_id])
        cursor.execute(STORE, values)
        members = cursor.rowcount
    excluded = found.report.excluded | {"erased": len(found.keys) - members}
    return replace(found.report, members=members, excluded=excluded)
