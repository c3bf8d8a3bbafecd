"""Numbers as people write them: digits with separators, English words, Chinese numerals."""

import re
import unicodedata
from decimal import Decimal

_SMALL = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen"""
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
SMALL = {word: value for value, word in enumerate(re.findall(r"\w+", _SMALL))}
TENS = {word: 10 * value for value, word in enumerate(re.findall(r"\w+", _TENS), start=2)}
SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
LONE = {"dozen": Decimal(12), "half": Decimal("0.5")}
CHINESE_DIGITS = {character: value for value, character in enumerate("零一二三四五六七八九")} | {
    "〇": 0,
    "两": 2,
    "兩": 2,
    "壹": 1,
    "贰": 2,
    "叁": 3,
    "肆": 4,
    "伍": 5,
    "陆": 6,
    "柒": 7,
    "捌": 8,
    "玖": 9,
}
CHINESE_TENS = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1_000, "仟": 1_000}
CHINESE_SCALES = {"万": 10_000, "萬": 10_000, "亿": 100_000_000, "億": 100_000_000}
CHINESE_NUMERAL = f"[{''.join([*CHINESE_DIGITS, *CHINESE_TENS, *CHINESE_SCALES])}半]"
NUMBER_WORD = "|".join(sorted([*SMALL, *TENS, *SCALES, *LONE], key=len, reverse=True))
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,3}(?:[ '\u2019]\d{3})+(?:[.,]\d{1,2})?")
_EUROPEAN = re.compile(r"\d{1,3}(?:\.\d{3})+,\d{1,2}|\d{1,3}(?:\.\d{3}){2,}")


def plain(text: str) -> str:
    """Full-width and other scripts' digits and signs as ASCII, and one kind of dash and of apostrophe."""
    text = unicodedata.normalize("NFKC", text)
    if text.isascii():
        return text
    return "".join(_plain(character) for character in text)


def _plain(character: str) -> str:
    if character in "‐‑‒–—−":
        return "-"
    if character in "’‘":
        return "'"
    if not character.isascii() and character.isdecimal():
        return str(unicodedata.decimal(character))
    return character


def value_of_digits(token: str) -> Decimal:
    """1,299.00, 1.299,00, 1 299,00 and 1299 are one value; 12,50 is 12.5 and 1.299 is itself."""
    if _THOUSANDS.fullmatch(token):
        whole, point, rest = token.replace(",", "_").replace(".", "_.").partition("_.")
        if not point and re.search(r"[ ']", token) and re.search(r",\d{1,2}$", token):
            return Decimal(re.sub(r"[ ']", "", token).replace(",", "."))
        return Decimal(re.sub(r"\D", "", whole) + (f".{rest}" if point else "")).normalize()
    if _EUROPEAN.fullmatch(token):
        return Decimal(token.replace(".", "").replace(",", ".")).normalize()
    return Decimal(token.replace(",", ".")).normalize()


def value_of_words(words: list[str]) -> Decimal:
    """A sequence of English number words: ["two", "hundred", "and", "five"] is 205."""
    if len(words) == 1 and words[0] in LONE:
        return LONE[words[0]]
    total = Decimal(0)
    current = Decimal(0)
    for word in words:
        if word in SMALL:
            current += SMALL[word]
        elif word in TENS:
            current += TENS[word]
        elif word in LONE:
            current = (current or 1) * LONE[word]
        elif word == "hundred":
            current = (current or Decimal(1)) * 100
        elif word in SCALES:
            total += (current or Decimal(1)) * SCALES[word]
            current = Decimal(0)
    return (total + current).normalize()


def value_of_chinese(numeral: str) -> Decimal:
    """三十 is 30, 一千二百零五 1205, 两万 20000, 二〇二六 2026, 半 0.5, 三个半 is not read here."""
    if numeral == "半":
        return Decimal("0.5")
    if all(character in CHINESE_DIGITS for character in numeral):
        return Decimal(int("".join(str(CHINESE_DIGITS[character]) for character in numeral)))
    total = section = digit = 0
    for character in numeral:
        if character in CHINESE_DIGITS:
            digit = CHINESE_DIGITS[character]
        elif character in CHINESE_TENS:
            section += (digit or 1) * CHINESE_TENS[character]
            digit = 0
        elif character in CHINESE_SCALES:
            total = (total + section + digit) * CHINESE_SCALES[character]
            section = digit = 0
    half = Decimal("0.5") if numeral.endswith("半") else Decimal(0)
    return (Decimal(total + section + digit) + half).normalize()
