"""The trail of a mail cut down to one person's own part, so that it can be handed to that person.

A recipient sees the mail's sender and the way to her own mailbox; who else got it, which clients handed it in, and how many
there were stays hidden. A sender sees those whom the mail was addressed to and whether it was taken; to whom an alias led, and
what became of it in other people's mailboxes, stays hidden. What isn't known to be that person's is hidden.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from logscan.findings import Evidence
from logscan.report.refusals import Refusal
from logscan.report.trace_model import Attempt, Judgement, Life, Trace

HIDDEN = "(hidden)"

ADDRESS = re.compile(r"[^\s<>()\[\],;:\"'|=]{1,128}@[^\s<>()\[\],;:\"'|=/]{1,253}")
"""Whatever looks like a mail address; message-ids do too."""

PLACE = re.compile(
    r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F.]{1,15})(?![\w:]|\.\d)", re.ASCII
)
"""An address of a host."""

CLIENT = re.compile(
    r"\b(client|helo|rhost|rip|lip|ip|sasl_username|sasl_sender|sasl_method|orig_client|nrcpt)=<?[^,\s>]*>?"
)
"""Fields of lines that name who connected, or how many recipients there are."""

FROM_CLIENT = re.compile(r"\bfrom \S+\[[^\]\s]*\](?::\d+)?")


def redacted(traces: Sequence[Trace], addresses: Iterable[str]) -> tuple[list[Trace], int]:
    """Return what of these trails is that person's, and how many mails were none of theirs."""
    person = frozenset(each.strip().strip("<>").lower() for each in addresses)
    found = [_Redacting(trace, person).trace() for trace in traces]
    return [each for each in found if each is not None], sum(each is None for each in found)


