"""Makes the change that mends a finding: a diff where it is safe to apply as printed, else words with exact commands.

A diff is made only against a configuration file itself, never against what a program printed of it. It keeps every
option and comment, and touches nothing but the values named. Diffs apply with ``patch -p0`` (or ``git apply -p0``) in
the configuration's folder; :func:`combined` makes one of all diffs of a report, with the steps around it.
"""

from __future__ import annotations

from logscan.remedies.combined import combined
from logscan.remedies.global_filter import filter_port_25_only
from logscan.remedies.local import unfilter_local
from logscan.remedies.mappings import alias_owns_hash, no_address_mappings_after
from logscan.remedies.milters import (
    after_release,
    spare_by_milter,
    spare_by_pmg,
    spare_by_proxy,
    spare_from_hold,
    unfilter_network,
)
from logscan.remedies.plan import unified
from logscan.remedies.submission import move_to_submission, refuse_auth_on_25, unfilter_submission
from logscan.remedies.training import training_arguments
from logscan.remedies.words import case_or_extension, dspam_one_at_a_time, signatures_kept_longer

__all__ = [
    "after_release",
    "alias_owns_hash",
    "case_or_extension",
    "combined",
    "dspam_one_at_a_time",
    "filter_port_25_only",
    "move_to_submission",
    "no_address_mappings_after",
    "refuse_auth_on_25",
    "signatures_kept_longer",
    "spare_by_milter",
    "spare_by_pmg",
    "spare_by_proxy",
    "spare_from_hold",
    "training_arguments",
    "unfilter_local",
    "unfilter_network",
    "unfilter_submission",
    "unified",
]
