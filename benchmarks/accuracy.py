#!/usr/bin/env python3
"""Measures precision and recall per check, leg and count against folders with a ``truth.json``.

    python benchmarks/accuracy.py FOLDER...
    python benchmarks/accuracy.py --counts FOLDER...    (what became of each mail, where the truth tells)

A folder holds what a server's administrator would give (logs, configuration, DSPAM's files) and ``truth.json``, made by
what really sent, received and trained. Exits with 1 when a folder isn't perfect.
"""

from __future__ import annotations

import gzip
import itertools
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import logscan
from logscan.report.model import Report
from logscan.scan.scan import Scan

NONE = "(none)"
"""Mails without a Message-ID lie under this key, which makes them no duplicates of each other."""

LOCAL = ("localhost25", "sendmail")

KNOWN = 0.9
"""Share of lines that have to be understood: a lab's own filter writes lines that nobody knows."""


@dataclass
class Score:
    """Cases expected and reported under one name."""

    name: str
    expected: Counter[Any]
    reported: Counter[Any]

    @property
    def hits(self) -> int:
        return sum((self.expected & self.reported).values())

    @property
    def recall(self) -> float:
        return self.hits / max(1, sum(self.expected.values())) if self.expected else 1.0

    @property
    def precision(self) -> float:
        return self.hits / max(1, sum(self.reported.values())) if self.reported else 1.0

    @property
    def perfect(self) -> bool:
        return self.expected == self.reported


def cases(report: Report, check: str) -> Iterable[tuple[Any, dict[str, Any]]]:
    for result in report.checks:
        if result.name == check:
            for finding in result.findings:
                for case in finding.cases:
                    yield finding, case


def scores(truth: dict[str, Any], scan: Scan, report: Report, learned: set[str]) -> list[Score]:
    """Return the scores of one folder."""
    sends = {send["first_queue_id"]: send for send in truth["sends"] if send.get("first_queue_id")}
    accepted = [send for send in truth["sends"] if send.get("accepted") and send.get("first_queue_id")]
    own = [
        Score(
            "duplicate-delivery",
            Counter((d["message_id"], d["mailbox"], d["copies"]) for d in truth["duplicates"] if d["message_id"] != NONE),
            Counter((c["message_id"], c["mailbox"], c["copies"]) for _, c in cases(report, "duplicate-delivery")),
        ),
        Score(
            "authenticated-port-25",
            Counter((s["auth_user"], s["first_queue_id"]) for s in accepted if s["via"] == "auth25"),
            Counter((f.subject, c["queue_id"]) for f, c in cases(report, "authenticated-port-25")),
        ),
        Score("outgoing-tagged-spam", outgoing(truth, sends), reported_outgoing(report)),
        Score("training-misses-hash", training(truth), Counter(
            (f.subject, c["signature"]) for f, c in cases(report, "training-misses-hash"))),
        Score("alias-owns-hash", aliases(truth, learned), Counter({f.subject: 1 for f, _ in cases(report, "alias-owns-hash")})),
        Score("local-mail-filtered", local_filtered(truth, sends), Counter(
            (c["message_id"], str(c["recipient"]).lower()) for _, c in cases(report, "local-mail-filtered"))),
        Score("internal-tagged-spam", internal(truth, sends), Counter(
            (c["message_id"], mailbox_of(scan, c)) for _, c in cases(report, "internal-tagged-spam"))),
    ]  # fmt: skip
    known = {score.name for score in own}
    return own + [told(truth, report, result.name) for result in report.checks if result.name not in known]


GAPS, BY_ADDRESS, BY_USER = ("log-gap",), ("password-guessing",), ("dictionary-full",)
"""Checks whose cases are times, networks and dictionaries; those of the others are mails."""

CALLED = {"training": "training-without-effect"}
"""Checks that a truth calls by another name."""

MOST_OF = 0.9
"""Share of the addresses of one attack that makes it known: one that only succeeded never failed."""


