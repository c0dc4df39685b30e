"""Which of a column's distinct words a pattern means: addresses, names of hosts, networks, parts of a text."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logscan.query.model import Pattern
from logscan.tables.texts import literal

Bools = npt.NDArray[np.bool_]


def addresses(words: pa.Array, pattern: Pattern) -> Bools:
    """Return which addresses are meant.

    ``a@b`` is the whole address, ``@b`` a domain alone, ``a@`` a local part, ``b.c`` a domain with those below it (or a local
    part with a dot), ``a`` a local part or a user without a domain. Letters' case doesn't matter.
    """
    body = _body(pattern)
    first, last = pattern.parts[0][:1], pattern.parts[-1][-1:]
    if not pattern.text or (("@" in pattern.text) and first != "@" and last != "@"):
        found = body
    elif first == "@":
        found = f".*{body}"
    elif last == "@":
        found = f"{body}.*"
    elif pattern.wild:
        found = f"{body}|{body}@.*|.*@{body}"
    elif "." in pattern.text:
        found = rf"{body}|.*@(?:.*\.)?{body}|{body}@.*"
    else:
        found = f"{body}|{body}@.*"
    return _matched(words, f"^(?:{found})$")


def names(words: pa.Array, pattern: Pattern) -> Bools:
    """Return which hosts are meant: ``mail.example.com``, a domain with those below it, an address, ``host[address]:port``."""
    body = _body(pattern)
    return _matched(words, rf"^(?:{body}|(?:[^\[]*\.)?{body}(?:\[.*)?|[^\[]*\[{body}\](?::[0-9]*)?)$")


def within(words: pa.Array, network: str) -> Bools:
    """Return which addresses (also ``host[address]:port``) lie in a network."""
    net = ip_network(network)
    return np.fromiter((_inside(word, net) for word in words.to_pylist()), np.bool_, len(words))


def parts(words: pa.Array, pattern: Pattern) -> Bools:
    """Return which texts hold a text."""
    return _matched(words, _body(pattern))


def wholes(words: pa.Array, pattern: Pattern) -> Bools:
    """Return which texts are that text."""
    return _matched(words, f"^(?:{_body(pattern)})$")


def equal(words: pa.Array, word: str) -> Bools:
    """Return which word it is."""
    out: Bools = np.asarray(pc.equal(words, pa.scalar(word, words.type)).to_numpy(zero_copy_only=False), np.bool_)
    return out


def _body(pattern: Pattern) -> str:
    return ".*".join(literal(each) for each in pattern.parts)


def _matched(words: pa.Array, pattern: str) -> Bools:
    # RE2, in time that follows the text's length, whatever the pattern is.
    found = pc.match_substring_regex(words, f"(?s){pattern}", ignore_case=True)
    out: Bools = np.asarray(found.to_numpy(zero_copy_only=False), np.bool_)
    return out


def _inside(word: str, net: object) -> bool:
    inner = word.partition("[")[2].partition("]")[0] if "[" in word else word
    try:
        address = ip_address(inner)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address) in net  # type: ignore[operator]
