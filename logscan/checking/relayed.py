"""Strangers' mail that was passed on to outside, kept by window; told when all are seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.checking.copies import places
from logscan.scan import own_domains
from logscan.scan.client_networks import networks, private
from logscan.scan.columns import column, joined, moments, some_joined, values
from logscan.scan.opened import opened_at
from logscan.scan.own_domains import OwnDomains, domains
from logscan.tables.coded import Coded
from logscan.tables.partials import First, Ints, Keyed, Part, Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

Bools = npt.NDArray[np.bool_]

STRANGERS, PASSED, CASES, INWARD, REFUSED, CALLED = "strangers", "passed", "cases", "inward", "refused", "called"

MOST_CASES = 100
"""Cases kept of one client; all are counted."""

NOT_OUTSIDE = ("none", "local", "virtual")
"""Relays of attempts that reached no host elsewhere."""

_PROVIDERS = """
gmail.com googlemail.com yahoo.com yahoo.co.uk yahoo.de yahoo.fr yahoo.co.jp ymail.com outlook.com hotmail.com
hotmail.de hotmail.fr hotmail.co.uk live.com msn.com icloud.com me.com mac.com aol.com gmx.de gmx.net gmx.at gmx.ch
web.de t-online.de freenet.de mail.ru bk.ru inbox.ru list.ru yandex.ru yandex.com rambler.ru qq.com 163.com 126.com
sina.com naver.com hanmail.net proton.me protonmail.com zoho.com free.fr orange.fr wanadoo.fr laposte.net libero.it
virgilio.it comcast.net att.net verizon.net cox.net bigpond.com seznam.cz wp.pl o2.pl interia.pl onet.pl terra.com.br
uol.com.br bol.com.br rediffmail.com btinternet.com bluewin.ch a1.net
"""
PROVIDERS = frozenset(_PROVIDERS.split())
"""Domains of providers of mailboxes, for whom nobody else is a gateway or a backup."""


def look(window: Window, settings: Settings) -> dict[str, Part]:
    """Return the parts from which :func:`passed_on` is told. For look."""
    origin = joined(window, "mails", "origin")
    strange = np.append(origin.is_in("outside"), False)
    inside = np.append(origin.is_in("network"), False)
    rows = _tried(window)
    of_mail = values(window, "deliveries", "mail")
    arrived = np.zeros(len(strange), np.bool_)
    arrived[of_mail[values(window, "deliveries", "last")]] = True
    # A gateway's clients are strangers too, whatever mynetworks says.
    gateway = np.zeros(len(strange), np.bool_)
    mails = np.flatnonzero(strange | inside)
    address = some_joined(window, "mails", "client_address", mails)
    gateway[mails] = address.matching(private)
    candidates = _foreign(window, rows[(strange & ~gateway | gateway)[of_mail[rows]]])
    return {
        **own_domains.look(window, settings),
        STRANGERS: int(np.count_nonzero((strange | gateway) & arrived)),
        PASSED: _passed(window, candidates),
        CASES: _cases(window, candidates),
        INWARD: _inward(window, np.flatnonzero(gateway & arrived), of_mail),
        REFUSED: _refused(window),
        CALLED: _called(window),
    }


def _tried(window: Window) -> Ints:
    """Return the deliveries to somebody outside that another host was asked for."""
    asked = values(window, "deliveries", "outside") & ~values(window, "deliveries", "hop")
    asked &= values(window, "deliveries", "mail") >= 0
    rows = np.flatnonzero(asked)
    mail = values(window, "deliveries", "mail")[rows]
    origin = joined(window, "mails", "origin").is_in("outside", "network")[mail]
    rows = rows[origin]
    relay = joined(window, "deliveries", "relay").take(rows)
    sent = values(window, "deliveries", "last")[rows]
    out: Ints = rows[sent & ~relay.is_in(*NOT_OUTSIDE) & (relay.codes >= 0)]
    return out


def _foreign(window: Window, rows: Ints) -> Ints:
    """Return those of mails all of whose recipients, as the client gave them, are outside, without an alias."""
    if not len(rows):
        return rows
    of_mail, entry = values(window, "deliveries", "mail"), values(window, "deliveries", "entry")
    root = np.append(values(window, "mails", "entry"), -2)
    wanted = np.zeros(len(root), np.bool_)
    wanted[of_mail[rows]] = True
    first = np.flatnonzero(wanted[of_mail] & (entry == root[of_mail]))
    original = some_joined(window, "deliveries", "original_recipient", first)
    here = ~values(window, "deliveries", "outside")[first] | (original.codes >= 0)
    mixed = np.ones(len(root), np.bool_)
    mixed[of_mail[first]] = False  # of a mail whose first life nothing tells, nobody knows whom it was for
    mixed[of_mail[first[here]]] = True
    out: Ints = rows[~mixed[of_mail[rows]]]
    return out


def _named(window: Window, rows: Ints) -> dict[str, Coded]:
    """Return the texts that tell deliveries of strangers' mail."""
    mail = values(window, "deliveries", "mail")[rows]
    sender, recipient = (
        some_joined(window, "mails", "sender", mail),
        some_joined(window, "deliveries", "recipient", rows),
    )
    return {
        "address": some_joined(window, "mails", "client_address", mail),
        "client": some_joined(window, "mails", "client", mail),
        "sender": sender.made(domains),
        "recipient": recipient.made(domains),
        "relay": joined(window, "deliveries", "relay").take(rows),
    }