def told(truth: dict[str, Any], report: Report, check: str) -> Score:
    """Score a check by what the truth names under it: ``cases``, each with ``check``, and what such a case is known by.

    Notes aren't counted: they say what is as it should be.
    """
    due = [case for case in truth.get("cases", ()) if CALLED.get(case["check"], case["check"]) == check]
    said = [case for finding, case in cases(report, check) if finding.severity != "note"]
    if check in GAPS:
        return Score(check, Counter(range(len(due))), Counter(_gap(case, due) for case in said))
    if check in BY_ADDRESS:
        known = {each for case in said for each in case["addresses"]}
        attacks = Counter(
            place
            for place, case in enumerate(due)
            if len(known & set(case["addresses"])) >= MOST_OF * len(case["addresses"])
        )
        wrong = known - {each for case in due for each in case["addresses"]}
        return Score(check, Counter(range(len(due))), attacks + Counter(wrong))
    if check in BY_USER:
        return Score(check, Counter(case["user"] for case in due), Counter(str(case["user"]) for case in said))
    ids = Counter({each for case in due for each in case.get("message_ids", ())})
    named = Counter({str(case["message_id"]) for case in said if case.get("message_id")})
    # Lines of a before-queue filter, and of what was refused, name no mail: what can be compared is how many there are.
    nameless = sum(1 for case in said if not case.get("message_id"))
    return Score(check, ids, named + Counter(dict.fromkeys(sorted((ids - named).elements())[:nameless], 1)))


def _gap(case: dict[str, Any], due: list[dict[str, Any]]) -> int:
    """Return which gap of the truth one is that was reported, -1 for none of them.

    Neither end is in the log: it is known by lines before and after. A clock that went back is told by ``seconds`` below 0, in
    the truth by an end before the beginning; what tells such steps apart is by how much.
    """
    begin, end = sorted(datetime.fromisoformat(case[name]).timestamp() for name in ("from", "until"))
    back = float(case.get("seconds", 0)) < 0
    fitting: list[tuple[float, int]] = []
    for number, each in enumerate(due):
        told = [float(each[a] if a in each else each[b]) for a, b in (("from", "before"), ("until", "after"))]
        first, last = sorted(told)
        if (told[1] < told[0]) == back and first <= end and begin <= last:
            fitting.append((abs((last - first) - (end - begin)), number))
    return min(fitting)[1] if fitting else -1


def truth_of(folder: Path) -> dict[str, Any]:
    """Return what really happened in a folder."""
    path = folder / "truth.json"
    text = path.read_text("utf-8") if path.exists() else gzip.decompress((folder / "truth.json.gz").read_bytes())
    found: dict[str, Any] = json.loads(text)
    return found


def spam(headers: dict[str, Any]) -> bool:
    result = headers.get("dspam_result") or []
    if result:
        return bool(result[-1] == "Spam")
    text = json.dumps(headers.get("spam_headers") or "")
    return "YES" in text.upper().replace('X-SPAM-STATUS": "NO', "") and '"YES' in text.upper()


def first_hop(delivery: dict[str, Any], sends: dict[str, Any]) -> dict[str, Any] | None:
    for hop in delivery.get("postfix_hops") or []:
        if hop["queue_id"] in sends:
            found: dict[str, Any] = sends[hop["queue_id"]]
            return found
    return None


ORIGIN = {"auth25": "authenticated-port-25", "localhost25": "local-script", "sendmail": "local-script",
          "submission587": "submission-filtered"}  # fmt: skip


def outgoing(truth: dict[str, Any], sends: dict[str, Any]) -> Counter[Any]:
    out: Counter[Any] = Counter()
    for delivery in truth["external_deliveries"]:
        if delivery["event"] not in ("accepted", "data-rejected") or not spam(delivery):
            continue
        send = first_hop(delivery, sends)
        if send and send["via"] in ORIGIN:
            for recipient in delivery["rcpts"]:
                out[delivery["message_id"], recipient.lower(), ORIGIN[send["via"]]] += 1
    return out


