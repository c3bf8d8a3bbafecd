"""Passages are found by words and by meaning, in English and Chinese, and only by those who may read them."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from apps.service.engine import may_cross_encode
from apps.service.knowledge import encoding
from apps.service.knowledge.models import Chunk, Source, TermCount
from apps.service.knowledge.searching import beginnings, quote_of, search_in_stages
from apps.service.knowledge.selectors import Passage, search, similar_sources
from apps.service.knowledge.services import change_source, create_source, restore_source, set_status
from apps.service.tasks import encode_knowledge_of_tenant
from serving import text_vectors
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.queries import CapturedQueries

RETURNS = (
    "# Returns\n\nYou can return an item within 30 days. Refunds take five days.\n\n# Exchanges\n\nSizes are exchanged."
)


def make(title: str, body: str, **fields: Any) -> Source:
    kind = fields.pop("kind", "article")
    return create_source(kind=kind, actor="somebody", publish=True, title=title, body=body, **fields)


def found(query: str, **options: Any) -> list[str]:
    return [passage.title for passage in search(query, **options)]


@pytest.fixture
def encoded(tenant: Tenant) -> Any:
    """Has what waits read by the encoder, as the task does."""

    def encode() -> None:
        text_vectors.load_encoder()
        encode_knowledge_of_tenant.apply(headers={"tenant_id": tenant.id})

    return encode


@pytest.mark.usefixtures("scope")
def test_a_passage_has_its_source_its_version_and_a_quote_word_for_word() -> None:
    source = make("Sending things back", RETURNS)

    [passage] = search("How long does a refund take?")

    assert isinstance(passage, Passage)
    assert (passage.source_id, passage.version, passage.kind) == (source.id, 1, "article")
    assert passage.title == "Sending things back"
    assert passage.quote == "Refunds take five days."
    assert passage.quote in passage.text
    assert passage.text in source.body
    assert passage.stages["full_text"] is not None
    assert passage.stages["dense"] is None
    assert passage.score == passage.stages["fuse"] == pytest.approx(1 / 61)


@pytest.mark.usefixtures("scope")
def test_forms_of_words_accents_and_titles_find() -> None:
    make("Café opening hours", "Monday to Friday.")
    make("Parcels", "We are shipping worldwide.")

    assert found("cafe") == ["Café opening hours"]
    assert found("do you ship") == ["Parcels"]
    assert found("the of and") == []
    assert found("!!!") == []


@pytest.mark.usefixtures("scope")
def test_chinese_is_found_by_pairs_of_characters_and_never_embedded() -> None:
    source = make("退货政策", "七天内可以无理由退货。运费由买家承担。", language="zh")
    make("发票", "电子发票会发送到邮箱。", language="zh")

    answer = search_in_stages("怎么退货？运费谁出")

    assert [passage.title for passage in answer.passages] == ["退货政策"]
    assert answer.passages[0].quote == "运费由买家承担。" or "退货" in answer.passages[0].quote
    dense = next(stage for stage in answer.stages if stage.name == "dense")
    assert (dense.ran, dense.reason) == (False, "no text encoder for this language is configured")
    assert set(Chunk.objects.filter(source=source).values_list("language", flat=True)) == {"zh"}


def test_chinese_in_an_article_that_says_english_has_no_vector_either(tenant: Tenant, encoded: Any) -> None:
    with tenant_scope(tenant.id):
        make("Returns", "You have thirty days.\n\n# 退货\n\n七天内可以无理由退货，运费由买家承担。")
    encoded()

    with tenant_scope(tenant.id):
        read = dict(Chunk.objects.values_list("language", "embedding"))
        assert read["en"] is not None
        assert read["zh"] is None
        assert not encoding.some_wait()


def test_an_operator_who_has_a_multilingual_encoder_says_so(tenant: Tenant, encoded: Any, settings: Any) -> None:
    with tenant_scope(tenant.id):
        make("退货政策", "七天内可以无理由退货。", language="zh")
    encoded()
    with tenant_scope(tenant.id):
        assert not encoding.has_vectors()

    settings.TEXT_ENCODER_LANGUAGES = {"en", "zh"}
    encoded()
    with tenant_scope(tenant.id):
        assert encoding.has_vectors()
        assert next(stage for stage in search_in_stages("退货").stages if stage.name == "dense").ran

    settings.TEXT_ENCODER_LANGUAGES = {"en"}
    with tenant_scope(tenant.id):
        make("Parcels", "We ship worldwide.")
    encoded()
    with tenant_scope(tenant.id):
        assert Chunk.objects.get(language="zh").embedding is None


def test_meaning_finds_what_words_do_not(tenant: Tenant, encoded: Any) -> None:
    with tenant_scope(tenant.id):
        make("Getting your money back", "We refund the price to your card.")
        make("Opening hours", "Our shops open at nine.")
    encoded()

    with tenant_scope(tenant.id):
        answer = search_in_stages("reimbursement of a purchase")
        [passage] = answer.passages
        assert passage.title == "Getting your money back"
        assert passage.stages["full_text"] is None
        assert passage.stages["dense"] is not None
        assert passage.stages["dense"] > 0.3
        assert passage.stages["rerank"] == pytest.approx(passage.stages["dense"], abs=1e-4)
        assert [stage.name for stage in answer.stages if stage.ran] == ["full_text", "dense", "fuse", "rerank"]
        assert found("reimbursement of a purchase", stages=["full_text"]) == []
        assert found("qwerty zxcvb uiop") == []


@pytest.mark.usefixtures("scope")
@pytest.mark.parametrize("change", ["retire", "expire", "postpone", "hide"])
def test_what_may_not_be_told_is_not_found_in_the_same_transaction(change: str) -> None:
    source = make("Returns", RETURNS)
    assert found("refund") == ["Returns"]

    now = timezone.now()
    changes: dict[str, dict[str, Any]] = {
        "expire": {"valid_until": now - timedelta(seconds=1)},
        "postpone": {"valid_from": now + timedelta(hours=1)},
        "hide": {"audience": "agents"},
    }
    if change == "retire":
        set_status(source_id=source.id, kind="article", status="retired", actor="somebody")
    else:
        change_source(source_id=source.id, kind="article", actor="somebody", changes=changes[change])

    assert found("refund") == []
    assert found("refund", audience="agents") == (["Returns"] if change == "hide" else [])


@pytest.mark.usefixtures("scope")
def test_validity_is_judged_when_it_is_asked_and_not_when_it_was_written() -> None:
    source = make("Returns", RETURNS, valid_until=timezone.now() + timedelta(hours=1))
    assert found("refund") == ["Returns"]

    # As if the hour had passed, which touches no chunk.
    Source.objects.filter(id=source.id).update(valid_until=timezone.now() - timedelta(seconds=1))
    assert found("refund") == []
    Chunk.objects.filter(source=source).update(valid_until=timezone.now() - timedelta(hours=1))
    assert found("refund") == []


@pytest.mark.usefixtures("scope")
def test_segments_see_what_is_for_them() -> None:
    make("Returns", "Refund in 30 days.")
    make("Returns of members", "Refund in 90 days.", audience="segment", segments=["gold", "silver"])
    make("When to refuse a refund", "Ask the lead.", audience="agents")

    assert set(found("refund")) == {"Returns"}
    assert set(found("refund", audience="segment", segments=["bronze"])) == {"Returns"}
    assert set(found("refund", audience="segment", segments=["gold"])) == {"Returns", "Returns of members"}
    assert len(found("refund", audience="agents")) == 3
    # A segment's name is no way to what is for agents.
    assert set(found("refund", audience="segment", segments=["agents", "public"])) == {"Returns"}
    assert set(found("refund", audience="public", segments=["gold"])) == {"Returns"}


@pytest.mark.usefixtures("scope")
def test_drafts_are_not_found_and_restoring_brings_an_earlier_text_back() -> None:
    source = create_source(kind="article", actor="somebody", title="Returns", body="Refund in 30 days.")
    assert found("refund") == []
    set_status(source_id=source.id, kind="article", status="published", actor="somebody")
    change_source(source_id=source.id, kind="article", actor="somebody", changes={"body": "Vouchers only."})
    assert found("refund") == []
    assert found("voucher") == ["Returns"]

    restore_source(source_id=source.id, kind="article", to=2, actor="somebody")

    assert found("refund") == ["Returns"]
    assert found("voucher") == []


@pytest.mark.usefixtures("scope")
def test_a_search_is_narrowed_by_kind_and_language() -> None:
    make("Returns", "Refund in 30 days.")
    make("Refund done", "Hello {{customer.first_name}}, the refund of {{order.id}} is on its way.", kind="macro")
    make("退款 refund", "七天内退款 refund 到账，感谢您的耐心等待。", language="zh")

    assert set(found("refund", kinds=["macro"])) == {"Refund done"}
    assert set(found("refund", language="zh")) == {"退款 refund"}
    assert len(found("refund", count=2)) == 2
    assert found("refund", kinds=[]) == []


@pytest.mark.usefixtures("scope")
def test_a_long_article_leaves_room_for_others() -> None:
    make("Refunds", "\n\n".join(f"# Refund {number}\n\nRefund of case {number}." for number in range(20)))
    make("Gift cards", "A refund of gift cards takes a day longer than the refund of other goods in the shop.")

    assert sorted(found("refund", count=10)) == ["Gift cards", "Refunds", "Refunds"]


@pytest.mark.usefixtures("scope")
def test_what_ranks_behind_the_many_parts_of_one_article_is_read_when_it_is_needed() -> None:
    part = "Refunds. Refunds refund the refunded refund. " * 12
    make("Refunds", "\n\n".join(f"# Refunds {number}\n\n{part}" for number in range(20)))
    make("Gift cards", "A gift card takes a day longer. Ask the shop for its refund.")

    with CapturedQueries() as asked:
        titles = found("refund", count=3, stages=["full_text"])

    assert titles == ["Refunds", "Refunds", "Gift cards"]
    assert sum("service_source" in each["sql"] for each in asked) == 2


@pytest.mark.usefixtures("scope")
def test_rare_words_say_more_than_frequent_ones_once_they_are_counted() -> None:
    for number in range(30):
        make(f"Order {number}", f"The order of number {number} is an order like any other order.")
    make("Klarna", "Pay later with klarna.")
    encoding.count_terms()

    assert dict(TermCount.objects.filter(term__in=["", "order", "klarna"]).values_list("term", "chunks")) == {
        "": 31,
        "order": 30,
    }
    assert found("order order klarna", count=1) == ["Klarna"]


@pytest.mark.usefixtures("scope")
def test_a_search_asks_the_database_for_each_stage_once(settings: Any) -> None:
    for number in range(20):
        make(f"Returns {number}", RETURNS)
    text_vectors.text_vector("warm up")
    # Which models are live is asked once in a second, whatever is searched for.
    may_cross_encode()

    with CapturedQueries() as asked:
        search("How do I get a refund?", count=20)

    # What is usual, words, meaning and vectors where the encoder is loaded, and the passages.
    assert len(asked) <= 5


@pytest.mark.usefixtures("scope")
def test_titles_that_say_the_same_are_named() -> None:
    first = make("How to return an item", RETURNS)
    make("Opening hours", "Nine to five.")
    draft = create_source(kind="article", actor="somebody", title="Something else", body=RETURNS)
    near = create_source(kind="article", actor="somebody", title="How to return items", body="Ask us.")
    same = create_source(kind="article", actor="somebody", title="How to return an item", body=RETURNS)

    assert [(each.id, each.similarity) for each in similar_sources(same)] == [(first.id, 1.0)]
    assert [each.id for each in similar_sources(near)] == [first.id]
    assert similar_sources(draft) == []


def test_another_tenant_finds_nothing(tenant: Tenant, other_tenant: Tenant, encoded: Any) -> None:
    with tenant_scope(tenant.id):
        make("Returns", RETURNS)
    encoded()
    with tenant_scope(other_tenant.id):
        assert search("refund", audience="agents") == []
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM service_match_words('refund', ARRAY['refund'], ARRAY[1.0], NULL, NULL, '', 9)"
            )
            assert cursor.fetchone() == (0,)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM service_match_meaning(%s::vector, NULL, NULL, '', 9)", [str([0.1] * 384)])
        assert cursor.fetchone() == (0,)


@pytest.mark.usefixtures("scope")
@pytest.mark.parametrize(
    "query",
    ["", " ", "'", "a' | 'b", "<-> & | !", "\\", "{{order.id}}", "😀", "x" * 10_000, "退" * 5_000, "a " * 5_000],
)
def test_any_query_is_answered(query: str) -> None:
    make("Returns", RETURNS)

    assert isinstance(search(query), list)


@given(text=st.text(min_size=1, max_size=300), query=st.text(max_size=50))
def test_a_quote_is_always_part_of_its_text(text: str, query: str) -> None:
    assert quote_of(text, beginnings(query)) in text
