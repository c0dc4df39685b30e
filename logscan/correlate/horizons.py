"""How long what belongs together may lie apart, in log time: what lets a log be correlated piece by piece, and in one go alike.

Whoever joins lines of a mail keeps within these, so that a mail can be handed on as soon as nothing more can come.
"""

from __future__ import annotations

SECOND = 10**9

SETTLE = 300 * SECOND
"""Behind the last line of a mail that is over nothing of it comes later than this; a line of its queue ID that does is
another life's. Bounces, re-injections, verdicts and redirects come within it, and so does what a loaded logger holds back."""

REACH = 3600
"""Seconds that one transmission lasts at most, and so how far back from its line what came of it may have begun: Postfix waits
ten minutes for each answer."""

UNQUEUED = 6 * 3600 * SECOND
"""A queue file that qmgr hasn't seen is quiet no longer than this: while its content comes, over the slowest of lines."""

QUIET = 7 * 24 * 3600 * SECOND
"""A queue ID that was silent for longer begins another life: Postfix tries again within 4000 s (maximal_backoff_time) and gives
up after five days (maximal_queue_lifetime)."""

BACK = (REACH * 21 // 20 + 120) * SECOND
"""How far back from now a line that is still to come may reach: a transmission's length by two printed digits, and stamps."""
