"""Cutting a text into chunks that can be found and quoted: by headings, then paragraphs, then sentences.

Sentences end as English and Chinese write them. Nothing of a text is lost: each of its characters that is not blank
lies in exactly one chunk.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

# What a small encoder reads at once (128 tokens) is about so much English; a character of Chinese counts for two.
CHUNK_WIDTH = 600
WIDE = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef\U00020000-\U000323af]")
HEADING = re.compile(r"^(#{1,6})[ \t]+(.+)$", re.MULTILINE)
FENCE = re.compile(r"^(```|~~~).*?(?:^\1|\Z)", re.MULTILINE | re.DOTALL)
PARAGRAPH_END = re.compile(r"\n[ \t]*\n\s*")
# A run of marks is looked at from its start alone, or a long one would cost the square of its length.
SENTENCE_END = re.compile(
    r"(?<![.!?])[.!?]++[\"')\]\u2019\u201d]*+\s+|[\u3002\uff01\uff1f\uff1b\u2026]+[\"'\u201d\u2019\u300d\uff09]*\s*|\n+"
)


@dataclass(frozen=True)
class Chunk:
    """`text` is text[start:end] of the whole. `headings` are those above it, the outermost first."""

    start: int
    end: int
    text: str
    headings: tuple[str, ...]


Span = tuple[int, int]


def chunk_text(text: str, *, width: int = CHUNK_WIDTH) -> list[Chunk]:
    """Chunks in their order, none wider than `width`; a heading stays with what follows it.

    Raises ValueError where `width` is below 2, which one wide character takes.
    """
    if width < 2:
        raise ValueError(f"width must be 2 or more, not {width}")
    chunks = []
    for begin, end, headings in _sections(text):
        for first, last in _fill(text, _pieces(text, begin, end, width), width):
            trimmed = _trim(text, first, last)
            if trimmed[0] < trimmed[1]:
                chunks.append(Chunk(*trimmed, text[slice(*trimmed)], headings))
    return chunks


def sentences(text: str) -> list[Span]:
    """(start, end) of each sentence that is not blank, without the blanks around it."""
    found = (_trim(text, *span) for span in _cut(text, 0, len(text), SENTENCE_END))
    return [span for span in found if span[0] < span[1]]


def width_of(text: str) -> int:
    """Characters, those of Chinese, Japanese and Korean twice."""
    return len(text) + len(WIDE.findall(text))


def _sections(text: str) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """From one heading to the next; a '#' inside of fenced code is none."""
    fences = [match.span() for match in FENCE.finditer(text)]
    starts = [begin for begin, _ in fences]
    path: list[tuple[int, str]] = []
    begin = 0
    for match in HEADING.finditer(text):
        fence = bisect_right(starts, match.start()) - 1
        if fence >= 0 and match.start() < fences[fence][1]:
            continue
        yield begin, match.start(), tuple(title for _, title in path)
        level, title = len(match[1]), match[2].strip().rstrip("#").rstrip()
        path = [(depth, above) for depth, above in path if depth < level] + [(level, title)]
        begin = match.start()
    yield begin, len(text), tuple(title for _, title in path)


def _pieces(text: str, begin: int, end: int, width: int) -> Iterator[Span]:
    """Paragraphs; of one that is too wide its sentences; of such a sentence as much as fits each time."""
    for paragraph in _cut(text, begin, end, PARAGRAPH_END):
        if _fits(text, *paragraph, width):
            yield paragraph
            continue
        for sentence in _cut(text, *paragraph, SENTENCE_END):
            yield from _slices(text, *sentence, width)


def _slices(text: str, begin: int, end: int, width: int) -> Iterator[Span]:
    """Cut at the last blank that fits, or where nothing more fits."""
    while not _fits(text, begin, end, width):
        reach, taken = begin, 0
        while taken + (step := width_of(text[reach])) <= width:
            reach, taken = reach + 1, taken + step
        blank = text.rfind(" ", begin + 1, reach)
        cut = blank + 1 if blank > 0 else reach
        yield begin, cut
        begin = cut
    yield begin, end


def _fill(text: str, pieces: Iterator[Span], width: int) -> Iterator[Span]:
    """Neighbouring pieces together as long as they fit."""
    open_: Span | None = None
    for begin, end in pieces:
        if open_ is not None and _fits(text, open_[0], end, width):
            open_ = (open_[0], end)
            continue
        if open_ is not None:
            yield open_
        open_ = (begin, end)
    if open_ is not None:
        yield open_


def _fits(text: str, begin: int, end: int, width: int) -> bool:
    return end - begin <= width and width_of(text[begin:end]) <= width


def _cut(text: str, begin: int, end: int, boundary: re.Pattern[str]) -> Iterator[Span]:
    for match in boundary.finditer(text, begin, end):
        yield begin, match.end()
        begin = match.end()
    if begin < end:
        yield begin, end


def _trim(text: str, begin: int, end: int) -> Span:
    inner = text[begin:end]
    begin += len(inner) - len(inner.lstrip())
    return begin, begin + len(inner.strip())
