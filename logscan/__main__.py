"""Runs the command line: ``python -m logscan``."""

from logscan.cli import main

if __name__ == "__main__":
    main()
