"""What a report says in numbers: the verdict line and its counts, what is to act on, what one case is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from logscan.amounts import plural
from logscan.findings import Finding, Result
from logscan.rendering.foreseen import faults
from logscan.rendering.grouping import Group, groups
from logscan.report.model import Report

if TYPE_CHECKING:
    from logscan.rendering.renderers import RenderOptions


@dataclass(frozen=True)
class Summary:
    """The verdict line's numbers: causes to act on by severity, checks by verdict, lines by what became of them."""

    problems: int
    """Causes, not those whom they happen to: so many changes are to be made."""
    warnings: int
    notes: int
    mended: int
    suppressed: int
    """Findings that the settings suppress: they would count."""
    acknowledged: int
    """Findings that somebody acknowledged by name, likewise."""
    new: int | None
    found: int
    clear: int
    blind: int
    not_applicable: int
    concerns: tuple[str, ...]
    """What went wrong by the numbers and no check judges."""
    lines: int
    """Lines read, those read already from another source left out."""
    understood: int
    noise: int
    unknown: int
    undecodable: int
    audit: bool = False
    """Whether there was no log: the configuration alone speaks."""
    foreseen: int = 0
    """Faults that the configuration foretells."""
    idle: bool = False
    """Whether there was no line since the report before."""

    @property
    def recognised(self) -> bool:
        """Whether any line was known."""
        return self.understood + self.noise > 0

    @property
    def unread(self) -> str:
        """What there is to say where no line was known."""
        return "no new line since the last report" if self.idle else "no line was recognised"

    @property
    def share(self) -> float:
        """Share of lines understood or known noise, 0 to 1; 1 for no lines."""
        known = self.understood + self.noise
        every = known + self.unknown + self.undecodable
        return known / every if every else 1.0

    @property
    def all_clear(self) -> bool:
        """Whether all that was looked at is right: at least half of the checks that apply looked, nothing disturbs."""
        return self.recognised and not self.found and not self.concerns and self.clear > 0 and self.clear >= self.blind

    def verdicts(self) -> str:
        """Return how many checks are clear, blind and not applicable, e.g. ``3 clear, 2 blind``."""
        rest = [f"{self.not_applicable} not applicable"] if self.not_applicable else []
        return ", ".join([f"{self.clear} clear", f"{self.blind} blind", *rest])

    def headline(self) -> str:
        """Say in a few words what was found, e.g. ``2 problems (1 new), 14 clear, 1 blind``."""
        if self.audit:
            return f"configuration alone: {plural(self.foreseen, 'fault')} foretold"
        parts = []
        if self.problems:
            parts.append(plural(self.problems, "problem"))
        if self.warnings:
            parts.append(plural(self.warnings, "warning"))
        if parts and self.new:
            parts[-1] += f" ({self.new} new)"
        if not parts:
            parts.append(f"nothing found, but {self.concerns[0]}" if self.concerns else "nothing found")
        if self.suppressed:
            parts.append(f"{self.suppressed} suppressed")
        if self.acknowledged:
            parts.append(f"{self.acknowledged} acknowledged")
        return ", ".join([*parts, self.verdicts()])


def summarise(report: Report, options: RenderOptions | None = None) -> Summary:
    """Return the counts of the verdict line."""
    causes = acting(report)
    new = options.new if options else None
    verdicts = [check.verdict for check in report.checks]
    return Summary(
        problems=sum(each.severity == "problem" for each in causes),
        warnings=sum(each.severity == "warning" for each in causes),
        notes=sum(finding.severity == "note" for finding in report.found),
        mended=sum(finding.state in ("mended", "residual") for finding in report.found if finding.severity != "note"),
        suppressed=sum(known_by(finding) == "suppressed" for finding in report.found),
        acknowledged=sum(known_by(finding) == "acknowledged" for finding in report.found),
        new=None if new is None else sum(any(each in new for each in group.ids) for group in causes),
        found=verdicts.count("found"),
        clear=verdicts.count("clear"),
        blind=verdicts.count("blind"),
        not_applicable=verdicts.count("not-applicable"),
        concerns=tuple(report.concerns),
        lines=sum(source.lines - source.copies for source in report.sources),
        understood=sum(source.understood for source in report.sources),
        noise=sum(source.noise for source in report.sources),
        unknown=sum(source.unknown for source in report.sources),
        undecodable=sum(source.undecodable for source in report.sources),
        audit=report.audit,
        foreseen=len(faults(report)),
        idle=report.memory is not None and not report.memory.first and not any(each.lines for each in report.sources),
    )