def reported_outgoing(report: Report) -> Counter[Any]:
    return Counter(
        (c["message_id"], str(c["recipient"]).lower(), c["origin"])
        for f, c in cases(report, "outgoing-tagged-spam")
        if f.cause != "forwarded"
    )


def training(truth: dict[str, Any]) -> Counter[Any]:
    return Counter(
        (t["dspam_user_passed"], signature)
        for t in truth.get("training", [])
        if t.get("existed_before") is False and not str(t.get("imap", "")).startswith("NO")
        for signature in (t.get("signatures_in_header") or [])[:1]
    )


def aliases(truth: dict[str, Any], learned: set[str]) -> Counter[Any]:
    """An alias owns a dictionary when signatures lie under it and it has no mailbox."""
    boxes = {box.lower() for box in truth["mailboxes"]}
    aliases = {name.lower() for name in truth["aliases"]}
    return Counter(dict.fromkeys(learned & aliases - boxes, 1))


def dictionaries(folder: Path) -> set[str]:
    """Users under whom DSPAM's home keeps signatures, from its listing (domain scale)."""
    listing = folder / "dspam-data.txt"
    found = re.findall(r"data/([^/\n]+)/([^/\n]+)/\2\.sig/", listing.read_text()) if listing.exists() else []
    return {f"{user}@{domain}".lower() for domain, user in found}


def local_filtered(truth: dict[str, Any], sends: dict[str, Any]) -> Counter[Any]:
    out: Counter[Any] = Counter()
    for delivery in truth["external_deliveries"]:
        send = first_hop(delivery, sends)
        if send and send["via"] in LOCAL and delivery["event"] in ("accepted", "data-rejected") and filtered(delivery):
            for recipient in delivery["rcpts"]:
                out[delivery["message_id"], recipient.lower()] += 1
    for delivery in truth["deliveries"]:
        send = first_hop(delivery, sends)
        if send and send["via"] in LOCAL and filtered(delivery):
            out[delivery["message_id"], delivery["mailbox"].lower()] += 1
    return out


def filtered(delivery: dict[str, Any]) -> bool:
    return bool(delivery.get("dspam_result")) or len(delivery.get("postfix_hops") or []) > 1


def internal(truth: dict[str, Any], sends: dict[str, Any]) -> Counter[Any]:
    out: Counter[Any] = Counter()
    for delivery in truth["deliveries"]:
        send = first_hop(delivery, sends)
        if send and send["via"] in ORIGIN and spam(delivery):
            out[delivery["message_id"], delivery["mailbox"].lower()] += 1
    return out


def mailbox_of(scan: Scan, case: dict[str, Any]) -> str:
    rows = scan.deliveries[scan.deliveries["recipient"] == case["recipient"]]
    return str(rows["mailbox"].iloc[0]) if len(rows) else str(case["recipient"])


def legs(truth: dict[str, Any], scan: Scan) -> tuple[int, int, int]:
    """Return (pairs expected, found, contradicted) of re-injections and forwards."""
    found = scan.legs
    parents = {(row.child_queue_id, row.parent_queue_id) for row in found.itertuples()}
    known = {row.child_queue_id: row.parent_queue_id for row in found.itertuples()}
    expected = {
        (h["after"], h["before"]) for h in truth["filter_hops"] if h.get("kind", "reinjection") == "reinjection"
    }
    every = {h["after"]: h["before"] for h in truth["filter_hops"]}
    wrong = sum(1 for child, parent in every.items() if child in known and known[child] != parent)
    return len(expected), len(expected & parents), wrong


def copies(truth: dict[str, Any], scan: Scan) -> tuple[int, list[str]]:
    """Return how many (message-id, mailbox) there are, and those whose number of copies differs."""
    from logscan.checking.copies import stores

    frame = stores(scan)
    unique = frame.drop_duplicates(["message_id", "mailbox", "store"])
    counted = unique.groupby(["message_id", "mailbox"], observed=True).size().to_dict()
    wrong = []
    total = 0
    for message_id, boxes in truth.get("copies_per_mailbox", {}).items():
        if message_id == NONE:
            continue
        for mailbox, number in boxes.items():
            total += 1
            got = counted.get((message_id, mailbox.lower()), 0)
            if got != number:
                wrong.append(f"{message_id} {mailbox}: {got} instead of {number}")
    return total, wrong


