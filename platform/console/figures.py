"""How figures are written in the console."""


def amount(value: float | None, currency: str = "") -> str:
    """Such as "1,250.00 EUR"; what is smaller than a hundredth keeps its digits, six at most. A dash for None."""
    if value is None:
        return "—"
    digits = f"{value:,.2f}" if value == 0 or abs(value) >= 0.01 else f"{value:.6f}".rstrip("0")
    return f"{digits} {currency}".rstrip()


def percent(share: float | None, places: int = 2, sign: str = "") -> str:
    """Such as "12.50 %" for .125, with `sign` "+" also "+12.50 %"; a dash for None."""
    return "—" if share is None else f"{100 * share:{sign}.{places}f} %"
