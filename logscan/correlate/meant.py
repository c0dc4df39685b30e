"""For whom mail was meant that never got as far as a delivery: what cleanup, milters and filters say of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from logscan.correlate.codes import Bools, plain
from logscan.correlate.facts import Facts
from logscan.tables import texts


def meant_for_outside(
    tables: dict[str, pa.Table], f: Facts, verdicts: pd.DataFrame, own: frozenset[str], ended: Bools
) -> Bools:
    """Return, per entry, whether a line of hold, discard or refusal, or a filter's verdict, names a recipient elsewhere.

    ``own`` are the domains here; a name without a domain is of here. Entries that ``ended`` in deliveries aren't asked for.
    """
    out = np.zeros(f.lives.size + 1, np.bool_)
    idle = np.append(~ended, False)
    entry = f.lives.entry["rejects"]
    rows = np.flatnonzero(idle[entry])
    if len(rows):
        named = pd.Series(plain(tables["rejects"].column("recipient")).take(pa.array(rows)).to_pandas(), dtype="str")
        out[entry[rows[_away(named, own)]]] = True
    judged = verdicts[idle[verdicts["entry"].to_numpy()] & verdicts["recipients"].notna()]
    if len(judged):
        out[judged["entry"].to_numpy()[_away(judged["recipients"], own)]] = True
    out[-1] = False
    return out[:-1]


def _away(recipients: pd.Series, own: frozenset[str]) -> Bools:
    """Return which texts (one address or several with commas between) hold an address of another domain."""

    def test(each: pd.Series) -> pd.Series:
        return each.map(lambda text: any(_domain(part) not in own for part in text.split(",") if "@" in part))

    return texts.where(recipients, test)


def _domain(address: str) -> str:
    return address.rpartition("@")[2].strip().strip("<>").lower()
