"""The words that logscan itself uses: in its own sentences and in the lines of the programs it knows.

They are what may stay of a text from a log that is shown around: whatever else stands in it may be a name.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

from logscan.plugins import folders

WORD = re.compile(r"[A-Za-z]+")

REPLIES = """
    a about accept accepted access account action address administrative after again aggressive all allowed already an and
    another apr are as at aug authenticated authentication authorized aware back bad banned be because before blacklist
    blacklisted block blocked bounce bounced but by can cannot cest cet cidr cleanup client closed closing code command
    community complaint complaints completed concurrency connect connected connection contact content conversation could
    data day days dec deferred delayed delivered delivery denied destination detail details detected directory disabled
    discarded disconnect disk dns does domain domains dot down encrypt end enough envelope error exceed exceeded exceeds
    except excessive exist exists expired failed failure fallback false fatal feb file for forbidden found fri from full
    fully future generate get gmt greeting greylist greylisted greylisting had has have header hello helo help high home
    host hostname hour hours id idle if illegal in inbox incoming index inet initial insufficient interface interfaces
    internal invalid ip is it its jan jul jun kept key known later length limit limited line listed listing local locked
    login lookup loop lost mail mailbox mailer map maps mar maximum may mechanism message messages method minute minutes
    missing mon more moved much mx mynetworks name names need needed network new no none not nov now number oct of ok on
    once only open or other our out over overquota own parent part pass password pcre per permanent permission permitted
    please policy poor port postmaster previous problem process program protocol provided proxy ptr qualified queue queued
    quota rate read reading reason receive received receiving recipient recipients record refused regexp reject rejected
    relay relaying remote reply reputation request requested required requires resolve resources response restrict
    restriction restrictions results retry return reverse root rule said sat score second seconds security see send sender
    senders sending sent sep server service session since site size smtpd so socket soon space spam spamming spf stage
    started starttls state status still stop storage store stored strict such sun suspended suspicious syntax system table
    temporarily temporary than that the their then there this thu time timed timeout times tls to today too transaction
    transient transport try trying tue type unable unauth unavailable unblock unexpected unix unknown unlimited unsolicited
    until unverified up use used user users using utc valid value verification verify version virtual virus volume was we
    wed were what when where which while will with without wrong you your
"""
"""Words of servers' replies, of configurations and of dates, beside those in logscan's own texts."""


@functools.cache
def words() -> frozenset[str]:
    """Return the words, in lower case. Where the program's source isn't at hand they are few, and more is hidden."""
    from logscan.grammar.programs import log_formats

    found = {word.lower() for word in WORD.findall(REPLIES)}
    for line_format in log_formats():
        for text in (str(line_format.line), *line_format.programs):
            found.update(word.lower() for word in WORD.findall(text))
    for path in _modules():
        try:
            tree = ast.parse(path.read_text("utf-8"))
        except (OSError, SyntaxError, UnicodeDecodeError):
            continue
        for text in _texts(tree):
            # Examples in messages ("write alice@example.com") name people, though none that is.
            if "@" not in text and "example" not in text:
                found.update(word.lower() for word in WORD.findall(text))
    return frozenset(found)


def _modules() -> Iterator[Path]:
    """Yield the modules with texts of logscan's own; the formats' hold samples of logs beside their grammars."""
    parsers = Path(__file__).parent.parent / "parsers"
    for folder in (Path(__file__).parent.parent, *folders("logscan.reports")):
        yield from sorted(path for path in folder.rglob("*.py") if not path.is_relative_to(parsers))


def _texts(tree: ast.AST) -> Iterator[str]:
    """Yield the strings of a module, without its docstrings."""
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        todo.extend(ast.iter_child_nodes(node))
