"""Chinese numerals below a hundred million."""

DIGITS = {numeral: value for value, numeral in enumerate("零一二三四五六七八九")} | {"两": 2, "〇": 0}
UNITS = {"十": 10, "百": 100, "千": 1_000}
CHINESE_NUMERALS = "".join([*DIGITS, *UNITS, "万"])


def read_chinese(numeral: str) -> int:
    """三百二十 is 320, 十二 is 12, 两万 is 20,000; a row of digits such as 二〇二六 is read digit by digit."""
    if not any(unit in numeral for unit in [*UNITS, "万"]):
        return int("".join(str(DIGITS[character]) for character in numeral))
    high, ten_thousands, low = numeral.rpartition("万")
    return (
        (_below_ten_thousand(high) or 1) * 10_000 + _below_ten_thousand(low)
        if ten_thousands
        else (_below_ten_thousand(low))
    )


def _below_ten_thousand(numeral: str) -> int:
    total, digit = 0, 0
    for character in numeral.replace("万", ""):
        if character in UNITS:
            total += (digit or 1) * UNITS[character]
            digit = 0
        else:
            digit = DIGITS[character]
    return total + digit
