"""Makes one change of all diffs of a report: a patch a file that applies as a whole, the steps around it, the way back.

Diffs can't be joined: two of them may change the same line, or one may move what the other changes. So the remedies are
made again, one after the other, each for the configuration as the ones before it leave it. What can't be made again, or
would do harm there, stays words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from logscan.findings import Finding, Need, Prediction, Remedy
from logscan.plans import ByHand, Patch, Plan
from logscan.remedies import global_filter, local, mappings, submission, training
from logscan.remedies.aftermath import steps_of, undo_of
from logscan.remedies.plan import changed, file_name, reread, unified
from logscan.remedies.sides import sides
from logscan.settings import Settings

ORDER = (
    mappings.BEFORE,
    mappings.AFTER,
    global_filter.KEY,
    f"{global_filter.KEY}-and-loopback",
    submission.SUBMISSION,
    submission.AUTH,
    f"{local.KEY}-both",
    f"{local.KEY}-loopback",
    f"{local.KEY}-sendmail",
    training.KEY,
)
"""The keys of all remedies that can be diffs, in the order in which they are made: lines are split by address last, so
that the copies hold what was changed before."""


def combined(settings: Settings, findings: Iterable[Finding], predictions: Iterable[Prediction] = ()) -> Plan | None:
    """Return the one change for the findings that count, and for predictions; None where none of them has a diff."""
    groups: dict[str, tuple[Remedy, list[Finding]]] = {}
    for finding in findings:
        if finding.counts and finding.remedy and not finding.remedy.absent:
            key = finding.remedy.key or finding.remedy.text
            groups.setdefault(key, (finding.remedy, []))[1].append(finding)
    for each in predictions:
        if each.remedy and not each.remedy.absent:
            groups.setdefault(each.remedy.key or each.remedy.text, (each.remedy, []))
    makers = [key for key, (remedy, _) in groups.items() if remedy.again and remedy.diff]
    makers.sort(key=_rank)
    now = settings
    needs: dict[Need, None] = {}
    made: list[str] = []
    for key in makers:
        after = _one_more(settings, now, groups[key][0])
        if after is None:
            continue
        now, wanted = after
        made.append(key)
        needs |= dict.fromkeys(wanted)
    patches = _patches(settings, now)
    if not patches:
        return None
    ids = tuple(finding.id for key in made for finding in groups[key][1])
    by_hand = [
        ByHand(tuple(finding.id for finding in own), remedy.text)
        for key, (remedy, own) in groups.items()
        if key not in made
    ]
    checks = list(dict.fromkeys(finding.check for key in made for finding in groups[key][1]))
    return Plan(
        findings=ids,
        patches=patches,
        steps=steps_of(settings, now, patches, tuple(needs), checks),
        undo=undo_of(patches, tuple(needs)),
        by_hand=tuple(by_hand),
    )


def _rank(key: str) -> int:
    """Return a remedy's place: that of the longest key it begins with (more words may go with the same change)."""
    fitting = [known for known in ORDER if key.startswith(known)]
    return ORDER.index(max(fitting, key=len)) if fitting else len(ORDER)


def _one_more(first: Settings, now: Settings, remedy: Remedy) -> tuple[Settings, Sequence[Need]] | None:
    """Return the configuration with one remedy more made in it, and what it needs; None where it can't be made so."""
    assert remedy.again is not None
    again = remedy.again(now)
    if again.absent:
        return now, ()  # another remedy mended it already
    if not again.diff or not again.edits:
        return None
    texts = changed(now, again.edits)
    if texts is None or _clash(first, texts):
        return None
    after = reread(now, texts)
    return None if _harms(first, after, set(texts)) else (after, again.needs)


def _clash(settings: Settings, texts: dict[str, str]) -> bool:
    """Whether two files of the configuration given would have one name in the patch."""
    names = [file_name(settings, file) for file in settings.kinds]
    return any(names.count(file_name(settings, file)) > 1 for file in texts)


def _harms(before: Settings, after: Settings, files: set[str]) -> bool:
    """Whether a change leaves services without alias expansion that had it, or its files can't be read as well."""
    old, new = (sum(each.file in files for each in settings.problems) for settings in (before, after))
    return new > old or bool(unexpanded(after) - unexpanded(before))


def unexpanded(settings: Settings) -> set[str]:
    """Return the kinds of mail whose aliases are never expanded: unfiltered with mapping off, or off on both sides."""
    both = sides(settings)
    filtered = {each.key for each in both.front}
    behind = bool(both.back) and all(settings.mapping(each).off for each in both.back)
    back = {each.key for each in both.back}
    found = set()
    for each in settings.entrances():
        if each.key not in back and settings.mapping(each).off and (behind or each.key not in filtered):
            found.add(each.name if each.port is None else str(each.port))
    return found


def _patches(settings: Settings, now: Settings) -> tuple[Patch, ...]:
    found: list[Patch] = []
    for file, text in settings.texts.items():
        if now.texts[file] != text:
            kind = settings.kinds.get(file, "")
            program = "dovecot" if kind == "doveconf" else "postfix"
            name = file_name(settings, file)
            found.append(Patch(name, program, unified(name, text, now.texts[file])))
    return tuple(sorted(found, key=lambda each: (each.program != "postfix", each.file != "main.cf", each.file)))
