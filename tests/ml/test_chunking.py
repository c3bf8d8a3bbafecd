"""Texts are cut where a reader would cut them, and nothing of them is lost."""

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.data.chunking import chunk_text, sentences, width_of

GUIDE = """Everything about returns.

# Returns

## How long

You have 30 days. After that, ask us.

```
# not a heading
```

## 退货

七天内可以退货。超过七天请联系客服！

# Delivery
"""


def test_chunks_follow_the_headings_and_know_them() -> None:
    chunks = chunk_text(GUIDE)

    assert [chunk.headings for chunk in chunks] == [
        (),
        ("Returns",),
        ("Returns", "How long"),
        ("Returns", "退货"),
        ("Delivery",),
    ]
    assert chunks[2].text.startswith("## How long\n\nYou have 30 days.")
    assert chunks[2].text.endswith("# not a heading\n```")


def test_paragraphs_stay_together_while_they_fit() -> None:
    text = "One two.\n\nThree four.\n\nFive six seven."

    assert [chunk.text for chunk in chunk_text(text, width=24)] == ["One two.\n\nThree four.", "Five six seven."]


def test_a_wide_paragraph_is_cut_at_its_sentences_and_a_wide_sentence_at_its_words() -> None:
    assert [chunk.text for chunk in chunk_text("We ship. We do not! 我们发货。你好", width=12)] == [
        "We ship.",
        "We do not!",
        "我们发货。",
        "你好",
    ]
    assert [chunk.text for chunk in chunk_text("aaaa bbbb cccc dddd", width=10)] == ["aaaa bbbb", "cccc dddd"]


def test_sentences_of_english_and_chinese() -> None:
    text = 'It costs 3.50 today. "Really?" Yes! 可以退货吗？可以。好'

    assert [text[begin:end] for begin, end in sentences(text)] == [
        "It costs 3.50 today.",
        '"Really?"',
        "Yes!",
        "可以退货吗？",
        "可以。",
        "好",
    ]


@given(
    text=st.text(st.sampled_from("ab .!?\n#`~。！？退货é \t"), max_size=300) | st.text(max_size=200),
    width=st.integers(2, 80),
)
def test_nothing_is_lost_and_no_chunk_is_too_wide(text: str, width: int) -> None:
    chunks = chunk_text(text, width=width)

    assert all(text[chunk.start : chunk.end] == chunk.text for chunk in chunks)
    assert all(width_of(chunk.text) <= width and chunk.text.strip() == chunk.text != "" for chunk in chunks)
    covered = "".join(chunk.text for chunk in chunks)
    assert "".join(covered.split()) == "".join(text.split())
    assert all(one.end <= other.start for one, other in itertools.pairwise(chunks))


@pytest.mark.parametrize("repeated", [".", "。", " ", "\n", "# ", "#", "```\n", "退", "a ", '!"', "\n \n#  a  "])
def test_no_text_takes_long(repeated: str) -> None:
    started = time.process_time()
    chunk_text((repeated * 100_000)[:100_000])
    assert time.process_time() - started < 2.0
