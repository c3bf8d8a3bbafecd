"""What the console shows of a source besides its form: how it reads, its chunks, its versions; and of a search."""

from typing import Any

from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

from apps.service.knowledge.form import SearchForm
from apps.service.knowledge.indexing import cut
from apps.service.knowledge.models import Source
from apps.service.knowledge.searching import STAGES, search_in_stages
from apps.service.knowledge.selectors import similar_sources, versions_of

HISTORY_SHOWN = 50
CHUNKS_SHOWN = 100
PASSAGES_SHOWN = 15
# Without raw HTML, which is shown as text; pictures would be fetched from outside.
MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


def rendered(body: str) -> SafeString:
    """Markdown as HTML that holds no markup but the renderer's own."""
    return mark_safe(MARKDOWN.render(body))


def source_context(source: Source) -> dict[str, Any]:
    chunks = cut(source)
    return {
        "source": source,
        "rendered": rendered(source.body),
        "chunks": [(" > ".join(chunk.headings), chunk.text) for chunk in chunks[:CHUNKS_SHOWN]],
        "chunk_count": len(chunks),
        "similar": similar_sources(source),
        "history": versions_of(source.id)[:HISTORY_SHOWN],
    }


def search_context(data: Any) -> dict[str, Any]:
    """The form as it was sent, and what it finds."""
    form = SearchForm(data)
    if not form.is_valid() or not form.cleaned_data["q"].strip():
        return {"form": form}
    asked = form.cleaned_data
    answer = search_in_stages(
        asked["q"],
        audience=asked["audience"] or ("segment" if asked["segment"] else "public"),
        segments=[asked["segment"]] if asked["segment"] else [],
        language=asked["language"] or None,
        count=PASSAGES_SHOWN,
        stages=STAGES,
    )
    return {"form": form, "answer": answer}
