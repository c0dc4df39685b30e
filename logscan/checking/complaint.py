"""What a text of Postfix's complaints is, and which of them other checks tell."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Literal

HOURS, DAY = 2 * 3600, 86_400


@dataclass(frozen=True)
class Complaint:
    """A text of Postfix's, and what an administrator has to know of it.

    ``words`` say what is wrong, ``{it}`` in it is what the complaint is about; ``cure`` what to do.
    """

    name: str
    pattern: str
    severity: Literal["problem", "warning", "note"]
    words: str
    cure: str
    source: str
    lasting: int = 0
    """Seconds from the first to the last line that make it count: what a start of the machine brings is over at once."""
    quiet: int = HOURS
    """Seconds with mail and without it after which it was mended: mail that was put off is tried again after 4000 s at most.
    A day where it comes by chance; 0: never, since it is said at starts only, or lies there still."""

    @functools.cached_property
    def compiled(self) -> re.Pattern[str]:
        """The pattern, compiled."""
        return re.compile(self.pattern)


ELSEWHERE = (
    r"is older than source file|has reached its process limit|fork: .* -- throttling|not enough free space in mail queue"
    r"|No space left on device"
    r"|Disk quota exceeded|backward time jump|hopcount exceeded|map nesting|recipient nesting limit|alias database loop"
    r"|mail forwarding loop|[Mm]ilter |policy service|proxy filter|SASL: Connect to"
    r"|SASL authentication (?:failure|problem): (?:cannot|Internal|GSSAPI|Password|realm)|authentication failed"
    r"|dnsblog|problem talking to"
)
"""What other checks tell (RE2), beside failed look-ups (:mod:`logscan.checking.lookups`)."""

ASIDE = (
    r"the Postfix mail system is (?:not |already )?running|^to avoid this|^see https?:|^for instructions|^please (?:avoid|update)"
    r"|^this may slow|^you may need|^to turn off these|^perhaps you need|^do not specify lookup tables|^define a restriction"
    r"|^this is not allowed for security|^use DUNNO|^old value: |^to change |^so that Postfix |^Replace one by a symbolic"
)
"""Lines that go on with one before, or that answer a command of the administrator's (RE2)."""