def _passed(window: Window, rows: Ints) -> Keyed:
    """Return how many mails were passed on, by client, domains and next hop."""
    mail, time = values(window, "deliveries", "mail")[rows], values(window, "deliveries", "time")[rows]
    made: dict[str, Any] = {name: each.texts() for name, each in _named(window, rows).items()}
    first = np.zeros(len(rows), np.int64)
    first[np.unique(mail, return_index=True)[1]] = 1
    made |= {"n": first, "recipients": np.ones(len(rows), np.int64), "first": time, "last": time}
    return Keyed.of(made, sums=["n", "recipients"], least=["first"], most=["last"])


def _cases(window: Window, rows: Ints) -> First:
    """Return the first mails that were passed on for each client."""
    mail, root = (values(window, *which) for which in (("deliveries", "mail"), ("mails", "entry")))
    entry = root[mail[rows]]
    named = _named(window, rows)
    texts_ = {name: some_joined(window, "entries", name, entry) for name in ("message_id", "queue_id", "sender")}
    made: dict[str, Any] = {
        "time": values(window, "deliveries", "time")[rows],
        "place": opened_at(window, entry),
        "out": places(window)[rows],
        "address": named["address"].texts(),
        "client": named["client"].texts(),
        "relay": named["relay"].texts(),
        "recipient": some_joined(window, "deliveries", "recipient", rows).texts(),
        "recipient_domain": named["recipient"].texts(),
        **{name: each.texts() for name, each in texts_.items()},
    }
    return First.of(made, MOST_CASES, ("time", "place", "recipient"), ("address",))


def _inward(window: Window, mails: Ints, of_mail: Ints) -> Keyed:
    """Return whose mail came in from private addresses without a name: domains of senders, of mail that stayed here."""
    stayed = np.zeros(len(window.mails) + 1, np.bool_)
    stayed[of_mail[~values(window, "deliveries", "outside")]] = True
    client = some_joined(window, "mails", "client", mails)
    mails = mails[stayed[mails] & client.is_in("unknown", "gateway", "_gateway")]
    address, sender = (some_joined(window, "mails", name, mails) for name in ("client_address", "sender"))
    return Keyed.of({"address": address.texts(), "sender": sender.made(domains).texts()})


def _refused(window: Window) -> Keyed:
    """Return when clients were refused to relay (Postfix smtpd/smtpd_check.c, permit_auth_destination())."""
    rows = np.flatnonzero(column(window, "rejects", "dsn").is_in("5.7.1", "4.7.1"))
    text = window.tables["rejects"].column("text").take(pa.array(rows))
    said = pc.fill_null(pc.match_substring(text, "Relay access denied"), False).to_numpy(zero_copy_only=False)
    rows = rows[np.asarray(said, np.bool_)]
    time = moments(window, "rejects")[rows]
    made = {"n": np.ones(len(rows), np.int64), "first": time, "last": time}
    return Keyed.of(made, sums=["n"], least=["first"], most=["last"])


def _called(window: Window) -> Keyed:
    """Return how clients at private addresses that were refused called themselves (HELO)."""
    address = column(window, "rejects", "client_address")
    rows = np.flatnonzero(address.matching(private))
    helo = column(window, "rejects", "helo").take(rows)
    return Keyed.of({"address": address.take(rows).texts(), "helo": helo.made(pc.utf8_lower).texts()})


def passed_on(partial: Partial, log: Log, own: OwnDomains) -> pd.DataFrame:
    """Return strangers' mail passed on, by client, domains and next hop, with the client's network (``net``, ``private``)."""
    rows = partial.frame(PASSED)
    if len(rows):
        named = {name.lower().lstrip(".") for name in log.settings.transports}
        meant = rows["recipient"].isin(named).to_numpy() | own.are(rows["recipient"])
        # A host of one's own that isn't in mynetworks, or of which nothing tells that: its mail is no stranger's.
        mine = own.are(rows["sender"]) | (rows["sender"].fillna("") == "").to_numpy(dtype=np.bool_)
        rows = rows[~meant & ~mine]
    address = rows["address"].fillna("").tolist()
    nets = dict(zip(address, networks(address), strict=True))
    inner = private(pa.array(address, pa.string())).to_numpy(zero_copy_only=False)
    return rows.assign(net=[nets[each] for each in address], private=np.asarray(inner, np.bool_))


def all_known(log: Log) -> bool:
    """Whether all domains that this server takes mail for are known: the configuration names them, in tables at hand."""
    lists = (
        "mydestination:",
        "virtual_mailbox_domains:",
        "virtual_alias_domains:",
        "relay_domains:",
        "transport_maps:",
    )
    settings = log.settings
    whole = settings.known("postfix") and not any(each.value.startswith(lists) for each in settings.unresolved)
    return whole or bool(log.options.local_domains)
