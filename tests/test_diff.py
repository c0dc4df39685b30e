"""What differs between two reports, of any version; what can't be told from them; files that are no reports."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Run
from hypothesis import given, settings
from hypothesis import strategies as st

from logscan.report.differing import differing
from logscan.report.documents import Document, DocumentError, parsed

REPORTS = Path(__file__).parent / "data" / "reports"
ONE, TWO = REPORTS / "version-1.json", REPORTS / "version-2.json"


def document(*checks: dict[str, Any], mails: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "logscan": {"version": "9.9", "schema": 2},
        "hosts": ["mx1"],
        "mails": mails or {},
        "checks": list(checks),
    } | more


def check(name: str, verdict: str, *findings: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "verdict": verdict, "findings": list(findings)} | more


def finding(subject: str, count: int = 1, **more: Any) -> dict[str, Any]:
    kept = {
        "id": f"id-{subject}",
        "cause": "c",
        "severity": "problem",
        "state": "active",
        "summary": f"{subject} is bad",
    }
    return kept | {"subject": subject, "count": count} | more


def read(value: Any, name: str = "a.json") -> Document:
    return parsed(json.dumps(value).encode(), name)


def names(changes: Any) -> list[str]:
    return [each.finding.subject for each in changes]


def test_findings_are_new_gone_more_fewer_changed_or_as_they_were() -> None:
    before = document(
        check("x", "found", finding("gone"), finding("more", 2), finding("fewer", 9), finding("same"), finding("state"))
    )
    after = document(
        check(
            "x",
            "found",
            finding("new"),
            finding("more", 3),
            finding("fewer", 4),
            finding("same"),
            finding("state", state="mended"),
        )
    )
    found = differing(read(before), read(after))
    assert [names(each) for each in (found.new, found.gone, found.more, found.fewer, found.changed)] == [
        ["new"], ["gone"], ["more"], ["fewer"], ["state"],
    ]  # fmt: skip
    assert found.unchanged == 1
    assert found.changed[0].remarks == ("state: active → mended",)
    assert found.new[0].remarks == found.gone[0].remarks == ()


@pytest.mark.parametrize(
    ("there", "remark"),
    [
        (
            [check("x", "blind", blind_because=["no log"])],
            "is blind in the second report: whether it is gone can’t be told (no log)",
        ),
        ([], "hasn’t this check: whether it is gone can’t be told"),
        ([check("x", "not-applicable")], "can’t be told"),
    ],
)
def test_what_a_blind_or_missing_check_does_not_find_is_not_said_to_be_gone(there: list[Any], remark: str) -> None:
    found = differing(read(document(check("x", "found", finding("a")))), read(document(*there)))
    assert remark in found.gone[0].remarks[0]


def test_what_an_earlier_check_could_not_find_may_not_be_new() -> None:
    after = read(document(check("x", "found", finding("a"))))
    for before in (document(check("x", "blind", blind_because=["no log"])), document()):
        assert "it may not be new" in differing(read(before), after).new[0].remarks[0]


def test_verdicts_and_figures_that_differ_are_told() -> None:
    before = document(check("x", "clear"), check("y", "clear"), mails={"total": 3, "held": 1, "same": 7})
    after = document(
        check("x", "blind", blind_because=["why"]), check("y", "clear"), mails={"total": 5, "late": 2, "same": 7}
    )
    found = differing(read(before), read(after))
    assert [(each.check, each.before, each.after, each.because) for each in found.verdicts] == [
        ("x", "clear", "blind", ("why",))
    ]
    assert [(each.name, each.before, each.after) for each in found.figures] == [
        ("total", 3, 5), ("held", 1, None), ("late", None, 2),
    ]  # fmt: skip


def test_a_report_doesn_t_differ_from_itself() -> None:
    for path in (ONE, TWO):
        found = differing(parsed(path.read_bytes(), "a"), parsed(path.read_bytes(), "b"))
        assert found.none
        assert found.unchanged >= 3


def test_a_report_of_version_1_is_compared_with_one_of_version_2() -> None:
    """Both are of the same log, so that the same findings are in both."""
    found = differing(parsed(ONE.read_bytes(), "a"), parsed(TWO.read_bytes(), "b"))
    assert found.unchanged == 3
    assert (found.gone, found.more, found.fewer, found.alarming) == ((), (), (), ())
    assert "versions 1 and 2" in found.notes[0]
    assert {each.check for each in found.verdicts if each.before != "absent"} == set()


SUBJECTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 3), max_size=6)


@settings(deadline=None, max_examples=60)
@given(SUBJECTS, SUBJECTS)
def test_each_finding_is_in_one_place_and_the_way_back_is_the_reverse(
    one: dict[str, int], other: dict[str, int]
) -> None:
    a, b = (read(document(check("x", "found", *(finding(*each) for each in some.items())))) for some in (one, other))
    there, back = differing(a, b), differing(b, a)
    assert sorted(names(there.new)) == sorted(other.keys() - one.keys()) == sorted(names(back.gone))
    assert sorted(names(there.more)) == sorted(key for key in one.keys() & other.keys() if other[key] > one[key])
    assert sorted(names(there.more)) == sorted(names(back.fewer))
    placed = len(there.new) + len(there.more) + len(there.fewer) + len(there.changed) + there.unchanged
    assert placed == len(other)


# -- files that are no reports -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html></html>", "is a page: it holds no data"),
        (b"Nov 22 07:00:00 mx1 postfix", "is no JSON (line 1"),
        (b"\xff\xfe\x00", "is no text in UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[1]", "no report of logscan’s"),
        (b'{"logscan": {}}', "which version"),
        (b'{"logscan": {"schema": true}}', "which version"),
        (b'{"logscan": {"schema": 2, "x": NaN}}', "NaN is no number"),
        (b'{"logscan": {"schema": 2}, "mails": {"n": ' + b"9" * 5000 + b"}}", "is no report as JSON"),
        (b'{"logscan": {"schema": 2}, "checks": {}}', "checks is not a list"),
        (b'{"logscan": {"schema": 2}, "checks": [7]}', "checks[0] is not a check"),
        (b'{"logscan": {"schema": 2}, "checks": [{"verdict": "found"}]}', "[0].name is not a name"),
        (b'{"logscan": {"schema": 2}, "checks": [{"name": "x", "findings": [{"count": "3"}]}]}', "[0].count is not a whole"),
        (b'{"logscan": {"schema": 2}, "checks": [{"name": "x", "findings": [{"subject": []}]}]}', "[0].subject is not a text"),
        (b'{"logscan": {"schema": 2}, "mails": {"n": true}}', "mails.n is not a number"),
    ],
)  # fmt: skip
def test_what_is_no_report_is_said_and_why(data: bytes, why: str) -> None:
    with pytest.raises(DocumentError) as error:
        parsed(data, "a.json")
    assert str(error.value).startswith("a.json ")
    assert why in str(error.value)


def test_a_report_of_a_newer_version_is_read_and_that_is_said() -> None:
    newer = document() | {"logscan": {"version": "99", "schema": 99}}
    assert "newer than this logscan knows" in differing(read(newer), read(document())).notes[0]


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "findings", "x", "count"]), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_report_with_anything_in_it_is_read_or_refused(data: st.DataObject) -> None:
    whole = document(check("x", "found", finding("a")), mails={"total": 1}, period={"first": "", "last": ""})
    place: Any = whole
    while isinstance(place, dict | list) and place:
        keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if data.draw(st.booleans()) or not isinstance(place[key], dict | list) or not place[key]:
            place[key] = data.draw(VALUES)
            break
        place = place[key]
    try:
        found = read(whole)
    except DocumentError:
        return
    differing(found, found)


# -- the command -------------------------------------------------------------------------------------------------------


def written(tmp_path: Path, **documents: Any) -> list[Path]:
    out = []
    for name, value in documents.items():
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(value))
        out.append(path)
    return out


def test_the_status_is_0_unless_it_is_asked_for(run: Run, tmp_path: Path) -> None:
    a, b = written(tmp_path, a=document(check("x", "clear")), b=document(check("x", "found", finding("new"))))
    statuses = {option: run("diff", a, b, "--fail-on", option).returncode for option in ("never", "new", "any")}
    assert statuses == {"never": 0, "new": 1, "any": 1}
    assert run("diff", b, a, "--fail-on", "new").returncode == 0
    assert run("diff", b, a, "--fail-on", "any").returncode == 1
    same = run("diff", a, a, "--fail-on", "any")
    assert (same.returncode, "No difference" in same.stdout) == (0, True)


@pytest.mark.parametrize("more", [{"severity": "note"}, {"state": "mended"}, {"suppressed": {"reason": "known"}}])
def test_notes_and_what_is_mended_or_suppressed_do_not_fail(run: Run, tmp_path: Path, more: dict[str, Any]) -> None:
    a, b = written(tmp_path, a=document(check("x", "clear")), b=document(check("x", "found", finding("new", **more))))
    assert run("diff", a, b, "--fail-on", "new").returncode == 0


def test_json_holds_the_same_and_one_may_come_by_standard_input(run: Run) -> None:
    done = run("diff", ONE, "-", "-f", "json", stdin=TWO.read_bytes())
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["a"]["schema"], found["b"]["schema"], found["b"]["name"]) == (1, 2, "standard input")
    assert [each["check"] for each in found["findings"]["new"]] == ["stray-dictionary"]
    assert found["unchanged"] == 3


def test_what_can_not_be_read_ends_with_3_and_both_are_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<html>")
    done = run("diff", tmp_path / "missing\x1b[31m.json", tmp_path / "page.html")
    assert (done.returncode, done.stdout) == (3, "")
    assert "missing\\x1b[31m.json: No such file" in done.stderr
    assert "page.html is a page" in done.stderr
    assert run("diff", "-", "-").returncode == 2
    assert run("diff", tmp_path, ONE).returncode == 3


def test_nothing_a_stranger_wrote_reaches_the_terminal(run: Run, tmp_path: Path) -> None:
    nasty = "a\x1b[31m\x07\n  problem forged\u202e"
    value = document(check(nasty, "found", finding(nasty, summary=nasty, state=nasty)), mails={nasty: 3}, hosts=[nasty])
    other = copy.deepcopy(value)
    other["checks"][0]["findings"][0].update(count=2, severity=nasty)
    other["mails"] = {nasty: 4}
    a, b, empty = written(tmp_path, a=value, b=other, c=document())
    for done in (run("diff", a, b), run("diff", a, empty), run("diff", empty, a)):
        assert done.returncode == 0
        assert not set(done.stdout) & set("\x1b\x07\u202e\r")
        assert not [line for line in done.stdout.splitlines() if line.startswith("  problem forged")]
