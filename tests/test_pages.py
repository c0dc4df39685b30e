"""The page in a real browser: headless Chromium, spoken to through a pipe (Chrome DevTools Protocol)."""

# ruff: noqa: E501 - JavaScript reads better unbroken

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import memory_sample
import pytest
import report_sample

import logscan
from logscan.rendering.renderers import render
from logscan.report.model import Report
from logscan.samples import story
from logscan.writing import save

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
    "--remote-debugging-pipe",
]  # fmt: skip

WIDE, PHONE = (1280, 900), (360, 800)


class Browser:
    """A running Chromium; commands go in through descriptor 3, answers and events come out of 4."""

    def __init__(self, profile: Path) -> None:
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()

        def wire() -> None:
            first, second = os.dup(to_read), os.dup(to_write)
            os.dup2(first, 3)
            os.dup2(second, 4)

        self._process = subprocess.Popen(
            [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=wire,  # noqa: PLW1509 - no thread runs here
            pass_fds=(3, 4),
            close_fds=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self._rest = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def close(self) -> None:
        try:
            self.send("Browser.close")
            self._process.wait(10)
        except (OSError, AssertionError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        finally:
            os.close(self._write)
            os.close(self._read)

    def _message(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], max(0.0, until - time.monotonic()))
            assert ready, "Chromium did not answer in time"
            data = os.read(self._read, 1 << 20)
            assert data, "Chromium ended"
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    def send(self, method: str, session: str = "", timeout: float = 60, **params: Any) -> dict[str, Any]:
        self._number += 1
        command: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if session:
            command["sessionId"] = session
        os.write(self._write, json.dumps(command).encode() + b"\0")
        until = time.monotonic() + timeout
        while True:
            message = self._message(until)
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                result: dict[str, Any] = message["result"]
                return result
            self.events.append(message)

    def wait_for(self, method: str, session: str, timeout: float = 60) -> None:
        until = time.monotonic() + timeout
        while not any(each.get("method") == method and each.get("sessionId") == session for each in self.events):
            self.events.append(self._message(until))


class Page:
    """One tab with a file open in it."""

    def __init__(
        self, browser: Browser, path: Path, size: tuple[int, int] = WIDE, scheme: str = "light", script: bool = True
    ) -> None:
        self.browser = browser
        self.path = path
        target = browser.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=size[0],
            height=size[1],
            deviceScaleFactor=1,
            mobile=size == PHONE,
        )
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        if not script:
            self.send("Emulation.setScriptExecutionDisabled", value=True)
        self.send("Page.navigate", url=path.as_uri())
        browser.wait_for("Page.loadEventFired", self.session)

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        return self.browser.send(method, self.session, **params)

    def run(self, script: str) -> Any:
        """Return what a JavaScript expression is."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            text = {"text": key} if len(key) == 1 and kind == "keyDown" else {}
            self.send("Input.dispatchKeyEvent", type=kind, key=key, **self._code(key), **text)

    @staticmethod
    def _code(key: str) -> dict[str, Any]:
        codes = {"Tab": 9, "Escape": 27}
        return {"windowsVirtualKeyCode": codes[key], "code": key} if key in codes else {}

    def type(self, text: str) -> None:
        self.send("Input.insertText", text=text)
        self.run("new Promise((done) => setTimeout(done, 250))")

    def told(self, *methods: str) -> list[dict[str, Any]]:
        return [
            each["params"]
            for each in self.browser.events
            if each.get("sessionId") == self.session and each.get("method") in methods
        ]

    def complaints(self) -> list[str]:
        """Return console messages, exceptions and what the browser itself found wrong (a broken policy, say)."""
        self.run("new Promise((done) => setTimeout(done, 50))")
        found = [json.dumps(each) for each in self.told("Runtime.consoleAPICalled", "Runtime.exceptionThrown")]
        return found + [each["entry"]["text"] for each in self.told("Log.entryAdded")]

    def requests(self) -> list[str]:
        return [each["request"]["url"] for each in self.told("Network.requestWillBeSent")]

    def picture(self, path: Path) -> None:
        """Save a picture of the whole page."""
        data = self.send("Page.captureScreenshot", captureBeyondViewport=True, format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self) -> None:
        self.send("Page.close")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM:
        reason = "there is no Chromium: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        running = Browser(Path(profile))
        yield running
        running.close()


REPORTS: dict[str, Callable[[], Report]] = {
    "sample": report_sample.sample,
    "hostile": report_sample.hostile,
    "healthy": report_sample.healthy,
    "remembering": memory_sample.remembering,
    "remembering-hostile": memory_sample.hostile,
    "empty": report_sample.empty,
    "unknown": lambda: report_sample.empty(20),
    "large": report_sample.large,
    "mixed-day": lambda: logscan.analyse(logscan.read(story("mixed-day"), jobs=1)),
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    found = {}
    for name, make in REPORTS.items():
        found[name] = folder / f"{name}.html"
        save(render(make(), "html"), found[name])
    return found


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("name", REPORTS)
def test_a_page_opens_without_complaint_asks_for_nothing_and_does_not_scroll_sideways(
    browser: Browser, pages: dict[str, Path], name: str, size: tuple[int, int]
) -> None:
    page = Page(browser, pages[name], size)
    page.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert page.complaints() == []
    assert [url for url in page.requests() if not url.startswith("data:")] == [pages[name].as_uri()]
    assert page.run("document.documentElement.scrollWidth") <= size[0]
    assert page.run("document.querySelector('h1').getBoundingClientRect().height") > 0
    page.close()


@pytest.mark.parametrize("name", ["hostile", "remembering-hostile"])
def test_hostile_text_becomes_no_element_and_runs_nothing(browser: Browser, pages: dict[str, Path], name: str) -> None:
    page = Page(browser, pages[name])
    page.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert page.run("document.querySelectorAll('script').length") == 1
    assert page.run("document.querySelectorAll('style').length") == 1
    assert (
        page.run("document.querySelectorAll('img, iframe, object, embed, base, form:not([method=dialog])').length") == 0
    )
    attributes = page.run("[...document.querySelectorAll('*')].flatMap((each) => each.getAttributeNames())")
    assert not [name for name in attributes if name.startswith("on") or name in {"style", "srcdoc"}]
    links = page.run("[...document.querySelectorAll('[href], [src]')].map((each) => each.getAttribute('href'))")
    assert {link[:1] for link in links if not link.startswith("data:image/svg+xml,%3Csvg")} == {"#"}
    assert page.told("Page.javascriptDialogOpening") == []
    assert "\u202e" not in page.run("document.documentElement.outerHTML")
    page.close()


def test_without_javascript_everything_can_be_read_and_no_dead_control_shows(
    browser: Browser, pages: dict[str, Path]
) -> None:
    page = Page(browser, pages["sample"], script=False)
    root = page.send("DOM.getDocument", depth=0)["root"]["nodeId"]

    def boxes(selector: str) -> list[bool]:
        found = page.send("DOM.querySelectorAll", nodeId=root, selector=selector)["nodeIds"]
        shown = []
        for node in found:
            try:
                page.send("DOM.getBoxModel", nodeId=node)
                shown.append(True)
            except AssertionError:
                shown.append(False)
        return shown

    assert all(
        boxes(
            "h1, h2:not(dialog h2), .card h3, .diff, .letter pre, .chart, .flow, summary:not(details details summary)"
        )
    )
    assert len(boxes(".card")) == 8
    assert not any(boxes(".js, dialog, th button, input"))
    page.close()


def test_a_table_sorts_by_number_and_by_name_and_says_so(browser: Browser, pages: dict[str, Path]) -> None:
    page = Page(browser, pages["sample"])
    column = "[...document.querySelectorAll('#listing-0 tbody tr')].map((row) => row.cells[{}].textContent)"
    click = "document.querySelectorAll('#listing-0 th')[{}].querySelector('button').click()"
    page.run(click.format(3))
    sizes = [float(text) for text in page.run(column.format(3))]
    assert sizes == sorted(sizes, reverse=True)
    assert page.run("document.querySelectorAll('#listing-0 th')[3].getAttribute('aria-sort')") == "descending"
    page.run(click.format(3))
    sizes = [float(text) for text in page.run(column.format(3))]
    assert sizes == sorted(sizes)
    page.run(click.format(0))
    names = page.run(column.format(0))
    assert names[0] == "<>"
    assert names.index("bob@example.com") < names.index("sam@example.org")
    assert page.run("document.querySelectorAll('#listing-0 [aria-sort]').length") == 1
    page.close()


def test_the_filters_leave_what_holds_every_word(browser: Browser, pages: dict[str, Path]) -> None:
    page = Page(browser, pages["sample"])
    page.press("/")
    assert page.run("document.activeElement.id") == "finding-filter"
    page.type("PORT 25 carol")
    assert page.run("[...document.querySelectorAll('#findings .card')].filter((each) => !each.hidden).length") == 1
    assert page.run("document.querySelector('#findings output').textContent") == "1 of 6"
    page.run("document.querySelector('#listing-0').closest('section').querySelector('input').focus()")
    page.type("guest3")
    rows = "[...document.querySelectorAll('#listing-0 tbody tr')].filter((each) => !each.hidden).length"
    assert page.run(rows) == 1
    page.press("Escape")
    assert page.run(rows) == 15
    page.close()


def test_keys_walk_through_the_findings_and_open_them(browser: Browser, pages: dict[str, Path]) -> None:
    page = Page(browser, pages["sample"])
    page.press("j")
    page.press("j")
    assert page.run("document.activeElement.querySelector('.no').textContent") == "2"
    page.press("k")
    assert page.run("document.activeElement.querySelector('.no').textContent") == "1"
    page.press("o")
    assert page.run("[...document.activeElement.querySelectorAll('.fold')].every((each) => each.open)")
    page.press("?")
    assert page.run("document.getElementById('keys').open")
    assert page.complaints() == []
    page.close()


LANDMARKS = """(() => {
  const wrong = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const name = (each) => (each.getAttribute('aria-label')
    || (each.getAttribute('aria-labelledby') || '').split(' ').map((id) => document.getElementById(id)?.textContent || '')
      .join(' ') || each.textContent || each.title || '').trim();
  if (document.documentElement.lang !== 'en') wrong.push('no language');
  for (const [selector, count] of [['main', 1], ['h1', 1], ['nav', 1], ['body > footer', 1], ['head > title', 1]])
    if (all(selector).length !== count) wrong.push(`${all(selector).length} of ${selector}`);
  const ids = all('[id]').map((each) => each.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) wrong.push(`id ${id} twice`);
  let level = 0;
  for (const head of all('main h1, main h2, main h3, main h4')) {
    const own = Number(head.tagName[1]);
    if (own > level + 1) wrong.push(`${head.tagName} ${head.textContent} after h${level}`);
    level = own;
  }
  for (const each of all('a[href^="#"]'))
    if (!document.getElementById(each.getAttribute('href').slice(1))) wrong.push(`dead link ${each.getAttribute('href')}`);
  for (const each of all('a, button, summary, section, nav, [role=region], [role=img], article'))
    if (!name(each)) wrong.push(`no name: ${each.outerHTML.slice(0, 90)}`);
  for (const each of all('[aria-labelledby]'))
    for (const id of each.getAttribute('aria-labelledby').split(' '))
      if (!document.getElementById(id)) wrong.push(`no ${id}`);
  for (const each of all('input')) if (!each.closest('label')) wrong.push('input without label');
  for (const each of all('table')) {
    if (!each.caption || !each.caption.textContent.trim()) wrong.push(`no caption: ${each.id}`);
    if ([...each.tHead.rows[0].cells].some((cell) => cell.tagName !== 'TH' || cell.scope !== 'col')) wrong.push(each.id);
  }
  for (const each of all('svg'))
    if (!each.hasAttribute('role') && each.getAttribute('aria-hidden') !== 'true') wrong.push('svg says nothing');
  for (const each of all('.scroll, .log, pre[id]'))
    if (each.scrollWidth > each.clientWidth + 1 && each.tabIndex < 0) wrong.push(`not reachable: ${each.outerHTML.slice(0, 60)}`);
  for (const each of all('ul > *, ol > *')) if (each.tagName !== 'LI') wrong.push('list without items');
  return wrong;
})()"""


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("name", REPORTS)
def test_landmarks_headings_names_captions_and_links_are_there(
    browser: Browser, pages: dict[str, Path], name: str, size: tuple[int, int]
) -> None:
    page = Page(browser, pages[name], size)
    page.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    found = page.run(LANDMARKS)
    if name.endswith("hostile"):  # its checks have hostile names, several the same
        found = [each for each in found if not each.startswith(("id check-", "dead link #check-"))]
    assert found == []
    page.close()


# As WCAG 2.2, 1.4.3: 4.5, or 3 for text of 24 px, or 18.66 px and bold; the background is that of the nearest painted
# ancestors, one upon the other; on the map that of the shape beneath the text.
CONTRAST = """(() => {
  const parse = (text) => {
    const found = text.match(/[\\d.]+/g);
    return found ? [...found.slice(0, 3).map(Number), found.length > 3 ? Number(found[3]) : 1] : [0, 0, 0, 0];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const light = (c) => {
    const [r, g, b] = c.slice(0, 3).map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((m, n) => n - m); return (x + 0.05) / (y + 0.05); };
  const behind = (element) => {
    const chain = [];
    for (let each = element; each; each = each.parentElement) chain.unshift(each);
    let colour = [255, 255, 255, 1];
    for (const each of chain) if (!(each instanceof SVGElement)) colour = over(parse(getComputedStyle(each).backgroundColor), colour);
    const shape = element.closest('.badge, .place')?.querySelector('circle, rect');
    if (shape) colour = over(parse(getComputedStyle(shape).fill), colour);
    return colour;
  };
  const wrong = {};
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (walker.nextNode()) {
    const node = walker.currentNode, element = node.parentElement;
    if (!node.textContent.trim() || element.closest('title, script, style, dialog, .sr, .skip')) continue;
    const box = element.getBoundingClientRect();
    if (!box.width || !box.height) continue;
    seen += 1;
    const style = getComputedStyle(element);
    const own = parse(element instanceof SVGElement ? style.fill : style.color);
    const background = behind(element);
    const size = parseFloat(style.fontSize), bold = Number(style.fontWeight) >= 700;
    const needed = size >= 24 || (bold && size >= 18.66) ? 3 : 4.5;
    const found = ratio(over(own, background), background);
    if (found < needed - 0.01) {
      const key = `${element.tagName}.${element.getAttribute('class') || ''}<${element.parentElement.className} ${found.toFixed(2)}`;
      wrong[key] = node.textContent.trim().slice(0, 40);
    }
  }
  return [seen, wrong];
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["sample", "healthy", "unknown"])
def test_text_has_the_contrast_of_level_aa(browser: Browser, pages: dict[str, Path], name: str, scheme: str) -> None:
    page = Page(browser, pages[name], scheme=scheme)
    page.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    seen, wrong = page.run(CONTRAST)
    assert seen > 20
    assert wrong == {}
    page.close()


def test_what_has_the_focus_can_be_seen(browser: Browser, pages: dict[str, Path]) -> None:
    page = Page(browser, pages["sample"])
    page.press("Tab")
    assert page.run("document.activeElement.textContent") == "Skip to the report"
    assert page.run("document.activeElement.getBoundingClientRect().top") >= 0
    for _ in range(6):
        page.press("Tab")
        assert page.run("parseFloat(getComputedStyle(document.activeElement).outlineWidth)") >= 2
    page.close()


def test_the_page_prints(browser: Browser, pages: dict[str, Path]) -> None:
    page = Page(browser, pages["sample"])
    pdf = base64.b64decode(page.send("Page.printToPDF", preferCSSPageSize=True)["data"])
    assert pdf.startswith(b"%PDF-")
    page.send("Emulation.setEmulatedMedia", media="print")
    assert page.run("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert page.run("getComputedStyle(document.body).color") == "rgb(17, 17, 17)"
    page.close()