def verdict_line(counts: Summary) -> str:
    """Return the page's first words."""
    if counts.audit:
        told = plural(counts.foreseen, "fault") if counts.foreseen else "no fault"
        return f"The configuration foretells {told}"
    if not counts.recognised:
        return f"{counts.unread[0].upper()}{counts.unread[1:]}"
    parts = [plural(counts.problems, "problem")] if counts.problems else []
    parts += [plural(counts.warnings, "warning")] if counts.warnings else []
    if parts:
        return " and ".join(parts)
    if counts.concerns:
        rest = len(counts.concerns) - 1
        return f"No check found a fault, but {counts.concerns[0]}" + (f" and {rest} more" if rest else "")
    if not counts.clear:
        return "Nothing could be judged"
    if not counts.all_clear:
        return f"Nothing wrong found, but {plural(counts.blind, 'check')} could not see"
    some = {"suppressed": counts.suppressed, "acknowledged": counts.acknowledged}
    named = [plural(count, f"{word} finding") for word, count in some.items() if count]
    known = f" but for {' and '.join(named)}" if named else ""
    looked = f"All clear{known}: {plural(counts.clear, 'check')} looked"
    return looked + (f", {counts.blind} {'is' if counts.blind == 1 else 'are'} blind" if counts.blind else "")


MOST_NAMED = 6


def verdict_more(report: Report, counts: Summary) -> list[str]:
    """Return what the first words leave open, in sentences: concerns, and what nobody looked at."""
    said = []
    if counts.audit:
        return [
            f"No log was read: {plural(len(report.checks), 'check')} would need one, and what only a log shows may be "
            "wrong all the same."
        ]
    if counts.suppressed:
        said.append(f"{plural(counts.suppressed, 'finding')} suppressed in the settings.")
    if counts.acknowledged:
        said.append(f"{plural(counts.acknowledged, 'finding')} acknowledged.")
    if counts.concerns and (counts.found or len(counts.concerns) > 1):
        said.append("Also, by the numbers alone: " + "; ".join(counts.concerns) + ".")
    for verdict, words in (
        ("blind", "Not looked at, the evidence is missing"),
        ("not-applicable", "Does not apply here"),
    ):
        names = [check.name for check in by_verdict(report, verdict)]
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        if names:
            said.append(f"{words}: {', '.join(names[:MOST_NAMED])}{more}.")
    before = report.mails.get("opened_before", 0)
    if before:
        verb, whose = ("was", "its") if before == 1 else ("were", "their")
        said.append(f"{plural(before, 'mail')} {verb} opened before the log begins: {whose} direction isn't known.")
    return said


def acting(report: Report) -> list[Group]:
    """Return what is to act on: findings grouped by cause and cure, the gravest first."""
    return groups(report, (each for each in report.found if each.counts))


def resting(report: Report) -> list[Finding]:
    """Return the findings that need no action: what the administrator knows of first, then mended, residual, and notes."""
    return sorted((each for each in report.found if not each.counts), key=lambda each: each.state != "suppressed")


def known_by(finding: Finding) -> str:
    """Return how the administrator knows of a finding: ``suppressed`` in the settings, ``acknowledged`` by name, or empty."""
    if finding.state != "suppressed":
        return ""
    return "acknowledged" if finding.suppressed and finding.suppressed.by else "suppressed"


def kind_of(finding: Finding) -> str:
    """Return the severity, or the state where a finding is no longer active, or how the administrator knows of it."""
    return known_by(finding) or (finding.severity if finding.state == "active" else finding.state)


def suppressed_text(finding: Finding) -> str:
    """Return who knows of a finding, why, and until when; empty where it isn't suppressed."""
    told = finding.suppressed
    if told is None:
        return ""
    who = f" by {told.by}" if told.by else ""
    reason = f": {told.reason}" if told.reason else ", no reason given"
    return f"{known_by(finding)}{who} {f'until {told.until}' if told.until else 'without an end'}{reason}"


def by_verdict(report: Report, verdict: str) -> list[Result]:
    """Return the checks with this verdict in their order."""
    return [check for check in report.checks if check.verdict == verdict]


def title_of(check: Result) -> str:
    """Return a check's title, made from its name where it has none."""
    return check.title or check.name.replace("-", " ").capitalize()


def clear_text(check: Result) -> str:
    """Return what is true of a clear check as a sentence: its own, else its title as what wasn't found."""
    return check.clear_title or f"Not found: {title_of(check)}"
