"""Makes a report that may be shown around: people, hosts and addresses become names that stay the same throughout it.

Nothing is looked for that might be private. What may stay is named instead: logscan's own words, times, numbers, queue IDs,
and what is the same everywhere (``localhost``, ``root``, ``postmaster``). Every other word becomes another, the same by the
same, before anything is rendered; so a text that no pattern foresaw hides too.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pandas as pd

from logscan.report import anonymise_digits as digits
from logscan.report.anonymise_digits import PART
from logscan.report.anonymise_names import FILES, HOSTS, IDS, PROSE, ROLES, STAY, USERS, Names
from logscan.report.vocabulary import words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from logscan.report.memory import Former, Memory
    from logscan.report.model import Report
    from logscan.scan.log import Log
    from logscan.scan.window import Window


TOKEN = re.compile(
    rf"""
    (?P<quoted>"(?:[^"\\\n]|\\.){{1,255}}"@(?P<at>\[[^\]\s]*\]|[^\s<>"'(),;:=\[\]|]+))
    |(?P<address>(?P<local>[^\s<>,;:()\[\]"|=@][^\s<>,;:()\[\]"|=@]*)@(?P<domain>\[[^\]\s]+\]|[^\s<>@,;:()\[\]"'|/\\=%]+))
    |(?P<stamp>{digits.STAMP}|{digits.DELAYS})
    |(?P<six>(?:(?<![\w:.])|(?<=[\w.]:)(?!:)|(?<=IPv6:))[0-9A-Fa-f]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(?:%\w+)?)
    |(?P<four>(?<!\w)(?<!\d\.){digits.FOUR})
    |(?P<number>{digits.NUMBER})
    |(?P<name>\w(?:[\w.+-]*\w)?)
    """,
    re.VERBOSE | re.IGNORECASE,
)
MADE = re.compile(r"(?:user|domain|host|address|number|word)\d+(?:\.example)?")
"""What stands for something."""

PLAIN = re.compile(
    r"\d{1,3}|\d{1,6}(?:ms|s|m|h|d|w|kb|mb|gb|k|b)|\d{1,3}(?:x|st|nd|rd|th|T\d{1,3}Z?)|0x[0-9a-f]{1,4}|ipv[46]|[a-z]",
    re.IGNORECASE,
)
"""Words that are numbers, with or without a unit, and single letters."""


class Anonymiser:
    """Replaces the names of one scan, in reports and in tables, the same by the same."""

    def __init__(self, log: Log) -> None:
        """Names are learnt from each window (:meth:`learn`) before the first text is replaced."""
        self.log = log
        self.names = Names()
        self.words = words()
        self.users: set[str] = set()
        self.hosts: set[str] = set()
        self.domains: set[str] = set()
        self.ids: set[str] = set()
        self.taken: dict[str, str] = {}
        self.labels: dict[str, str] = {}

    @classmethod
    def of(cls, scan: Window) -> Anonymiser:
        """Return what replaces the names of a whole log."""
        names = cls(scan.log)
        names.learn(scan)
        return names.learnt()

    def learn(self, window: Window) -> None:
        """Take in the names of a window."""
        for name in (*window.tables, "entries", "deliveries"):
            frame = getattr(window, name) if name in ("entries", "deliveries") else window.events(name)
            for column in frame.columns:
                if (
                    column in IDS
                    or column in USERS
                    or column in HOSTS
                    or column in ("sender", "recipient", "recipients")
                ):
                    self._learn(column, pd.unique(frame[column].dropna().astype("str")))

    def learnt(self) -> Anonymiser:
        """End the learning: all windows were seen."""
        self.domains |= {name.casefold() for name in self.log.settings.local_domains}
        self.domains -= {"", "localhost", "unknown"}
        self.users -= ROLES
        self.hosts -= ROLES | self.words
        for read in self.log.read.sources:
            self.labels[read.label] = self.only(self.text(read.label))
        return self

    def _learn(self, column: str, values: Any) -> None:
        if column in IDS:
            self.ids.update(values)
            return
        for value in values:
            low = value.casefold().strip("<> ")
            local, at, domain = low.rpartition("@")
            if at:
                self.domains.add(domain)
            if column in USERS:
                self.users.add(local if at else low)
            elif column in HOSTS and not at:
                (self.domains if "." in low else self.hosts).add(low)

    def only(self, text: str, of: str = "") -> str:
        """Return ``text``, numbered where it stands for something else already."""
        key = of or text
        number = 1
        while self.taken.setdefault(text if number == 1 else f"{text} #{number}", key) != key:
            number += 1
        return text if number == 1 else f"{text} #{number}"

    # -- texts ------------------------------------------------------------------------------------------------------

    def text(self, text: str, people: set[str] | None = None) -> str:
        """Return a text with each name in it replaced.

        ``people`` are those whose names are names even where logscan uses the same word; all that are known by default.
        """
        known = self.users if people is None else people
        own = people is not None
        clusters = digits.clusters(text, own=own)

        def one(found: re.Match[str]) -> str:
            match found.lastgroup:
                case "quoted" | "at":
                    return f"{self._local(found['quoted'].rpartition('@')[0])}@{self._domain(found['at'])}"
                case "address":
                    return self._address(found["local"], found["domain"], known)
                case "stamp":
                    return found[0]
                case "six" | "four":
                    return self._number(found[0], known)
                case "number":
                    made = self._digits(found, known, own)
                case _:
                    made = self._name(found[0], known)
            if (
                clusters
                and made not in self.ids
                and any(low < found.end() and found.start() < high for low, high in clusters)
            ):
                return self._without_digits(found[0], made)
            return made

        return TOKEN.sub(one, text)

    def _address(self, local: str, domain: str, known: set[str]) -> str:
        path, slash, last = local.rpartition("/")
        if slash and (local.startswith("/") or "." not in domain) and f"{local}".casefold() not in self.users:
            return f"{self.text(path, known)}/{self._local(last)}@{self._domain(domain)}"
        return f"{self._local(local)}@{self._domain(domain)}"

    def _local(self, local: str) -> str:
        """Return what stands for a local part; an extension behind a plus stays one."""
        if (
            local.casefold() in ROLES or not local or re.fullmatch(r"(%\{?\w\}?)+", local)
        ):  # %u@: a user to be filled in
            return local
        base, plus, extension = local.partition("+")
        if plus and base and not local.startswith('"'):
            return f"{self._local(base)}+{self.names.of('word', extension)}"
        return self.names.of("user", local)

    def _domain(self, domain: str) -> str:
        if domain.startswith("["):
            return f"[{self._number(domain.strip('[]').removeprefix('IPv6:'), set())}]"
        end = domain[len(domain.rstrip(".-_!?*")) :]
        domain = domain.removesuffix(end)
        if domain.casefold() in ("", "localhost", "localhost.localdomain"):
            return domain + end
        return f"{self.names.of('domain', domain)}.example{end}"

    def _number(self, text: str, known: set[str]) -> str:
        """Return what stands for an IP address; loopback and the unspecified one are the same everywhere."""
        bare, percent, _ = text.partition("%")
        end = bare[len(bare.rstrip(".:")) :] if not bare.endswith("::") else ""
        try:
            address = ipaddress.ip_address(bare.removesuffix(end) if end else bare)
        except ValueError:
            if any(sign.isdecimal() for sign in text):
                return self.names.of("address", text) + end
            return PART.sub(lambda part: self._word(part[0], known), text)
        if address.is_loopback or address.is_unspecified:
            return text
        return self.names.of("address", str(address) + percent) + end

    def _digits(self, found: re.Match[str], known: set[str], own: bool) -> str:
        """Return what stands for digits in groups; those that are known for what they are stay."""
        text = found[0]
        if text.casefold() in known:
            return self.names.of("user", text)
        if text in self.ids or digits.known(text, found.string, found.start(), own=own):
            return text
        if exact := digits.EMBEDDED.fullmatch(text):
            return self._number(".".join(exact.group(1, 3, 4, 5)), known)
        return self.names.of("number", "".join(sign for sign in text if sign.isdecimal()))

    def _without_digits(self, text: str, made: str) -> str:
        """Return what stands for a word that is a part of a number: what was ``made`` of it, if no digit of its own is left."""
        left = MADE.sub("", made)
        return self.names.of("word", text) if any(sign.isdecimal() for sign in left) else made

    def _joined(self, text: str, known: set[str]) -> str:
        """Return what stands for words that dots, dashes and underscores join."""
        if found := digits.EMBEDDED.search(text):
            address = self._number(".".join(found.group(1, 3, 4, 5)), known)
            before, after = text[: found.start()], text[found.end() :]
            return f"{self._joined(before, known)}{address}{self._joined(after, known)}"
        if text not in self.ids and digits.telling(text):
            return self.names.of("word", text)
        dated = any(part.casefold() in FILES for part in PART.findall(text))
        return PART.sub(
            lambda part: part[0] if dated and digits.DATE.fullmatch(part[0]) else self._word(part[0], known), text
        )

    def _name(self, text: str, known: set[str]) -> str:
        """Return what stands for a word, or for words that dots, dashes and underscores join."""
        low = text.casefold()
        if low in known and low not in ROLES:
            return self.names.of("user", text)
        if low in self.hosts:
            return self.names.of("host", text)
        if "." in text:
            return self._dotted(text, known)
        return self._joined(text, known)

    def _dotted(self, text: str, known: set[str]) -> str:
        low = text.casefold()
        if low in self.domains:
            return self._domain(text)
        stem, _, ending = text.rpartition(".")
        if digits.EMBEDDED.search(text) and ending.isdigit():
            return self._joined(text, known)
        if (ending.isdigit() and len(ending) <= digits.MOST_ALONE and not digits.telling(text)) or (
            ending.casefold() in FILES and (ending != "cf" or stem.casefold() in self.words)
        ):
            return f"{self._name(stem, known)}.{ending}"
        parts = [part.casefold() for part in PART.findall(text)]
        owned = any(low.endswith(f".{domain}") for domain in (".".join(low.split(".")[n:]) for n in range(1, low.count(".") + 1))
                    if domain in self.domains)  # fmt: skip
        if not owned and all(part in self.words or part.isdecimal() or PLAIN.fullmatch(part) for part in parts):
            return self._joined(text, known)
        return self._domain(text)

    def _word(self, word: str, known: set[str]) -> str:
        low = word.casefold()
        if low in known and low not in ROLES:
            return self.names.of("user", word)
        if low in self.hosts:
            return self.names.of("host", word)
        if low in self.words or low in ROLES or PLAIN.fullmatch(word) or word in self.ids:
            return word
        return self.names.of("user" if low in self.users else "word", word)

    # -- reports ----------------------------------------------------------------------------------------------------

    def report(self, report: Report) -> Report:
        """Return a copy of the report with people, hosts and addresses replaced, and no subject of any mail."""
        from logscan.report.subjects import without_subjects

        self.words |= {word.casefold() for word in PART.findall(report.period.zone)}
        hidden = dataclasses.replace(without_subjects(report), memory=None)
        hosts = [self._host(host) for host in report.hosts]
        found: Report = self._walk(hidden, "", None)
        if report.memory is not None:
            found.memory = self._memory(
                report.memory, {old.id: new.id for old, new in zip(hidden.found, found.found, strict=True)}
            )
        return dataclasses.replace(found, hosts=hosts)

    def _memory(self, memory: Memory, ids: Mapping[str, str]) -> Memory:
        """Replace names in what earlier reports had; ids too: they are made of subjects, which are others now."""

        def former(each: Former) -> Former:
            finding = self._walk(each.finding(), "", None)
            return dataclasses.replace(each, id=finding.id, subject=finding.subject, summary=finding.summary)

        gone, paused, unseen = (tuple(map(former, some)) for some in (memory.gone, memory.paused, memory.unseen))
        return dataclasses.replace(memory.renamed(ids), gone=gone, paused=paused, unseen=unseen)

    def _host(self, host: str) -> str:
        if host.casefold() in ROLES or not host:
            return host
        return self._domain(host) if "." in host else self.names.of("host", host)

    def _walk(self, value: Any, field: str, people: set[str] | None) -> Any:
        if field == "places":  # no part of a report; the map is drawn already
            return type(value)()
        if isinstance(value, str):
            if field in STAY:
                return value
            if field in ("key", "target", "source", "path") and value in self.labels:
                return self.labels[value]
            if field in ("key", "target", "source"):
                return self.only(self.text(value, set()), value)
            return self.text(value, people or set()) if field in PROSE else self.text(value)
        if value is None or isinstance(value, bool | int | float | datetime):
            return value
        if isinstance(value, dict):
            return {
                self.text(key, set()) if isinstance(key, str) else key: self._walk(item, str(key), people)
                for key, item in value.items()
            }
        if isinstance(value, list | tuple | set | frozenset):
            items = [self._walk(each, field, people) for each in value]
            return items if isinstance(value, list) else type(value)(items)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return self._copy(value, people)
        return value if not hasattr(value, "item") else self._walk(value.item(), field, people)

    def _copy(self, value: Any, people: set[str] | None) -> Any:
        if hasattr(value, "cases"):
            people = self._people(value)
        # A remedy's and a prediction's text are sentences; a log line's is whatever it is.
        sentence = {"text"} if hasattr(value, "file") or hasattr(value, "diff") else set()
        made = {
            each.name: self._walk(getattr(value, each.name), "message" if each.name in sentence else each.name, people)
            for each in dataclasses.fields(value)
            if each.init
        }
        return dataclasses.replace(value, **made)

    def _people(self, finding: Any) -> set[str]:
        """Return the names of those whom a finding is about: these are names in its sentences too."""
        values = [finding.subject, *(case.get(key) for case in finding.cases for key in USERS)]
        names = {value.casefold() for value in values if isinstance(value, str)}
        names |= {name.rpartition("@")[0].partition("+")[0] for name in names if "@" in name}
        return {name for name in names if name and name not in ROLES and (name in self.users or name not in self.words)}

    # -- tables -----------------------------------------------------------------------------------------------------

    def table(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a table with the names in it replaced; its subjects are taken out."""
        out = frame.copy(deep=False)
        for column in frame.columns:
            values = frame[column]
            if column == "subject":
                out[column] = pd.Series([None] * len(frame), dtype="str", index=frame.index)
            elif column not in IDS and (
                isinstance(values.dtype, pd.CategoricalDtype | pd.StringDtype) or values.dtype == object
            ):
                out[column] = self._column(column, values)
        return out

    def _column(self, column: str, values: pd.Series) -> pd.Series:
        distinct = [value for value in pd.unique(values.astype("object")) if isinstance(value, str)]
        if column == "host":
            made = {value: self._host(value) for value in distinct}
        else:
            made = {value: self.text(value) for value in distinct}
        replaced = values.astype("object").map(
            lambda value: made.get(value, value) if isinstance(value, str) else value
        )
        return replaced.astype("category" if isinstance(values.dtype, pd.CategoricalDtype) else values.dtype)


def anonymise(report: Report, scan: Window) -> Report:
    """Return a copy of the report of ``scan`` with people, hosts and addresses replaced, the same by the same everywhere."""
    return Anonymiser.of(scan).report(report)
