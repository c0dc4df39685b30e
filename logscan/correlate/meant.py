"""For whom mail was meant that never got as far as a delivery: what cleanup, milters and filters say of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from logscan.correlate.codes import Bools
from logscan.correlate.events import Coded, Events
from logscan.correlate.facts import Facts
from logscan.correlate.frames import Words
from logscan.tables import texts


def meant_for_outside(tables: Events, f: Facts, verdicts: pd.DataFrame, own: frozenset[str], ended: Bools) -> Bools:
    """Return, per entry, whether a line of hold, discard or refusal, or a filter's verdict, names a recipient elsewhere.

    ``own`` are the domains here; a name without a domain is of here. Entries that ``ended`` in deliveries aren't asked for.
    """
    out = np.zeros(f.lives.size + 1, np.bool_)
    idle = np.append(~ended, False)
    entry = f.lives.entry["rejects"]
    rows = np.flatnonzero(idle[entry])
    if len(rows):
        out[entry[rows[_away(tables.coded("rejects", "recipient").of(rows), own)]]] = True
    if not len(verdicts):
        out[-1] = False
        return out[:-1]
    judged = verdicts[idle[verdicts["entry"].to_numpy()] & verdicts["recipients"].notna()]
    if len(judged):
        named = Words(texts.arrow(judged["recipients"])).coded()
        out[judged["entry"].to_numpy()[_away(named, own)]] = True
    out[-1] = False
    return out[:-1]


def _away(recipients: Coded, own: frozenset[str]) -> Bools:
    """Return which texts (one address or several with commas between) hold an address of another domain."""

    def test(words: pa.Array) -> pa.Array:
        told = words.to_pylist()
        away = [any(_domain(one) not in own for one in text.split(",") if "@" in one) for text in told]
        return pa.array(away, pa.bool_())

    return recipients.compact().where(test)


def _domain(address: str) -> str:
    return address.rpartition("@")[2].strip().strip("<>").lower()