class _Redacting:
    """One mail and one person."""

    def __init__(self, trace: Trace, person: frozenset[str]) -> None:
        self.given = trace
        self.person = person
        lives = trace.lives
        self.sent = any(_low(life.sender) in person or _login(life.client) in person for life in lives)
        attempts = [each for life in lives for each in life.attempts]
        self.mine = [each for each in attempts if self._is_mine(each)]
        came_by = {_low(each.original_recipient) for each in self.mine} - {""}
        """Addresses by which mail reached that person: aliases."""
        self.known = set(person) | came_by
        if self.sent:
            self.known |= {_low(each.original_recipient or each.recipient) for each in self._first()}
        if self.sent or self.mine:
            self.known |= {_low(life.sender) for life in lives[:1]}
            self.known |= {_low((life.message_id or "").strip("<>")) for life in lives}
        self.known.discard("")
        every = {_low(text) for each in attempts for text in (each.recipient, each.original_recipient, each.mailbox)}
        self.others = every - self.known - {""}
        self.clients = {
            name
            for life in lives
            if _login(life.client) not in person
            for name in _names(life.client)
            if _telling(name)
        }

    def _first(self) -> list[Attempt]:
        """Return the attempts of the life that the mail begins with: those whom its sender wrote to."""
        return self.given.lives[0].attempts if self.given.lives else []

    def _is_mine(self, each: Attempt) -> bool:
        return bool({_low(each.recipient), _low(each.original_recipient), _low(each.mailbox)} & self.person)

    def trace(self) -> Trace | None:
        """Return the person's part; None where there is none."""
        refusals = [self._refusal(each) for each in self.given.refusals if self._of_mine(each)]
        if not self.sent and not self.mine and not refusals:
            return None
        lives = [self._life(life) for life in self._lives()]
        return Trace(self.given.direction, self.given.origin, list(self.given.labels), lives, refusals)

    def _lives(self) -> list[Life]:
        """Return the lives on the way to that person, or all up to a filter's for a sender."""
        kept = [self._kept(life) for life in self.given.lives]
        shown = [
            bool(each) or (self.sent and not life.depth) for each, life in zip(kept, self.given.lives, strict=True)
        ]
        for place in range(len(shown) - 1, 0, -1):
            if shown[place]:
                # Those that it came out of.
                depth = self.given.lives[place].depth
                above = next((at for at in range(place - 1, -1, -1) if self.given.lives[at].depth < depth), None)
                if above is not None:
                    shown[above] = True
        return [life for life, show in zip(self.given.lives, shown, strict=True) if show]

    def _kept(self, life: Life) -> list[Attempt]:
        """Return the attempts of a life that are that person's: to her, by an alias that led to her, or to whom she wrote."""
        mine = [each for each in life.attempts if self._is_mine(each)]
        led = [each for each in life.attempts if each not in mine and self._leads_on(each)]
        wrote = [
            each
            for each in life.attempts
            if self.sent and each not in mine and each not in led and self._addressed(each)
        ]
        chosen = {id(each) for each in (*mine, *led, *wrote)}
        return [each for each in life.attempts if id(each) in chosen]

    def _leads_on(self, each: Attempt) -> bool:
        return bool(self.mine) and _low(each.recipient) in self.known and each.outcome == "handed to the filter"

    def _addressed(self, each: Attempt) -> bool:
        return _low(each.original_recipient or each.recipient) in self.known

    def _life(self, life: Life) -> Life:
        own = _low(life.sender) in self.person or _login(life.client) in self.person
        kept = self._kept(life)
        # A filter judges for each recipient: where some are hidden, whose verdict it is can't be told.
        judged = (bool(self.mine) or own) and len(kept) == len(life.attempts)
        sender = life.sender if life.sender is None or _low(life.sender) in (*self.known, "") else HIDDEN
        return replace(
            life,
            client=life.client if own and _login(life.client) in self.person else self._client(life),
            sender=sender,
            message_id=self._text(life.message_id),
            events=[self._text(each) or "" for each in life.events if not self._about_others(each)],
            verdicts=[self._judgement(each) for each in life.verdicts] if judged else [],
            attempts=[self._attempt(each) for each in kept],
            lines=[self._line(each) for each in life.lines if not self._about_others(each.text)],
        )

    def _client(self, life: Life) -> str:
        return life.client if life.client in ("made here", "opened before these logs") else HIDDEN

    def _attempt(self, each: Attempt) -> Attempt:
        hers = self._is_mine(each)
        if not hers and not self._leads_on(each):
            # To whom an alias leads, and what a mailbox makes of it, is other people's.
            to = each.original_recipient or each.recipient
            outcome = "delivered" if each.outcome.startswith("stored in") else each.outcome
            each = replace(each, recipient=to, original_recipient=None, outcome=outcome, mailbox=None, folder=None, spam=None,
                           signature=None)  # fmt: skip
        recipient, original = self._text(each.recipient), self._text(each.original_recipient)
        return replace(
            each,
            recipient=recipient or "",
            original_recipient=original,
            outcome=self._text(each.outcome) or "",
            relay=self._text(each.relay, places=False) or "",
            reply=self._text(each.reply, places=False),
            mailbox=self._text(each.mailbox),
        )

    def _judgement(self, each: Judgement) -> Judgement:
        return replace(each, result=self._text(each.result) or "", detail=self._text(each.detail))

    def _of_mine(self, each: Refusal) -> bool:
        return bool({_low(each.sender), _low(each.recipient), _low(each.login)} & self.person)

    def _refusal(self, each: Refusal) -> Refusal:
        sent = {_low(each.sender), _low(each.login)} & self.person
        own = _low(each.login) in self.person
        keep = self.person | {_low(each.recipient) if sent else "", _low(each.sender)}
        self.known |= keep - {""}
        return replace(
            each,
            client=each.client if own else HIDDEN,
            helo=each.helo if own else None,
            login=each.login if own else None,
            recipient=self._text(each.recipient),
            text=self._text(each.text),
            lines=[self._line(line) for line in each.lines if not self._about_others(line.text)],
        )

    def _about_others(self, text: str) -> bool:
        """Whether a text names somebody whom that person doesn't know of: by an address, or as a mailbox by the bare name."""
        if any(_low(found[0]).strip(".") not in self.known for found in ADDRESS.finditer(text)):
            return True
        names = {each.partition("@")[0] for each in self.others} - {each.partition("@")[0] for each in self.person}
        return any(re.search(rf"[(</]{re.escape(name)}[)>/,]", text, re.IGNORECASE) for name in names if name)

    def _line(self, each: Evidence) -> Evidence:
        shown = CLIENT.sub(rf"\1={HIDDEN}", FROM_CLIENT.sub(f"from {HIDDEN}", each.text))
        head, sign, rest = shown.partition("]: ")
        return replace(each, text=head + sign + (self._text(rest) or "") if sign else self._text(shown) or "")

    def _text(self, text: str | None, *, places: bool = True) -> str | None:
        """Return a text without other people's addresses; ``places``: without addresses of hosts too."""
        if not text:
            return text
        shown = ADDRESS.sub(lambda found: found[0] if _low(found[0]).strip(".") in self.known else HIDDEN, text)
        for name in self.clients:
            shown = re.sub(rf"(?<![\w.:-]){re.escape(name)}(?![\w:-]|\.\w)", HIDDEN, shown, flags=re.IGNORECASE)
        return PLACE.sub(HIDDEN, shown) if places else shown


def _low(text: str | None) -> str:
    return (text or "").strip().strip("<>").lower()


def _login(client: str) -> str:
    """Return who logged in, as a life's ``client`` says it."""
    return _low(client.rpartition(", logged in as ")[2]) if ", logged in as " in client else ""


def _names(client: str) -> list[str]:
    """Return the name and the address of a life's client."""
    found = re.match(r"([^\s\[\]]+)\[([^\]\s]*)\]", client)
    return [found[1], found[2]] if found else []


def _telling(name: str) -> bool:
    return name.lower() not in ("unknown", "localhost", "none", "") and not name.startswith("127.") and name != "::1"
