"""Passages are re-ranked by each sentence of a question, away from what a tenant's questions usually say; the product
ranks as the engine's search does, on which docs/benchmarks.md rests."""

from typing import Any

import pytest

from apps.service.conversations.services import add_message, open_conversation
from apps.service.engine import WEIGHING
from apps.service.knowledge import usual
from apps.service.knowledge.models import Source, UsualQuestion
from apps.service.knowledge.searching import search_in_stages
from apps.service.knowledge.services import create_source
from apps.service.tasks import encode_knowledge_of_tenant, learn_usual_question_of_tenant
from ml.nn.text_encoder import encoder_name, pretrained_encoder
from ml.serving.passages import PassageSearch
from ml.serving.passages import UsualQuestion as EngineUsualQuestion
from serving import text_vectors
from tenancy.models import Tenant
from tenancy.scope import tenant_scope

ARTICLES = {
    "Greetings from our team": "Hello and good morning to you. We hope that you are well and have a nice day.",
    "Changing the address of an order": "You can change the delivery address until the parcel is packed.",
    "Damaged goods": "Send us a photo of the broken item. We replace what arrives broken.",
    "Gift cards": "A gift card is valid for three years and pays for everything in the shop.",
    "Invoices": "The invoice comes by mail. A company's tax number is added on request.",
    "Opening hours": "Our shops are open from nine to five on working days.",
}
GREETING = "Hello and good morning to you. I hope that you are well and have a nice day."
QUESTION = f"{GREETING} The lamp in my parcel was smashed to pieces."
QUESTIONS = [
    QUESTION,
    "I moved house, so please bring it to my new street.",
    "How long can I pay with the voucher that my aunt gave me?",
    "Our accountant needs a bill with our VAT id on it. Thank you.",
    "When can I come by? I work until four.",
]


@pytest.fixture
def library(tenant: Tenant) -> Tenant:
    """ARTICLES, with their vectors."""
    with tenant_scope(tenant.id):
        for title, body in ARTICLES.items():
            create_source(kind="article", actor="somebody", publish=True, title=title, body=body)
    text_vectors.load_encoder()
    encode_knowledge_of_tenant.apply(headers={"tenant_id": tenant.id})
    return tenant


@pytest.fixture
def greeted(library: Tenant) -> Tenant:
    """Customers whose questions begin with the same greeting."""
    with tenant_scope(library.id):
        for number in range(usual.LEAST_QUESTIONS):
            opened = open_conversation(subject={"user_id": f"u-{number}"}, channel="web")
            text = f"{GREETING} {list(ARTICLES)[number % len(ARTICLES)]}, number {number}?"
            add_message(conversation_id=opened.id, role="customer", text=text, client_id="m-1")
    learn(library)
    return library


def learn(tenant: Tenant) -> None:
    learn_usual_question_of_tenant.apply(headers={"tenant_id": tenant.id}, throw=True)
    usual._kept.clear()


def titles(query: str, **options: Any) -> list[str]:
    return [passage.title for passage in search_in_stages(query, **options).passages]


def test_the_product_ranks_first_what_the_engine_does(library: Tenant) -> None:
    documents = list(ARTICLES.items())
    engine = PassageSearch(documents, pretrained_encoder(encoder_name()).encode)

    for question in QUESTIONS:
        scores = engine.of_documents(engine.weighed(engine.read(question), None, WEIGHING))
        with tenant_scope(library.id):
            found = titles(question)
        assert found[0] == documents[scores.argmax()][0], question


def test_what_all_questions_say_counts_less_once_it_is_learned(greeted: Tenant) -> None:
    known = EngineUsualQuestion.of([GREETING], pretrained_encoder(encoder_name()).encode)

    def lead() -> float:
        """Of the article that greets over the one that helps."""
        found = {passage.title: passage.score for passage in search_in_stages(QUESTION).passages}
        return found["Greetings from our team"] - found["Damaged goods"]

    with tenant_scope(greeted.id):
        kept = UsualQuestion.objects.get()
        after = lead()
        UsualQuestion.objects.all().delete()
        usual._kept.clear()
        before = lead()

    assert after < before - 0.1
    assert kept.questions == usual.LEAST_QUESTIONS
    assert kept.terms["morn"] == usual.LEAST_QUESTIONS
    assert float(usual._as_array(kept.vector) @ known.vector) > 0.4


def test_what_fewer_than_five_customers_wrote_is_not_kept(greeted: Tenant) -> None:
    with tenant_scope(greeted.id):
        terms = UsualQuestion.objects.get().terms

    assert min(terms.values()) >= usual.LEAST_HAVING
    assert "17" not in terms


def test_it_is_learned_again_only_after_enough_new_questions(greeted: Tenant) -> None:
    with tenant_scope(greeted.id):
        before = UsualQuestion.objects.get()
        opened = open_conversation(subject={"user_id": "new"}, channel="web")
        add_message(conversation_id=opened.id, role="customer", text="Something else", client_id="m-1")

    learn(greeted)

    with tenant_scope(greeted.id):
        assert UsualQuestion.objects.get().learned_at == before.learned_at


def test_too_few_questions_teach_nothing(library: Tenant, other_tenant: Tenant) -> None:
    learn(library)

    with tenant_scope(library.id):
        assert not UsualQuestion.objects.exists()
        assert usual.usual_question().questions == 0


def test_another_tenants_questions_change_nothing(greeted: Tenant, other_tenant: Tenant) -> None:
    with tenant_scope(other_tenant.id):
        assert usual.usual_question() == usual.Usual()
        assert not UsualQuestion.objects.exists()


def test_the_stage_can_be_switched_off_and_says_so(library: Tenant) -> None:
    with tenant_scope(library.id):
        answer = search_in_stages("broken item", stages=["full_text", "dense", "fuse"])
        without_words = search_in_stages("broken item", stages=["dense", "rerank"])

    rerank = next(stage for stage in answer.stages if stage.name == "rerank")
    assert (rerank.name, rerank.ran, rerank.reason) == ("rerank", False, "switched off")
    assert all(passage.stages["rerank"] is None for passage in answer.passages)
    assert without_words.passages[0].stages["full_text"] is None
    assert without_words.passages[0].score == without_words.passages[0].stages["rerank"]


def test_without_fusion_what_words_have_found_comes_first(library: Tenant) -> None:
    with tenant_scope(library.id):
        answer = search_in_stages("broken item", stages=["full_text", "dense"])
        by_words = search_in_stages("broken item", stages=["full_text"])

    assert [stage.name for stage in answer.stages if stage.ran] == ["full_text", "dense"]
    assert all(passage.stages["fuse"] is None for passage in answer.passages)
    count = len(by_words.passages)
    assert count
    assert [each.title for each in answer.passages[:count]] == [each.title for each in by_words.passages]


def test_a_passage_that_nobody_has_encoded_yet_is_found_beside_the_others(library: Tenant) -> None:
    with tenant_scope(library.id):
        source: Source = create_source(
            kind="article", actor="somebody", publish=True, title="Broken zips", body="A zip that broke is repaired."
        )
        found = search_in_stages("My zip broke, is it repaired?").passages

    (passage,) = [each for each in found[:2] if each.source_id == source.id]
    assert passage.stages["dense"] is None
    assert passage.stages["rerank"] is not None
