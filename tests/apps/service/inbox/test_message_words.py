"""Messages are found by their words, in any script, through an index."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from apps.service.conversations.models import Conversation, Message, Role
from apps.service.inbox.selectors import conversations_saying
from catalog.text_analysis import analyse, indexed_pairs
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.database import connected_as

LONG_AGO = timezone.now() - timedelta(days=10_000)


def say(*texts: str) -> Conversation:
    now = timezone.now()
    conversation = Conversation.objects.create(subject_key=uuid7().bytes * 2, channel="web", opened_at=now)
    Message.objects.bulk_create(
        Message(
            conversation=conversation,
            number=number,
            role=Role.CUSTOMER,
            text=text,
            client_id=str(number),
            event_id=uuid7(),
            created_at=now,
        )
        for number, text in enumerate(texts, start=1)
    )
    return conversation


def found(words: str) -> set[str]:
    said = Conversation.objects.filter(id__in=conversations_saying(words, since=LONG_AGO))
    return set(said.values_list("title", flat=True))


@pytest.mark.usefixtures("scope")
@pytest.mark.parametrize(
    "words",
    [
        "refund",
        "REFUND",
        "ref",
        "café",
        "cafe lamp",
        "Ｒｅｆｕｎｄ",
        "退货",
        "货流程",
        "退货流程",
        "程",
        "заказ",
        "ord-4711",
        "4711",
        "o'brien",
        "환불",
        "がく",
    ],
)
def test_words_are_found_by_their_beginning_and_chinese_by_any_piece(words: str) -> None:
    Conversation.objects.filter(
        id=say("A refund for the Café lamp, ORD-4711. O'Brien 退货流程 Где мой заказ? 환불해 주세요 がくせい").id
    ).update(title="it")
    say("something else 退订 货架 流水")
    assert found(words) == {"it"}


@pytest.mark.usefixtures("scope")
@pytest.mark.parametrize("words", ["", "  ", "%%", "'", "\\", ":*", "& | !", "fund", "refund tomorrow", "程退", "🙂"])
def test_what_nobody_said_is_not_found(words: str) -> None:
    say("A refund for the lamp", "come tomorrow", "退货流程")
    assert found(words) == set()


@pytest.mark.usefixtures("scope")
def test_only_messages_since_then_count() -> None:
    conversation = say("A refund")
    assert conversations(since=timezone.now() - timedelta(days=1)) == {conversation.id}
    assert conversations(since=timezone.now() + timedelta(days=1)) == set()


def conversations(*, since: object) -> set[object]:
    said = Conversation.objects.filter(id__in=conversations_saying("refund", since=since))  # type: ignore[arg-type]
    return set(said.values_list("id", flat=True))


def test_another_tenants_messages_are_not_found(tenant: Tenant, other_tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        say("A refund")
    with tenant_scope(other_tenant.id):
        assert not conversations(since=LONG_AGO)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM service_find_messages('refund', '2000-01-01')")
        assert cursor.fetchone() == (0,)


@pytest.mark.usefixtures("scope")
@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=200))
def test_the_database_cuts_any_text_and_finds_it_again(text: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT service_message_terms(%s) @@ (SELECT string_agg(quote_literal(term) || ':*', ' & ')::tsquery "
            "FROM unnest(tsvector_to_array(service_message_terms(%s))) AS term)",
            [text, text],
        )
        assert cursor.fetchone()[0] in (True, None)


@pytest.mark.usefixtures("scope")
def test_terms_are_those_of_the_catalogues_analysis() -> None:
    text = "Ｃａｆé, no. 12; 怎么退货？ がく 환불 x_y"
    analysed = analyse(text)
    with connection.cursor() as cursor:
        cursor.execute("SELECT tsvector_to_array(service_message_terms(%s))", [text])
        terms = set(cursor.fetchone()[0])
    assert terms == {*analysed.words, *(term for run in analysed.runs for term in indexed_pairs(run))}


def test_the_statement_uses_the_index(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        say(*(f"message {number} of many about parcel {number % 97}" for number in range(4_000)), "a refund 退货流程")
    with connected_as("owner"), tenant_scope(tenant.id), connection.cursor() as cursor:
        cursor.execute("ANALYZE service_message")
        cursor.execute("SELECT prosrc FROM pg_proc WHERE proname = 'service_find_messages'")
        statement = cursor.fetchone()[0].replace("since", "'2000-01-01'").replace("(asked)", "('退货 refund')")
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT TEXT) {statement}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "Bitmap Index Scan on message_terms" in plan, plan
    assert "Seq Scan" not in plan
