// Comfort only: the page says everything without it. Text is read and moved, never parsed as markup.
"use strict";
(() => {
  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));
  const fold = (text) => text.normalize("NFKC").toLowerCase();
  const wait = (action) => { let timer; return () => { clearTimeout(timer); timer = setTimeout(action, 80); }; };

  for (const each of all(".js")) each.hidden = false;

  // -- sort: numbers by value, else as people count (file2 before file10)
  const collator = new Intl.Collator("en-GB", { numeric: true, sensitivity: "base" });
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell ? cell.dataset.v ?? cell.textContent.trim() : "";
  };
  const sort = (table, column, head) => {
    const down = head.getAttribute("aria-sort") === "ascending"
      || (!head.hasAttribute("aria-sort") && head.classList.contains("num"));
    const body = table.tBodies[0];
    const rows = Array.from(body.rows);
    rows.sort((a, b) => {
      const x = value(a, column), y = value(b, column);
      const order = head.classList.contains("num") ? Number(x) - Number(y) : collator.compare(x, y);
      return down ? -order : order;
    });
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...rows);
  };
  for (const table of all("table.data")) {
    if (table.tBodies[0].rows.length < 2) continue;
    Array.from(table.tHead.rows[0].cells).forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, column, head));
      head.append(button);
    });
  }

  // -- filter: every word must occur
  const filter = (input, items, output, text) => {
    const apply = () => {
      const words = fold(input.value).split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const item of items) {
        const content = fold(text(item));
        item.hidden = !words.every((word) => content.includes(word));
        if (!item.hidden) shown += 1;
      }
      output.textContent = words.length ? `${shown} of ${items.length}` : "";
    };
    input.addEventListener("input", wait(apply));
    input.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { input.value = ""; apply(); input.blur(); }
    });
  };
  for (const table of all("table[data-filter]")) {
    const rows = Array.from(table.tBodies[0].rows);
    if (rows.length < 9) continue;
    const label = document.createElement("label");
    const input = document.createElement("input");
    const output = document.createElement("output");
    label.className = "find";
    input.type = "search";
    input.autocomplete = "off";
    input.spellcheck = false;
    label.append("Filter ", input, " ", output);
    const box = table.closest(".scroll");
    box.before(label);
    filter(input, rows, output, (row) => row.textContent);
  }
  const cards = all("#findings .card");
  const finder = document.getElementById("finding-filter");
  if (finder) filter(finder, cards, finder.parentElement.querySelector("output"), (card) => card.textContent);

  // -- copy
  for (const button of all("[data-copy]")) {
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copy);
      let done = false;
      try {
        await navigator.clipboard.writeText(source.textContent);
        done = true;
      } catch {
        const selection = getSelection();
        selection.selectAllChildren(source);
        done = document.execCommand("copy");
      }
      button.textContent = done ? "Copied" : "Press Ctrl+C";
      setTimeout(() => { button.textContent = "Copy"; }, 1600);
    });
  }

  // -- keys
  const dialog = document.getElementById("keys");
  const step = (by) => {
    const shown = cards.filter((card) => !card.hidden);
    if (!shown.length) return;
    const current = shown.indexOf(document.activeElement.closest(".card"));
    const next = shown[current < 0 ? (by > 0 ? 0 : shown.length - 1) : Math.max(0, Math.min(shown.length - 1, current + by))];
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "start" });
  };
  const toggle = () => {
    const card = document.activeElement.closest(".card");
    const folds = card ? all(".fold", card) : [];
    const open = folds.some((each) => !each.open);
    for (const each of folds) each.open = open;
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
    if (dialog.open) return;
    const actions = {
      j: () => step(1), k: () => step(-1), o: toggle, g: () => scrollTo({ top: 0 }),
      "/": () => finder && finder.focus(), "?": () => dialog.showModal(),
    };
    const action = actions[event.key];
    if (action) { event.preventDefault(); action(); }
  });

  // A link to a card inside which something is folded opens its evidence.
  const reveal = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.matches(".card")) { target.hidden = false; target.focus({ preventScroll: true }); }
  };
  addEventListener("hashchange", reveal);
})();
