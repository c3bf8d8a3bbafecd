"""A message's text as it comes, and what is kept of it."""

import html
import re
import unicodedata
from html.parser import HTMLParser

from behavior.parsing import Invalid, check_storable

LONGEST_TEXT = 10_000
# Tags that mail programs and chat widgets write; a lone "<3" or "a < b" is no HTML.
_TAG = re.compile(
    r"</?(?:p|br|div|span|b|i|u|em|strong|a|ul|ol|li|table|tr|td|th|tbody|thead|html|head|body|style|script|font|"
    r"blockquote|pre|code|h[1-6]|img|iframe|svg|hr|meta|link|title|object|embed|form|input|button)\b[^<>]*>",
    re.IGNORECASE,
)
_BLOCKS = {"p", "br", "div", "li", "tr", "blockquote", "pre", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "table"}
_UNSEEN = {"script", "style", "head", "title", "iframe", "object", "svg"}
# What stands on both sides of one is never one word.
_SEPARATED = dict.fromkeys({"td", "th", "img", "input", "button"} | _UNSEEN, " ") | dict.fromkeys(_BLOCKS, "\n")
_BLANK_LINES = re.compile(r"\n{3,}")
_SPACES = re.compile(r"[^\S\n]+")
# Joins emoji and letters of some scripts, so it stays; the other invisible ones only hide words from filters.
_JOINERS = {"\u200c", "\u200d"}


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.unseen = 0
        self.hidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "body":
            self._show()
        if tag in _UNSEEN:
            self.unseen += 1
            self.hidden.append(self.get_starttag_text() or "")
        self.parts.append(_SEPARATED.get(tag, ""))

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSEEN:
            self.unseen = max(0, self.unseen - 1)
            if not self.unseen:
                self._show()
        self.parts.append(_SEPARATED.get(tag, ""))

    def handle_data(self, data: str) -> None:
        (self.hidden if self.unseen else self.parts).append(data)

    def words(self) -> str:
        """What hides and never ends was written about, not used: all that follows would be lost."""
        self.close()
        return "".join([*self.parts, *self.hidden, self.rawdata])

    def _show(self) -> None:
        self.unseen = 0
        self.hidden.clear()


def clean_text(raw: str) -> str:
    """The text of a message: HTML becomes words, control and invisible characters go, lines are kept.

    Raises Invalid for a text that PostgreSQL cannot hold, that is too long, or of which nothing is left.
    """
    check_storable(raw)
    if len(raw) > LONGEST_TEXT:
        raise Invalid("max_length", f"has {len(raw):,} characters, {LONGEST_TEXT:,} are taken; shorten or split it")
    text = _words_of(raw) if _TAG.search(raw) else raw
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    text = "".join(character for character in text if _is_kept(character))
    text = "\n".join(_SPACES.sub(" ", line).strip() for line in text.split("\n"))
    text = _BLANK_LINES.sub("\n\n", text).strip()
    if not text or not any(_is_seen(character) for character in text):
        raise Invalid("blank", "holds nothing that can be read; send the customer's words")
    return text


def _words_of(raw: str) -> str:
    parser = _Words()
    parser.feed(raw)
    return html.unescape(parser.words())


def _is_kept(character: str) -> bool:
    if character in "\n\t" or character in _JOINERS:
        return True
    return unicodedata.category(character) not in ("Cc", "Cf", "Co", "Cn")


def _is_seen(character: str) -> bool:
    return unicodedata.category(character)[0] not in "ZC" and not unicodedata.combining(character)
