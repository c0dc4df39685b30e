"""Reads configuration texts into one :class:`Settings`: each by its plug-in, then joined."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from logscan.settings.dovecot import Dovecot
from logscan.settings.dspam import Dspam
from logscan.settings.facts import Fact, Problem
from logscan.settings.model import Settings
from logscan.settings.postfix import Postfix
from logscan.settings.recognising import HEAD, ConfigFormat, Document, formats, recognise
from logscan.settings.services import Service
from logscan.settings.spares import INCLUDE, matches, spares
from logscan.settings.tables import DOMAIN_LISTS, QUERIED, Map, is_map, plain_name
from logscan.settings.text import base_name, split_list

LONGEST = 1 << 24
"""Characters of a text that are read; configuration is never that long, garbage is."""


def read_settings(
    files: Iterable[tuple[str, str]], *, domains: Iterable[str] = (), services: Mapping[str, int] | None = None
) -> Settings:
    """Read configuration texts, given as (label, text), into :class:`Settings`; never raises for what they hold.

    ``domains`` and ``services`` (log tag → port) are what the user said on the command line. Texts of no known kind
    stand in ``unrecognised``, unless main.cf names them as a map.
    """
    texts = dict(files)
    problems: list[Problem] = []
    documents: list[tuple[str, str, Document]] = []
    recognised = {label: recognise(label, text) for label, text in texts.items()}
    formats_of = {label: known for label, known in recognised.items() if known is not None}
    left = [label for label in texts if label not in formats_of]
    spare = spares(texts, {label: known.name for label, known in formats_of.items()})
    for label, known in formats_of.items():
        if label in spare:
            continue
        text = texts[label]
        if len(text) > LONGEST:
            problems.append(Problem(label, 0, f"longer than {LONGEST} characters: only the beginning is read"))
        documents.append((label, known.name, _parse(known, label, text[:LONGEST], problems)))
    problems = _unfollowed(problems, [label for label, name, _ in documents if name == "doveconf"])
    read = _Reading(documents, problems)
    named = {plain_name(path) for path in read.map_paths()}
    map_format = next((each for each in formats() if each.name == "map"), None)
    for label in list(left):
        if map_format and plain_name(label) in named and "\0" not in texts[label][:HEAD]:
            documents.append((label, "map", _parse(map_format, label, texts[label][:LONGEST], problems)))
            left.remove(label)
    settings = Settings(
        read.postfix, read.dovecot(), read.dspam(), read.amavis(), read.maps(), domains=domains, services=services
    )
    settings.texts = texts
    settings.kinds = {label: kind for label, kind, _ in documents}
    settings.problems = problems
    settings.unrecognised = left
    settings.spare = sorted(spare)
    return settings


def _unfollowed(problems: list[Problem], dovecot: list[str]) -> list[Problem]:
    """Return the problems without includes of texts that are given too, which are read by themselves, and of optional ones."""
    out = []
    for each in problems:
        path = INCLUDE.match(each.text)
        if path and (
            each.text.startswith("!include_try")
            or any(matches(label, [path[1].rstrip(":")]) for label in dovecot if label != each.file)
        ):
            continue
        out.append(each)
    return out


def _parse(known: ConfigFormat, label: str, text: str, problems: list[Problem]) -> Document:
    try:
        document = known.parse(text)
    except Exception as error:  # a fault in a reader must not stop the analysis of the logs
        problems.append(Problem(label, 0, f"could not be read as {known.title}: {type(error).__name__}"))
        return Document()
    problems.extend(Problem(label, line, said) for line, said in document.problems)
    return document


class _Reading:
    """The documents, put together."""

    def __init__(self, documents: list[tuple[str, str, Document]], problems: list[Problem]) -> None:
        self.documents = documents
        self.problems = problems
        self.origin: dict[str, str] = {}
        self.postfix = Postfix(self._main(), self._services(), self.origin)

    def _of(self, kind: str) -> list[tuple[str, Document]]:
        return [(label, document) for label, name, document in self.documents if name == kind]

    def _ranked(self, kind: str, real: str) -> list[tuple[str, Document]]:
        """Return the documents of a kind, real files before what postconf printed."""
        ranked = []
        for label, document in self._of(kind):
            origin = "file" if real in base_name(label).lower() else document.variant
            self.origin[label] = origin
            ranked.append((origin != "file", label, document))
        ranked.sort(key=lambda each: each[0])
        return [(label, document) for _, label, document in ranked]

    def _main(self) -> dict[str, Fact]:
        found: dict[str, Fact] = {}
        for at, (label, document) in enumerate(self._ranked("main.cf", "main.cf")):
            own = {each.name: Fact(each.value, label, each.line) for each in document.entries}
            for name, fact in own.items():
                first = found.setdefault(name, fact)
                if at and split_list(first.value) != split_list(fact.value):
                    said = f"{name} is {fact.value!r} here, {first.value!r} in {first.file}, which counts"
                    self.problems.append(Problem(label, fact.line, said))
        return found

    def _services(self) -> list[Service]:
        ranked = self._ranked("master.cf", "master.cf")
        services: list[Service] = []
        for label, document in ranked[:1]:
            services = document.services
            for service in services:
                service.file = label
        for label, document in ranked[1:]:
            self._compare(label, document.services, services)
        for label, document in self._of("postconf-P"):
            self.origin[label] = "postconf -P"
            if services:
                self._compare(label, document.services, services)
                continue
            services = document.services
            for service in services:
                service.file = label
        return services

    def _compare(self, label: str, others: list[Service], services: list[Service]) -> None:
        known = {each.key: each for each in services}
        for other in others:
            service = known.get(other.key)
            if service is None:
                self.problems.append(
                    Problem(label, other.line, f"{other.key} isn't in {services[0].file}, which counts")
                )
                continue
            for name, fact in other.options.items():
                own = service.options.get(name)
                if own is None or "".join(own.value.split()) != "".join(fact.value.split()):
                    held = repr(own.value) if own else "not set"
                    said = f"{other.key}: {name} is {fact.value!r} here, {held} in {service.file}, which counts"
                    self.problems.append(Problem(label, fact.line, said))

    def map_paths(self) -> Iterator[str]:
        """Yield the paths of the tables that main.cf or master.cf name."""
        for _, path in self._named_maps():
            yield path

    def _named_maps(self) -> Iterator[tuple[str, str]]:
        facts = [(name, self.postfix.get(name)) for name in self.postfix.main]
        facts.append(("alias_maps", self.postfix.get("alias_maps")))
        for service in self.postfix.services:
            facts.extend((name, service.get(name)) for name in service.options)
        for name, value in facts:
            for item in split_list(value):
                kind, _, rest = item.removeprefix("proxy:").partition(":")
                if item.startswith("/") and name in DOMAIN_LISTS:
                    yield name, item
                elif (
                    rest.startswith("/") and is_map(item) and kind not in QUERIED and not re.search(r"transport$", name)
                ):
                    yield name, rest

    def maps(self) -> list[Map]:
        """Return the alias maps and their like."""
        named: dict[str, list[str]] = {}
        for name, path in self._named_maps():
            named.setdefault(plain_name(path), []).append(name)
        return [
            Map(label, document.variant, document.entries, tuple(named.get(plain_name(label), ())))
            for label, document in self._of("map")
        ]

    def dovecot(self) -> Dovecot:
        """Return what Dovecot's texts say: ``doveconf -n`` first, files fill in."""
        found: dict[tuple[str, ...], Fact] = {}
        version = ""
        # What doveconf printed counts; else dovecot.conf, over which conf.d/ has its say in the order of the names.
        documents = sorted(
            self._of("doveconf"),
            key=lambda each: (each[1].variant != "output", base_name(each[0]) != "dovecot.conf", each[0]),
        )
        printed = bool(documents) and documents[0][1].variant == "output"
        for label, document in documents:
            version = version or document.version
            own = {each.path: Fact(each.value, label, each.line) for each in document.entries}
            for path, fact in own.items():
                if not printed or path not in found:
                    found[path] = fact
        return Dovecot(found, version, bool(documents) and documents[0][1].variant == "output")

    def dspam(self) -> Dspam:
        """Return what dspam.conf and the group file say."""
        found: dict[str, list[Fact]] = {}
        for label, document in self._of("dspam.conf"):
            for each in document.entries:
                found.setdefault(each.name.lower(), []).append(Fact(each.value, label, each.line))
        groups = [Fact(x.value, label, x.line) for label, document in self._of("dspam-group") for x in document.entries]
        return Dspam(found, groups)

    def amavis(self) -> dict[str, Fact]:
        """Return amavis's variables."""
        return {
            each.name: Fact(each.value, label, each.line)
            for label, document in self._of("amavisd.conf")
            for each in document.entries
        }
