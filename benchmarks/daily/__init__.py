"""The harness that shows what ``logscan daily`` keeps of its promise: rotation schemes, kill points, dropped syncs.

``shim.c`` stands between a program and libc, :mod:`benchmarks.daily.driving` starts runs that die where they are told to,
:mod:`benchmarks.daily.world` is a server that logs and whose logs are rotated, :mod:`benchmarks.daily.schemes` tells how,
:mod:`benchmarks.daily.judging` says what a state holds, :mod:`benchmarks.daily.replaying` what a power cut leaves of a run.
``python benchmarks/daily_kills.py`` runs it all.
"""
