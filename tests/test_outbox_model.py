"""The outbox under whatever a mail server does, run after run: nothing is lost, nothing comes twice unless a kill made it so."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_outbox import DAY, NOW, Kept, Told

from logscan.commands import outbox
from logscan.commands.mailing import About, Envelope, MailError, Server
from logscan.commands.outbox import GIVEN_UP, MOST_AT_ONCE, TRIES, flush, troubles
from logscan.store.model import Outgoing

USERS = ("ann", "bob", "carol")


class KilledError(BaseException):
    """The run ends here."""


@dataclass
class Morning:
    """What a run puts in, and how the server answers each user; ``kill``: it ends behind so many mails that were taken."""

    mails: int
    answers: dict[str, About]
    down: bool
    kill: int | None


MORNINGS = st.builds(
    Morning,
    mails=st.integers(0, 3),
    answers=st.dictionaries(st.sampled_from(USERS), st.sampled_from(["mail", "final"])),
    down=st.sampled_from([False, False, False, True]),
    kill=st.sampled_from([None, None, None, 0, 1, 2]),
)


@dataclass
class World:
    """A state, a server, and what became of mails."""

    state: Kept = field(default_factory=Kept)
    put: set[str] = field(default_factory=set)
    taken: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    today: Morning | None = None
    tried: int = 0

    def deliver(self, content: bytes, envelope: Envelope, _: Server) -> None:
        assert self.today
        self.tried += 1
        if self.today.down:
            raise MailError("away")
        (to,) = envelope.recipients
        if to in self.today.answers:
            raise MailError("no", self.today.answers[to])
        self.taken[content.decode()] += 1
        if self.today.kill is not None and sum(self.taken.values()) - self.before == self.today.kill + 1:
            raise KilledError

    def run(self, number: int, morning: Morning) -> None:
        self.today, self.tried, self.before = morning, 0, sum(self.taken.values())
        for each in range(morning.mails):
            for user in USERS:
                name = f"From: l@example.com\n\n{number}.{each}.{user}"
                self.put.add(name)
                self.state.put([Outgoing(name, (user,), name.encode())], made=NOW + number * DAY, run=number)
        waited = [each for each in self.state.waiting if not each.error.startswith(GIVEN_UP)]
        said = Told()
        try:
            status = flush(self.state, Server("h"), now=NOW + number * DAY, say=said)
        except KilledError:
            self.kills += 1
            return
        waiting = [each for each in self.state.waiting if not each.error.startswith(GIVEN_UP)]
        assert self.tried <= MOST_AT_ONCE + len(USERS) * 3
        assert (status == 0) == (not said or (said == [said[-1]] and "older" in said[-1]))
        if morning.down:
            assert self.tried == min(1, len(waited))
        if not morning.down and not morning.answers:
            assert status == 0
            assert len(waiting) == max(0, len(waited) - self.tried)
        assert len(troubles(self.state, now=NOW + number * DAY)) <= 2 * len(USERS)


@given(st.lists(MORNINGS, min_size=1, max_size=25))
@settings(max_examples=150, deadline=None)
def test_whatever_a_server_does_each_mail_is_sent_or_waits_or_was_given_up_aloud(mornings: list[Morning]) -> None:
    world = World()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox, "deliver", world.deliver)
        for number, morning in enumerate(mornings):
            world.run(number, morning)
        left = {each.mail.message_id: each for each in world.state.waiting}
        assert world.put == set(world.taken) | set(left)
        assert sum(world.taken.values()) - len(world.taken) <= world.kills
        assert world.kills or not set(world.taken) & set(left)
        for each in left.values():
            assert not each.error.startswith(GIVEN_UP) or each.attempts >= TRIES
        # A server that takes all empties what was not given up, a few at a time.
        for number in range(len(mornings), len(mornings) + 40):
            world.run(number, Morning(0, {}, False, None))
        assert all(each.error.startswith(GIVEN_UP) for each in world.state.waiting)


@given(st.text(max_size=30) | st.from_regex(r"[a-z.@<> \"|/,-]{1,12}", fullmatch=True))
def test_what_passes_for_an_address_is_one_word_that_no_program_takes_for_an_option(text: str) -> None:
    from logscan.rendering.addressing import addresses
    from logscan.rendering.renderers import RenderError

    found: Any
    try:
        (found,) = addresses([text])
    except RenderError:
        return
    bare = found.addr_spec
    assert bare
    assert bare.isascii()
    assert bare.isprintable()
    assert not bare.startswith("-")
    assert "@" in bare or not set(bare) & set(' |/<>,"\\')
