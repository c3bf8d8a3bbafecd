"""Replies that a language model writes: in a worker, backend after backend, each sentence checked as it comes."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from threading import Event

import structlog

from apps.service.replies.backends.base import (
    PROMPT_VERSION,
    Backend,
    CutOff,
    GenerationFailed,
    NumberedSource,
    ReplyRequest,
    reckoned_tokens,
)
from apps.service.replies.backends.fitting import fit_sources, fit_turns
from apps.service.replies.composing import Candidate, fill_templates, join
from apps.service.replies.evidence import Evidence, match_text
from apps.service.replies.grounding.checking import Dropped, Sentence, Source, check_sentence
from apps.service.replies.grounding.wording import sentences_of
from apps.service.replies.making import Gathered
from apps.service.replies.masking import Mask
from apps.service.replies.ranking import Ranking
from apps.service.replies.streaming import ReplyStream

log = structlog.get_logger(__name__)

MOST_SOURCES = 8
MOST_TURNS = 6
LONGEST_TITLE = 80
MOST_DROPPED_SHOWN = 5
# Names of an order's properties, in lower case.
_PERSONAL = re.compile(
    r"name|mail|phone|mobile|address|street|recipient|receiver|consignee|contact|birth|post_?code|postal|"
    r"(?:^|_)(?:city|town|zip|tel|fax)(?:$|_)|地址|电话|手机|姓名|收件|收货|邮箱"
)


@dataclass
class Generation:
    """What came of one backend: the sentences that are backed, those that are not, and what went wrong. `tokens` is
    how many it read and wrote: as `counted` where the model's tokenizer or its server has said, else reckoned from the
    texts, and `cut` names what it was not told in full: question, which is all that waits, turns, sources."""

    backend: str
    kept: list[tuple[str, Evidence]] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    failure: str | None = None
    cut_off: str | None = None
    tokens: int = 0
    counted: bool = False
    cut: Sequence[str] = ()

    def candidate(self, question: str) -> Candidate | None:
        if not self.kept:
            return None
        text = join([sentence for sentence, _ in self.kept])
        about = " ".join(f"{passage.title} {passage.text}" for _, passage in self.kept)
        return Candidate(self.backend, self.kept, text, match_text(question, about))

    def doubts(self) -> list[tuple[str, str]]:
        found = []
        if self.dropped:
            found.append(("unsupported", f"{len(self.dropped)} sentences that nothing backs were left out"))
        if self.cut_off:
            found.append(("cut_off", f"the model stopped in the middle: {self.cut_off}"))
        if "question" in self.cut:
            found.append(("partly_read", "the customer wrote more than the model was told"))
        return found

    def notes(self) -> dict[str, object]:
        """For the decision: which model was told what, and what it may not say."""
        why = [dropped.why for dropped in self.dropped[:MOST_DROPPED_SHOWN]]
        said = {"prompt_version": PROMPT_VERSION, "dropped": why, "failure": self.failure}
        return said | {"tokens_counted": self.counted, "cut": list(self.cut)}


def passages_for(gathered: Gathered) -> list[Evidence]:
    """What a model may say: articles, macros that are whole once filled, and the data of the order."""
    by_words = Ranking(gathered.templates)
    filled = fill_templates(gathered.asked.question, by_words, gathered.values, lambda: gathered.known)
    whole = [
        Evidence(source.source, source.version, source.kind, source.title, source.quote, each.text, source.score)
        for each in filled
        if each.is_whole and each.sentences
        for source in [each.sentences[0][1]]
    ]
    order = gathered.chosen.order
    if order is None:
        return [*gathered.articles, *whole][:MOST_SOURCES]
    values = {**order.values, "order": order.order_id}
    text = "\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in values.items())
    title = f"Order {order.order_id}"
    about = Evidence(f"order:{order.order_id}", 0, "order", title, lambda: text, text, 1.0)
    return [*[*gathered.articles, *whole][: MOST_SOURCES - 1], about]


def generate(
    gathered: Gathered, turns: Sequence[tuple[str, str]], backend: Backend, stream: ReplyStream, cancel: Event
) -> Generation:
    """Ask one backend; each sentence that its source backs is told to `stream` at once, others never are."""
    passages = passages_for(gathered)
    mask = Mask(private=_private(gathered))
    hide = mask.hide if backend.is_outside else str
    # Cut once they are hidden: half of an address would not be known as one.
    waiting = gathered.asked.waiting
    said = [(role, hide(text)) for role, text in turns[-max(MOST_TURNS, waiting) :]]
    texts = [f"{' '.join(hide(each.title).split())[:LONGEST_TITLE]}\n{hide(each.text)}" for each in passages]
    told, sources_told = fit_turns(said), fit_sources(texts)
    request = ReplyRequest(
        turns=told,
        sources=[
            NumberedSource(number, title, text)
            for number, (title, _, text) in enumerate((each.partition("\n") for each in sources_told), start=1)
        ],
        language="zh" if gathered.understood.language == "zh" else gathered.asked.language or "en",
    )
    sources = [Source(number, f"{each.title}\n{each.text}") for number, each in enumerate(passages, start=1)]
    asked = sum(reckoned_tokens(message["content"]) for message in request.messages())
    is_cut = {
        "question": told[-waiting:] != said[-waiting:],
        "turns": told != said,
        "sources": sources_told != texts,
    }
    result = Generation(backend.name, tokens=asked, cut=[name for name, is_so in is_cut.items() if is_so])
    try:
        for raw in _whole_sentences(backend.generate(request, cancel)):
            result.tokens += reckoned_tokens(raw)
            judged = check_sentence(mask.show(raw), sources, gathered.known)
            if isinstance(judged, Sentence):
                result.kept.append((judged.text, passages[judged.source - 1]))
                stream.tell("text", {"text": judged.text, "source": passages[judged.source - 1].source})
            else:
                result.dropped.append(judged)
    except CutOff as error:
        result.cut_off = str(error)
    except GenerationFailed as error:
        result.failure = str(error)
        log.warning("generation_failed", backend=backend.name, reason=str(error))
    if backend.tokens_used is not None:
        result.tokens, result.counted = backend.tokens_used, True
    return result


def _private(gathered: Gathered) -> list[tuple[str, str]]:
    """What is known of the customer, and properties of the order that say who or where somebody is."""
    customer = [("EMAIL" if name == "email" else "NAME", value) for name, value in gathered.facts.customer.items()]
    order = [("PRIVATE", value) for name, value in gathered.chosen.values.items() if _PERSONAL.search(name)]
    return [*customer, *order]


def _whole_sentences(pieces: Iterator[str]) -> Iterator[str]:
    """Sentences as soon as the next one begins; the last one when the text ends as it should."""
    text = ""
    for piece in pieces:
        text += piece
        *whole, rest = sentences_of(text) or [""]
        # A mark such as [1] may follow the full stop, and belongs to the sentence before.
        if whole and not rest.startswith("["):
            yield from _with_marks(whole)
            text = rest + (" " if piece[-1:].isspace() else "")
    yield from _with_marks(sentences_of(text))


def _with_marks(sentences: list[str]) -> list[str]:
    """A mark that stands behind the full stop goes to the sentence that it ends."""
    joined: list[str] = []
    for sentence in sentences:
        mark, bracket, rest = sentence.partition("]")
        if sentence.startswith("[") and bracket and mark[1:].isdigit() and joined:
            joined[-1] += f" {mark}]"
            if rest.strip():
                joined.append(rest.strip())
        else:
            joined.append(sentence)
    return joined
