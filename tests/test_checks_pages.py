"""Each check is a documentation page too: the same headings in the same order, each with something below it."""

from __future__ import annotations

import re

import pytest

from logscan.checking.check import HEADINGS, Check, all_checks, module_of, page

CHECKS = all_checks()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_page_has_the_headings_in_order(check: Check) -> None:
    assert tuple(re.findall(r"^## (.+)$", page(check), re.MULTILINE)) == HEADINGS


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_no_heading_stands_alone(check: Check) -> None:
    assert all(part.strip() for part in re.split(r"^## .+$", page(check), flags=re.MULTILINE))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_page_begins_with_one_sentence(check: Check) -> None:
    first = page(check).splitlines()[0]
    assert first.endswith(".")
    assert first[0].isupper()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_check_is_named_like_its_module_and_never_for_its_remedy(check: Check) -> None:
    assert module_of(check) == f"logscan.checks.{check.name.replace('-', '_')}"
    assert not check.name.startswith(("check-", "detect-", "fix-", "use-"))


def test_names_titles_and_places_are_unique() -> None:
    for attribute in ("name", "title", "order"):
        values = [getattr(check, attribute) for check in CHECKS]
        assert len(set(values)) == len(values), attribute
