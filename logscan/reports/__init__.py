"""The reports: plug-ins found by :mod:`logscan.plugins`; in a checkout they lie in the top-level folder ``reports/``."""

from logscan.plugins import extend_path

extend_path(__path__, "reports")
