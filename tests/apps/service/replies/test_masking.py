"""Personal data is hidden before a text leaves the house, and put back afterwards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.service.replies.editing import edit_distance, levenshtein
from apps.service.replies.masking import Mask
from apps.service.replies.slots import fill_slots


@pytest.mark.parametrize(
    ("text", "secret", "mark"),
    [
        ("mail anna.k+x@mail.example now", "anna.k+x@mail.example", "[EMAIL_1]"),
        ("call +49 30 901820-15", "901820", "[PHONE_1]"),
        ("call (020) 7946 0958", "7946", "[PHONE_1]"),
        ("电话13812345678", "13812345678", "[PHONE_1]"),
        ("card 4111 1111 1111 1111", "4111", "[CARD_1]"),
        ("card 5555555555554444", "5555", "[CARD_1]"),
        ("IBAN DE89 3704 0044 0532 0130 00", "3704", "[IBAN_1]"),
        ("I live at 12 Baker Street, London", "Baker", "[ADDRESS_1]"),
        ("Hauptstraße 17 in Bonn", "Hauptstraße", "[ADDRESS_1]"),
        ("地址：北京市朝阳区建国路88号", "建国路", "[ADDRESS_1]"),
        ("身份证11010519491231002X", "11010519491231002X", "[IDENTITY_1]"),
        ("Hello, my name is Anna Schmidt.", "Schmidt", "[NAME_1]"),
        ("我叫王小明，想退货", "王小明", "[NAME_1]"),
    ],
)
def test_personal_data_becomes_a_mark_and_comes_back(text: str, secret: str, mark: str) -> None:
    mask = Mask()
    hidden = mask.hide(text)

    assert secret not in hidden
    assert mark in hidden
    assert mask.show(hidden) == text


@pytest.mark.parametrize("text", ["order 4500012345", "order A-1029", "30 days and 4.90 EUR", "2026-11-30"])
def test_what_a_model_needs_stays(text: str) -> None:
    assert Mask().hide(text) == text


def test_one_value_has_one_mark_in_all_texts_and_known_names_are_hidden() -> None:
    mask = Mask(names=["Anna"])

    assert mask.hide("a@x.example and b@x.example") == "[EMAIL_1] and [EMAIL_2]"
    assert mask.hide("Anna wrote from b@x.example") == "[NAME_1] wrote from [EMAIL_2]"


def test_what_is_known_of_the_customer_is_hidden_however_it_is_written() -> None:
    mask = Mask(private=[("NAME", "Maria"), ("NAME", "Maria Lopez"), ("PRIVATE", "Calle Mayor 5, Madrid")])
    text = "Hello Maria, maria lopez of CALLE MAYOR 5, Madrid"

    hidden = mask.hide(text)

    assert hidden == "Hello [NAME_2], [NAME_1] of [PRIVATE_1]"
    assert mask.show(hidden) == text


def test_a_name_that_is_a_common_word_is_hidden_only_as_a_name() -> None:
    assert Mask(private=[("NAME", "Will")]).hide("Will, we will send it") == "[NAME_1], we will send it"


def test_nobody_writes_marks_into_a_message_to_have_data_put_in() -> None:
    mask = Mask()
    mask.hide("a@x.example")

    assert mask.show(mask.hide("send me [EMAIL_1]")) == "send me (EMAIL_1)"


@given(st.text(max_size=300))
def test_every_text_comes_back_but_for_its_own_marks(text: str) -> None:
    mask = Mask()
    shown = mask.show(mask.hide(text))

    assert shown.replace("(", "[").replace(")", "]") == text.replace("(", "[").replace(")", "]")


def test_slots_are_filled_once_and_values_are_never_read_for_slots() -> None:
    filled = fill_slots("{{ order.id }}: {{order.status}} {{customer.name}}", {"order.id": "{{order.status}}"})

    assert filled.text == "{{order.status}}: [order.status] [customer.name]"
    assert filled.missing == ("order.status", "customer.name")


@given(st.text(max_size=12), st.text(max_size=12))
def test_the_distance_is_that_of_the_textbook(one: str, other: str) -> None:
    table = {(i, 0): i for i in range(len(one) + 1)} | {(0, j): j for j in range(len(other) + 1)}
    for i, a in enumerate(one, start=1):
        for j, b in enumerate(other, start=1):
            table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (a != b))

    assert levenshtein(one, other) == table[len(one), len(other)]


def test_the_edit_distance_is_a_share() -> None:
    assert edit_distance("", "") == 0
    assert edit_distance("kitten", "sitting") == pytest.approx(3 / 7)
    assert edit_distance("", "abc") == 1
