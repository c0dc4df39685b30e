"""How amounts are written in a sentence."""

from __future__ import annotations


def percent(share: float) -> str:
    """Return a share as ``99.9 %``; never 100 % for less than all, never 0 % for more than nothing."""
    if 0.9995 <= share < 1:
        return "99.9 %"
    if 0 < share < 0.0005:
        return "0.1 %"
    text = f"{share * 100:.1f}"
    return f"{text.removesuffix('.0')} %"


def plural(count: int, noun: str, many: str = "") -> str:
    """Return ``1 problem`` or ``1,234 problems``."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"
