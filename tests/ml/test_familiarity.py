"""How like a conversation is to the training's: by words in any script, and by meaning where an encoder reads."""

import numpy as np
import pytest

from ml.nn.text_encoder import encoder_name, pretrained_encoder
from ml.serving.familiarity import Familiarity
from ml.serving.reply_inputs import AskedTexts, read_conversations

ASKED = ["where is my order?", "when does my parcel come?", "why was my card declined?", "my order is late"]
CHINESE = ["我的订单在哪里", "什么时候发货", "退款什么时候到账", "发票怎么开"]


def read(*texts: str, by_meaning: bool = False) -> AskedTexts:
    return read_conversations([[text] for text in texts], pretrained_encoder(encoder_name()) if by_meaning else None)


def trained_on(texts: list[str], *, by_meaning: bool = False) -> Familiarity:
    trained = read(*texts * 20, by_meaning=by_meaning)
    return Familiarity.fit(trained, read(*texts, by_meaning=by_meaning))


@pytest.mark.parametrize(
    ("texts", "alike", "unlike"),
    [(ASKED, "is my order late?", "can I wash a sleeping bag?"), (CHINESE, "发票什么时候到", "今天奥斯陆天气怎么样")],
)
def test_by_words_what_shares_few_of_them_is_strange(texts: list[str], alike: str, unlike: str) -> None:
    same, near, far, mute = trained_on(texts)(read(texts[0], alike, unlike, "🙂"))
    assert same > 0.99
    assert near > 0.6
    assert far < 0.4
    assert mute == 0.0


def test_by_meaning_other_words_for_the_same_are_less_strange() -> None:
    same, near, far = trained_on(ASKED, by_meaning=True)(
        read(ASKED[0], "Has the package been shipped yet?", "Can I wash a sleeping bag?", by_meaning=True)
    )
    assert same > 0.9
    assert near > far + 0.2
    assert far < 0.4


def test_what_the_encoder_was_not_made_for_is_told_by_words() -> None:
    known, strange = trained_on([*ASKED, *CHINESE], by_meaning=True)(
        read(CHINESE[0], "量子纠缠是什么", by_meaning=True)
    )
    assert known > 0.99
    assert strange < 0.4


def test_a_desk_of_any_size_keeps_the_scale() -> None:
    few = trained_on(ASKED, by_meaning=True)
    many = Familiarity.fit(read(*ASKED * 500, by_meaning=True), read(*ASKED, by_meaning=True))
    asked = read("Has the package been shipped yet?", "Can I wash a sleeping bag?", by_meaning=True)
    assert np.allclose(few(asked), many(asked), atol=0.05)
