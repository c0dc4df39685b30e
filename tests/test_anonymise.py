"""An anonymised report shows nobody, and the same by the same."""

from __future__ import annotations

import json

import logscan
from logscan.anonymise import Names, anonymise
from logscan.samples import story


def test_people_hosts_and_addresses_are_gone_and_counts_stay() -> None:
    report = logscan.analyse(logscan.read(story("mixed-day"), jobs=1))
    hidden = anonymise(report)
    text = str(logscan.render(hidden, "json"))
    for name in ("alice", "frank", "example.com", "example.net", "198.51.100.101", "mx1", "nagios@"):
        assert name not in text, name
    assert json.loads(text)["mails"] == json.loads(str(logscan.render(report, "json")))["mails"]
    assert [c.verdict for c in hidden.checks] == [c.verdict for c in report.checks]


def test_the_same_name_stays_the_same_and_others_differ() -> None:
    names = Names({"alice"}, {"mx1"})
    line = "mx1 dspam[1]: /var/lib/dspam/data/local/alice/alice.sig/6b03.sig for alice, bob@a.example from 192.0.2.7"
    once = names.replace(line)
    assert once == names.replace(line)
    assert once.startswith("host1 dspam[1]: /var/lib/dspam/data/local/user1/user1.sig/")
    assert "192.0.2.7" not in once
    assert "bob" not in once


def test_times_and_file_names_stay() -> None:
    names = Names(set(), set())
    assert names.replace("12:30:01 mail.log master.cf:31 2026-11-22T07:00:00+00:00") == (
        "12:30:01 mail.log master.cf:31 2026-11-22T07:00:00+00:00"
    )
