"""A message as plain text whose characters stand where they stood, so that places found in it hold in the original."""

import html
import re

# What a reader does not see: tags; comments, scripts and styles with all they hold, to the end where none closes them.
_UNSEEN = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style)\b[^<>]*>.*?(?:</\1\s*>|\Z)|</?[a-z][^<>]{0,2000}>", re.IGNORECASE | re.DOTALL
)
_REFERENCE = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z]{2,31});", re.IGNORECASE)
_SURROGATE = re.compile("[\ud800-\udfff]")
_SPACES = str.maketrans("\xa0\u200b\ufeff", "   ")


def plain_text(message: str) -> str:
    """As long as the message: tags become spaces, references to characters the character and spaces.

    Lone halves of surrogate pairs become question marks, since nothing can store or encode them.
    """
    text = _SURROGATE.sub("?", message)
    if "<" in text:
        text = _UNSEEN.sub(lambda found: " " * len(found[0]), text)
    if "&" in text:
        text = _REFERENCE.sub(_character, text)
    return text.translate(_SPACES)


def _character(found: re.Match[str]) -> str:
    read = html.unescape(found[0])
    return read.ljust(len(found[0])) if len(read) == 1 else found[0]
