"""HTML as Markdown text: what a reader of the page would see, without scripts, comments and hidden parts.

The answer is text and never markup, so whatever this misjudges can run nothing.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from html.entities import name2codepoint

from lxml import etree, html

from apps.service.knowledge.cleaning import Cleaned

SILENT = {"script", "style", "noscript", "template", "iframe", "object", "embed", "svg", "math", "canvas", "audio"}
SILENT |= {"video", "select", "option", "textarea", "input", "button", "form-data", "head", "title", "meta", "link"}
BLOCKS = {"p", "div", "section", "article", "main", "header", "footer", "aside", "ul", "ol", "table", "blockquote"}
BLOCKS |= {"dl", "dt", "dd", "figure", "figcaption", "form", "fieldset", "details", "summary", "address", "nav", "hr"}
LINES = {"li", "tr", "br", "caption"}
HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}
INLINE = {
    "a",
    "abbr",
    "b",
    "bdi",
    "bdo",
    "cite",
    "code",
    "del",
    "em",
    "font",
    "i",
    "img",
    "ins",
    "kbd",
    "label",
    "mark",
}
INLINE |= {
    "q",
    "s",
    "samp",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "sup",
    "td",
    "th",
    "tbody",
    "thead",
    "u",
    "var",
}
KNOWN = SILENT | BLOCKS | LINES | INLINE | HEADINGS.keys() | {"html", "body", "pre", "center", "tt", "base"}
NAMES = "|".join(sorted(KNOWN, key=len, reverse=True))
# An opening mark that is never closed is text, or all that follows would be lost.
MARKUP = rf"(?:/?(?:{NAMES})(?:[\s/][^<]*)?>|!--)"
TAG = re.compile(rf"<(?={MARKUP})", re.IGNORECASE)
STRAY = re.compile(rf"<(?!{MARKUP})", re.IGNORECASE)
# Ways in which a style hides what stands inside.
HIDING = re.compile(
    r"display:none|visibility:(?:hidden|collapse)|opacity:0?\.?0*(?:[;!]|$)|font-size:0*\.?0*(?:px|pt|em|rem|%)?(?:[;!]|$)"
    r"|(?:left|top|right|bottom|text-indent|margin-left|margin-top):-\d{3,}|clip:rect\(0|clip-path:inset\((?:50|100)%"
    r"|(?:^|;)(?:max-)?(?:width|height):0(?:px)?(?:[;!]|$)|transform:scale\(0\)"
)
# White is seen on a ground of another colour.
COLOURLESS = re.compile(
    r"(?:^|;)color:(?:transparent|white|#fff(?:fff)?|rgba?\(255,255,255[^)]{0,20}\)|rgba\([^)]{0,40},0\))"
)
AMPERSAND = re.compile(rf"&(?!#\d+;|#x[0-9a-f]+;|(?:{'|'.join(name2codepoint)});)", re.IGNORECASE)
RULE = re.compile(r"(?<![^{}])([^{}]+)\{([^{}]*)\}")
LINK = re.compile(r"(?:https?://|mailto:)[^\s()<>]+", re.IGNORECASE)
BLANKS = re.compile(r"[ \t\r\f]+")
DEEPEST = 200


def has_markup(text: str) -> bool:
    """Whether a text holds HTML, as Markdown may."""
    return TAG.search(text) is not None


def text_of_html(page: str) -> tuple[str, Cleaned]:
    """The page's title ('' for none), and its text as Markdown."""
    root = _parse(page)
    if root is None:
        return "", Cleaned("", {})
    title = " ".join("".join(found.itertext()).split() if (found := root.find(".//title")) is not None else [])
    return title, _read(root, keep_lines=False)


def text_of_markdown(body: str) -> Cleaned:
    """Markdown without the HTML that it holds: of that, its text where a reader would see it."""
    if not has_markup(body):
        return Cleaned(body, {})
    # What only looks like markup stays as it is written.
    root = _parse(STRAY.sub("&lt;", AMPERSAND.sub("&amp;", body)))
    return Cleaned("", {}) if root is None else _read(root, keep_lines=True)


