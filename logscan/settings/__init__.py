"""What the server is set up to do: configuration texts become facts, each with the file and line it stands in.

The texts are recognised by their content and read by the plug-ins ``parsers/*.py`` (attribute ``CONFIG``); this package
joins what they read: overrides of ``master.cf`` over ``main.cf`` over Postfix's defaults (postconf(5)), alias maps with
the parameter that names them, the filter with the service that takes its mail back.
"""

from __future__ import annotations

from logscan.settings.addresses import Alias
from logscan.settings.destinations import PORTS, Destination, is_loopback, parse_destination
from logscan.settings.dovecot import Dovecot
from logscan.settings.dspam import Dspam
from logscan.settings.entrances import AddressMapping, Listener
from logscan.settings.facts import Entry, Fact, Override, Problem
from logscan.settings.filtering import FilterSetup
from logscan.settings.model import Area, Settings
from logscan.settings.parameters import DEFAULTS, Parameters
from logscan.settings.postfix import Postfix
from logscan.settings.reading import LONGEST, read_settings
from logscan.settings.recognising import CERTAIN, HEAD, ConfigFormat, Document, formats, recognise
from logscan.settings.services import Service
from logscan.settings.tables import Map
from logscan.settings.text import Logical, base_name, logical_lines, split_list

__all__ = [
    "CERTAIN",
    "DEFAULTS",
    "HEAD",
    "LONGEST",
    "PORTS",
    "AddressMapping",
    "Alias",
    "Area",
    "ConfigFormat",
    "Destination",
    "Document",
    "Dovecot",
    "Dspam",
    "Entry",
    "Fact",
    "FilterSetup",
    "Listener",
    "Logical",
    "Map",
    "Override",
    "Parameters",
    "Postfix",
    "Problem",
    "Service",
    "Settings",
    "base_name",
    "formats",
    "is_loopback",
    "logical_lines",
    "parse_destination",
    "read_settings",
    "recognise",
    "split_list",
]