COUNTS = ("mails", "mailboxes", "outside", "bounced", "queued")


@dataclass
class Sent:
    """Who sent what: message-ids of accepted sends, and how a mail whose ID the log lacks is known all the same."""

    ids: Counter[str]
    by_queue_id: dict[str, str]

    def named(self, message_id: str, queue_id: str) -> str:
        """Return the message-id under which the truth has a mail; Postfix makes one for mail without."""
        return message_id if message_id in self.ids else self.by_queue_id.get(queue_id, message_id)


def sent(truth: dict[str, Any]) -> Sent:
    """Return the mails this server took: sends, and what a host outside sent back or answered by itself."""
    accepted = [send for send in truth["sends"] if send.get("accepted")]
    ids = Counter(send["message_id"] or NONE for send in accepted)
    events = sorted(truth["external_deliveries"], key=lambda each: float(each["t"]))
    came = [each for each in events if each["event"] in ("forwarded-back", "autoreply-sent", "then-failed")]
    for each, after in itertools.zip_longest(came, came[1:]):
        if each["event"] != "then-failed" and not (after and after["event"] == "then-failed"):
            ids[each["message_id"]] += 1
    by_queue_id = {s["first_queue_id"]: s["message_id"] or NONE for s in accepted if s.get("first_queue_id")}
    for each in truth["deliveries"] + truth["external_deliveries"]:
        hops = [hop["queue_id"] for hop in each.get("postfix_hops") or [] if hop.get("queue_id")]
        if each.get("message_id") and hops and each["message_id"] not in ids:
            by_queue_id.setdefault(each["message_id"], by_queue_id.get(hops[0], each["message_id"]))
    return Sent(ids, by_queue_id)


def became(truth: dict[str, Any], mails: Sent) -> dict[str, Counter[str]]:
    """Return, per message-id, what really became of it: mails taken, copies in mailboxes, taken outside, returned, waiting."""
    out: dict[str, Counter[str]] = {name: Counter(mails=number) for name, number in mails.ids.items()}
    for message_id, end in truth["outcomes"].items():
        one = out.setdefault(mails.named(message_id, message_id), Counter())
        one["mailboxes"] += sum((end.get("mailboxes") or {}).values())
        one["outside"] += len(end.get("outside") or [])
        # A script's refusal has no action of RFC 3464.
        returned = [each for each in end.get("reports") or [] if "delayed" not in each["action"]]
        one["bounced"] += sum(len(each["final_recipients"]) for each in returned)
        one["queued"] += len(end.get("queued") or [])
    return out


def counted(scan: Scan, sends: Sent) -> dict[str, Counter[str]]:
    """Return the same as the log tells it. What nobody sent (notifications, scripts' answers) counts as no mail."""
    out: dict[str, Counter[str]] = {}
    mails, deliveries = scan.mails, scan.deliveries
    ident = mails["message_id"].fillna("").replace({"": NONE, "<>": NONE})
    names = [sends.named(*each) for each in zip(ident, mails["queue_id"], strict=True)]
    # What a filter keeps in quarantine is held too, but not in Postfix's queue.
    waits = (mails["deferred"] + mails["held"]).where(mails["open"], 0)
    for name, returned, waiting in zip(names, mails["bounced"] + mails["expired"], waits, strict=True):
        one = out.setdefault(name, Counter())
        one["mails"] += name in sends.ids
        one["bounced"] += int(returned)
        one["queued"] += int(waiting)
    final = deliveries[deliveries["final"] & (deliveries["mail"] >= 0)]
    for mail, outside, mailbox in zip(final["mail"], final["outside"], final["mailbox"].notna(), strict=True):
        if outside or mailbox:
            out[names[mail]]["outside" if outside else "mailboxes"] += 1
    return out


