"""The JSON Schema that ships with the package, against reports of many kinds: by the few keywords of it that are used."""

from __future__ import annotations

import json
import re
from typing import Any

import memory_sample
import pytest
import report_sample

import logscan
from logscan.rendering.renderers import render, renderers
from logscan.samples import story

TYPES: dict[str, Any] = {
    "string": str, "integer": int, "number": (int, float), "boolean": bool, "object": dict, "array": list,
    "null": type(None),
}  # fmt: skip
KNOWN = {
    "$schema", "$defs", "$ref", "title", "description", "type", "properties", "required", "additionalProperties", "items",
    "enum", "const", "pattern", "minimum", "format",
}  # fmt: skip


def schema() -> dict[str, Any]:
    from logscan.plugins import modules

    (module,) = [each for each in modules("logscan.reports") if each.__name__.endswith(".json")]
    found: dict[str, Any] = module.schema()
    return found


def wrong(value: Any, rule: dict[str, Any], whole: dict[str, Any], path: str = "$") -> list[str]:
    """What of a value breaks a schema (draft 2020-12, the keywords in KNOWN)."""
    assert set(rule) <= KNOWN, set(rule) - KNOWN
    if "$ref" in rule:
        return wrong(value, whole["$defs"][rule["$ref"].rpartition("/")[2]], whole, path)
    found = []
    if "type" in rule:
        names = [rule["type"]] if isinstance(rule["type"], str) else rule["type"]
        good = any(isinstance(value, TYPES[each]) for each in names)
        if isinstance(value, bool) and "boolean" not in names:
            good = False
        if not good:
            return [f"{path}: {value!r:.60} is no {names}"]
    if "enum" in rule and value not in rule["enum"]:
        found.append(f"{path}: {value!r} not in {rule['enum']}")
    if "const" in rule and value != rule["const"]:
        found.append(f"{path}: {value!r} is not {rule['const']}")
    if "pattern" in rule and not re.search(rule["pattern"], value):
        found.append(f"{path}: {value!r}")
    if "minimum" in rule and value < rule["minimum"]:
        found.append(f"{path}: {value}")
    if isinstance(value, dict):
        found += [f"{path}.{name} is missing" for name in rule.get("required", ()) if name not in value]
        for name, each in value.items():
            inner = rule.get("properties", {}).get(name, rule.get("additionalProperties"))
            if isinstance(inner, dict):
                found += wrong(each, inner, whole, f"{path}.{name}")
    if isinstance(value, list) and "items" in rule:
        for at, each in enumerate(value):
            found += wrong(each, rule["items"], whole, f"{path}[{at}]")
    return found


@pytest.mark.parametrize(
    "make",
    [
        report_sample.sample,
        report_sample.hostile,
        report_sample.empty,
        report_sample.healthy,
        memory_sample.remembering,
        memory_sample.hostile,
        memory_sample.first,
    ],
    ids=lambda f: f.__name__,
)
def test_made_up_reports_keep_to_it(make: Any) -> None:
    assert wrong(json.loads(str(render(make(), "json"))), schema(), schema()) == []


@pytest.mark.parametrize("name", ["mixed-day", "rspamd-healthy", "amavis-double-alias-expansion"])
def test_reports_of_stories_keep_to_it(name: str) -> None:
    page = json.loads(str(render(logscan.analyse(logscan.read(story(name), jobs=1)), "json")))
    assert wrong(page, schema(), schema()) == []
    rules = schema()["properties"]
    assert {*page, "memory", "runs"} == set(rules), "each key is described"
    assert set(page["traffic"]) == set(rules["traffic"]["properties"])
    for key in ("check", "finding"):
        told = page["checks"] if key == "check" else [each for check in page["checks"] for each in check["findings"]]
        assert {name for each in told for name in each} == set(schema()["$defs"][key]["properties"])


def test_it_tells_what_is_wrong() -> None:
    page = json.loads(str(render(report_sample.sample(), "json")))
    page["checks"][0]["verdict"] = "perhaps"
    page["mails"]["total"] = -1
    del page["traffic"]["flow"]
    assert len(wrong(page, schema(), schema())) == 3


def test_it_is_version_2() -> None:
    assert "version 2" in renderers()["json"].title
    assert "version 2" in schema()["title"]
