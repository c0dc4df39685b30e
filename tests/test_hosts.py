"""The list of hosts: of each its own mail, and no list where there is one host."""

from __future__ import annotations

from pathlib import Path

import logscan
from logscan.samples import story


def test_each_host_has_its_own_counts(tmp_path: Path) -> None:
    texts = {"mx1": (story("healthy") / "mail.log").read_text(), "mx2": (story("mixed-day") / "mail.log").read_text()}
    both = tmp_path / "both.log"
    both.write_text(texts["mx1"] + texts["mx2"].replace(" mx1 ", " mx2 "))
    report = logscan.analyse(logscan.read(both, jobs=1, timezone="UTC"))
    (listing,) = [each for each in report.traffic.listings if each.key == "hosts"]
    rows = {row[0]: dict(zip(listing.columns, row, strict=True)) for row in listing.rows}
    assert set(rows) == {"mx1", "mx2"}
    for host, text in texts.items():
        path = tmp_path / f"{host}.log"
        path.write_text(text)
        alone = logscan.analyse(logscan.read(path, jobs=1, timezone="UTC"))
        assert rows[host]["mails"] == alone.mails["total"]
        for name in ("recipients", "delivered", "deferred", "bounced", "expired", "deferrals"):
            assert rows[host][name] == alone.mails[name]
        assert [each for each in alone.traffic.listings if each.key == "hosts"] == []
