"""Questions with the passages that a search finds for them, as the training of a cross-encoder reads them.

What agents accepted or edited says which passages answer a question. While these are few, articles' titles ask too:
their own texts answer them, and no passage is shown with its title then.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from apps.service.conversations.models import Message, Role
from apps.service.engine import PassageLists, passage_text
from apps.service.knowledge.models import Chunk, Source, SourceAudience, SourceKind, SourceStatus
from apps.service.knowledge.searching import CROSS_ENCODE, STAGES, Passage, read_beside, search_in_stages
from apps.service.learning.models import LearnedReply
from apps.service.learning.pairs import PAGE
from apps.service.learning.services import TAKEN, learn_everything
from apps.service.replies.asking import Asked
from apps.service.replies.evidence import LANGUAGES
from apps.service.replies.masking import Mask
from apps.service.replies.models import Reply, ReplyStatus
from apps.service.understanding.languages import detect_language

# Questions of agents' answers and titles together: with fewer, too few are held out to choose and judge by.
LEAST_QUESTIONS, MOST_QUESTIONS = 200, 2_000
# Of agents' answers: with more, titles say nothing new.
ENOUGH_ANSWERED = 500
LISTED = 20
# A draft that was changed more than this was not what the agent wanted to say, and nor are its sources.
MOST_CHANGED = 0.5
BEFORE_CROSS_ENCODING = tuple(stage for stage in STAGES if stage != CROSS_ENCODE)


@dataclass(frozen=True)
class Question:
    """`answers` are sources that answer it, with what was quoted of them."""

    text: str
    answers: dict[UUID, str]
    group: str
    at: float
    is_title: bool = False


@dataclass
class _Lists:
    asked: list[list[str]] = field(default_factory=list)
    passages: list[list[str]] = field(default_factory=list)
    right: list[list[bool]] = field(default_factory=list)
    fused: list[list[int]] = field(default_factory=list)
    found: list[int] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)


def missing_questions() -> str | None:
    """What is missing before a cross-encoder can be trained; None where nothing is."""
    judged = Reply.objects.filter(status__in=TAKEN).count()
    articles = _articles().count()
    if judged + articles >= LEAST_QUESTIONS:
        return None
    return (
        f"agents have accepted or edited {judged} replies and {articles} articles are published; training needs "
        f"{LEAST_QUESTIONS} of both together: judge more drafts in the inbox, or publish articles"
    )


def take_snapshot(config: dict[str, Any], folder: Path) -> Path:
    """Write the newest MOST_QUESTIONS questions below `folder`, which is the tenant's own, and return where. Personal
    data is masked; each question is searched as a reply to it would be now."""
    learn_everything()
    answered = _answered(MOST_QUESTIONS)
    titles = _titles(MOST_QUESTIONS - len(answered), before=answered) if len(answered) < ENOUGH_ANSWERED else []
    lists = _Lists()
    for question in [*titles, *answered]:
        _add(lists, question)
    path = folder / f"passages-{uuid7()}"
    PassageLists(**vars(lists)).write(path)
    return path


def _answered(most: int) -> list[Question]:
    """Oldest first."""
    newest = LearnedReply.objects.order_by("-given_at", "-id").values_list("id", flat=True)
    ids = list(newest[:most])[::-1]
    return [question for start in range(0, len(ids), PAGE) for question in _read(ids[start : start + PAGE])]


def _read(ids: Sequence[UUID]) -> list[Question]:
    learned = list(LearnedReply.objects.filter(id__in=ids).select_related("reply").order_by("given_at", "id"))
    said: dict[UUID, list[tuple[UUID, str]]] = {}
    messages = Message.objects.filter(conversation__in={each.reply.conversation_id for each in learned})
    for conversation, id, text in (
        messages.filter(role=Role.CUSTOMER).order_by("number").values_list("conversation", "id", "text")
    ):
        said.setdefault(conversation, []).append((id, text))
    return [question for each in learned if (question := _question(each, said.get(each.reply.conversation_id, [])))]


def _question(learned: LearnedReply, said: Sequence[tuple[UUID, str]]) -> Question | None:
    """None where nothing says which source answers it."""
    reply = learned.reply
    is_kept = reply.status == ReplyStatus.ACCEPTED or (reply.edit_distance or 0.0) <= MOST_CHANGED
    # A citation of the customer's order names no source of knowledge.
    cited = [each for each in reply.citations if is_kept and each["kind"] in SourceKind.values]
    answers = {UUID(each["source"]): each["quote"] for each in cited}
    if learned.source_id is not None:
        answers.setdefault(learned.source_id, "")
    place = next((place for place, (id, _) in enumerate(said) if id == reply.message_id), None)
    if not answers or place is None:
        return None
    mask = Mask()
    texts = [mask.hide(text) for _, text in said[: place + 1]][::-1]
    return Question(Asked(texts).query, answers, str(reply.conversation_id), learned.given_at.timestamp())


def _titles(most: int, *, before: Sequence[Question]) -> list[Question]:
    """As if they had been asked before all of these, so that answers of agents choose and judge."""
    last = before[0].at if before else float("inf")
    newest = _articles().order_by("-id").values_list("id", "title", "created_at")[:most]
    return [
        Question(title, {id: ""}, str(id), min(created_at.timestamp(), last), is_title=True)
        for id, title, created_at in sorted(newest, key=lambda row: row[2])
    ]


def _articles() -> Any:
    return Source.objects.filter(kind=SourceKind.ARTICLE, status=SourceStatus.PUBLISHED, audience=SourceAudience.PUBLIC)


def _add(lists: _Lists, question: Question) -> None:
    told = detect_language(question.text)
    language = told if told in LANGUAGES else None
    found = search_in_stages(question.text, language=language, count=LISTED, stages=BEFORE_CROSS_ENCODING).passages
    missed = _missed(question, found)
    if not found or not (missed or any(each.source_id in question.answers for each in found)):
        return
    order = sorted(range(len(found)), key=lambda place: -(found[place].stages["fuse"] or 0.0))
    places = {place: rank for rank, place in enumerate(order)}
    texts = [(each.title, each.text) for each in found] + [(title, text) for _, title, text in missed]
    ids = [each.chunk_id for each in found] + [id for id, _, _ in missed]
    lists.asked.append(read_beside(question.text, ids, language=language))
    lists.passages.append([text if question.is_title else passage_text(title, text) for title, text in texts])
    lists.right.append([each.source_id in question.answers for each in found] + [True] * len(missed))
    lists.fused.append([places[place] for place in range(len(found))] + [LISTED] * len(missed))
    lists.found.append(len(found))
    lists.groups.append(question.group)
    lists.times.append(question.at)


def _missed(question: Question, found: Sequence[Passage]) -> list[tuple[UUID, str, str]]:
    """(chunk, title, text) of each source that answers and was not found: the passage that was quoted, or the first."""
    wanted = set(question.answers) - {each.source_id for each in found}
    if not wanted:
        return []
    chosen: dict[UUID, tuple[UUID, str, str]] = {}
    rows = Chunk.objects.filter(source__in=wanted).order_by("place")
    for source, id, title, text in rows.values_list("source", "id", "source__title", "text"):
        quote = question.answers[source]
        if source not in chosen or (quote and quote in text and quote not in chosen[source][2]):
            chosen[source] = id, title, text
    return list(chosen.values())