def counts(folders: list[str]) -> int:
    """Print, per folder, each count as the truth has it and as the log was read, and the message-ids that differ.

    Not all that happened is in a log: where lines were lost (rate limiting, a rotated file that is missing) there is
    nothing to count, and what a before-queue filter loses never had a queue ID or a message-id.
    """
    bad = 0
    print(f"{'folder':26} " + " ".join(f"{name:>11}" for name in COUNTS) + f" {'ids right':>10}")
    for name in folders:
        folder = Path(name)
        truth = truth_of(folder)
        if "outcomes" not in truth:
            continue
        sends = sent(truth)
        true, told = became(truth, sends), counted(logscan.read(folder, jobs=1), sends)
        # Delivery reports and what autoresponders answered are nobody's sends: the truth has no account of them.
        told = {key: value for key, value in told.items() if key in true}
        pairs = [(sum(c[n] for c in true.values()), sum(c[n] for c in told.values())) for n in COUNTS]
        wrong = [key for key in true if +true[key] != +told.get(key, Counter())]
        print(
            f"{folder.name:26} "
            + " ".join(f"{f'{a}/{b}':>11}" for a, b in pairs)
            + f" {len(true) - len(wrong):4} of {len(true)}"
        )
        for key in wrong[:6]:
            print(f"    {key}: is {dict(+true[key])}, told {dict(+told.get(key, Counter()))}")
        bad += bool(wrong)
    return int(bad > 0)


def main(folders: list[str]) -> int:
    if folders and folders[0] == "--counts":
        return counts(folders[1:])
    bad = 0
    totals: dict[str, list[int]] = {}
    print(f"{'story':38} {'check':24} {'expected':>8} {'reported':>8} {'precision':>9} {'recall':>7}")
    for name in folders:
        folder = Path(name)
        truth = truth_of(folder)
        # Stamps without a year, in files that were copied since: the truth knows when it was.
        scan = logscan.read(
            folder, jobs=1, year=datetime.fromisoformat(truth["until"]).year if "until" in truth else None
        )
        report = logscan.analyse(scan)
        for score in scores(truth, scan, report, dictionaries(folder)):
            counts_ = (score.hits, sum(score.expected.values()), sum(score.reported.values()))
            totals[score.name] = [a + b for a, b in zip(totals.get(score.name, (0, 0, 0)), counts_, strict=True)]
            if not any(counts_):
                continue
            print(
                f"{folder.name:38} {score.name:24} {sum(score.expected.values()):8} {sum(score.reported.values()):8} "
                f"{score.precision:9.3f} {score.recall:7.3f}{'' if score.perfect else '  <<<'}"
            )
            if not score.perfect:
                bad += 1
                for item in list((score.expected - score.reported).items())[:5]:
                    print("    missing ", item)
                for item in list((score.reported - score.expected).items())[:5]:
                    print("    too much", item)
        expected, found, wrong = legs(truth, scan)
        total, off = copies(truth, scan)
        logs = [s for s in scan.sources if s.kind.startswith("syslog")]
        known = sum(s.understood + s.noise for s in logs) / max(1, sum(s.lines for s in logs))
        print(
            f"{folder.name:38} legs {found} of {expected}, {wrong} contradicted; copies wrong {len(off)} of {total}; "
            f"lines understood {known:.4%}; verdicts " + " ".join(f"{r.name}={r.verdict}" for r in report.checks)
        )
        for line in off[:5]:
            print("    ", line)
        bad += int(found != expected or wrong > 0 or bool(off) or known < KNOWN)
    print(f"\nover {len(folders)} folders:")
    for check, (hits, due, said) in totals.items():
        ratios = f"precision {hits / said if said else 1:.3f} recall {hits / due if due else 1:.3f}"
        print(f"{check:26} expected {due:5} reported {said:5} {ratios}")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