def _parse(page: str) -> html.HtmlElement | None:
    parser = html.HTMLParser(encoding="utf-8", no_network=True, remove_pis=True, huge_tree=True)
    # The element around it keeps text that stands outside of any.
    try:
        return html.document_fromstring(f"<div>{page}</div>".encode("utf-8", "replace"), parser=parser)
    except (etree.ParserError, ValueError):
        return None


def _read(root: html.HtmlElement, *, keep_lines: bool) -> Cleaned:
    stripped: Counter[str] = Counter()
    hidden = _hidden_by_rules(root)
    parts = list(_walk(root, stripped, hidden, keep_lines, 0))
    text = "\n".join(line.rstrip(" \t") for line in "".join(parts).split("\n"))
    return Cleaned(re.sub(r"\n{3,}", "\n\n", text).strip(), dict(stripped))


def _walk(
    element: html.HtmlElement,
    stripped: Counter[str],
    hidden: Callable[[html.HtmlElement], bool],
    keep_lines: bool,
    depth: int,
    preformatted: bool = False,
) -> Iterator[str]:
    name = element.tag
    if not isinstance(name, str):
        stripped["comments"] += 1
        return
    if name in ("script", "style", "iframe", "object", "embed"):
        stripped["scripts and embedded parts" if name != "style" else "styles"] += 1
        return
    if name in SILENT:
        return
    if depth > DEEPEST or hidden(element):
        stripped["hidden parts"] += 1
        return
    preformatted = preformatted or name == "pre"

    def said(text: str | None) -> str:
        if not text:
            return ""
        return text if keep_lines or preformatted else BLANKS.sub(" ", text.replace("\n", " "))

    yield _before(name, element)
    if name == "img" and element.get("alt"):
        yield said(element.get("alt"))
    yield said(element.text)
    for child in element:
        yield from _walk(child, stripped, hidden, keep_lines, depth + 1, preformatted)
        yield said(child.tail)
    yield _after(name, element)


def _before(name: str, element: html.HtmlElement) -> str:
    if name in HEADINGS:
        return f"\n\n{HEADINGS[name]} "
    if name == "pre":
        return "\n\n```\n"
    if name in BLOCKS:
        return "\n\n"
    return {"li": "\n- ", "br": "\n", "tr": "\n", "caption": "\n"}.get(name, "[" if _link(name, element) else "")


def _after(name: str, element: html.HtmlElement) -> str:
    if name == "pre":
        return "\n```\n\n"
    if name in BLOCKS or name in HEADINGS:
        return "\n\n"
    if name in ("td", "th"):
        return " | " if element.getnext() is not None else ""
    link = _link(name, element)
    return f"]({link})" if link else ""


def _link(name: str, element: html.HtmlElement) -> str:
    address = (element.get("href") or "").strip() if name == "a" else ""
    return address if LINK.fullmatch(address) else ""


def _hidden_by_rules(root: html.HtmlElement) -> Callable[[html.HtmlElement], bool]:
    """What attributes, styles and the page's own rules for single classes and ids hide."""
    names = set()
    for style in root.iter("style"):
        for selectors, declarations in RULE.findall(style.text or ""):
            if _hides(declarations):
                names |= {each.strip() for each in selectors.split(",")}

    def hidden(element: html.HtmlElement) -> bool:
        if "hidden" in element.attrib or element.get("aria-hidden", "").strip().lower() == "true":
            return True
        if _hides(element.get("style", "")):
            return True
        own = {f".{name}" for name in element.get("class", "").split()} | {f"#{element.get('id', '')}", element.tag}
        return bool(names & (own | {f"{element.tag}{each}" for each in own if each[:1] in ".#"}))

    return hidden


def _hides(style: str) -> bool:
    squeezed = re.sub(r"/\*.*?(?:\*/|\Z)|\s+|\\", "", style, flags=re.DOTALL).lower()
    return bool(HIDING.search(squeezed) or ("background" not in squeezed and COLOURLESS.search(squeezed)))
