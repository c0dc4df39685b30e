"""Makes the change that mends a finding: a diff where it is safe to apply as printed, else words with exact commands.

A diff is made only against a configuration file itself, never against what a program printed of it. It keeps every
option and comment, and touches nothing but the values named. Diffs apply with ``patch -p0`` (or ``git apply -p0``) in
the configuration's folder.
"""

from __future__ import annotations

from logscan.remedies.local import unfilter_local
from logscan.remedies.mappings import alias_owns_hash, no_address_mappings_after, no_address_mappings_before
from logscan.remedies.plan import unified
from logscan.remedies.submission import filter_port_25_only, move_to_submission, refuse_auth_on_25, unfilter_submission
from logscan.remedies.training import training_arguments

__all__ = [
    "alias_owns_hash",
    "filter_port_25_only",
    "move_to_submission",
    "no_address_mappings_after",
    "no_address_mappings_before",
    "refuse_auth_on_25",
    "training_arguments",
    "unfilter_local",
    "unfilter_submission",
    "unified",
]
