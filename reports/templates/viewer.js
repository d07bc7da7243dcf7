// The pair viewer. Texts of prompts, answers and replies come from models: they reach the page as textContent, never as HTML.
(() => {
  "use strict";

  const root = document.currentScript.closest(".pv");
  const find = (selector) => root.querySelector(selector);
  const nth = document.querySelectorAll(".pv").length; // of the viewers in this page
  const rowId = (place) => `pv${nth}-${place}`;
  const list = find(".pv-list");
  const rows = find(".pv-rows");
  const search = find(".pv-search input");
  const dialog = find(".pv-dialog");
  const body = find(".pv-body");
  const marks = find(".pv-marks input");

  const OUTCOMES = { win: "▲ win", tie: "= tie", loss: "▼ loss", failed: "! failed" };
  const HASH = "#pair=";
  const SPARE_ROWS = 6; // drawn above and below what is seen
  const TYPING = 150; // ms without a key after which a search starts

  const element = (tag, className, ...children) => {
    const made = document.createElement(tag);
    if (className) made.className = className;
    made.append(...children);
    return made;
  };
  const number = (value) => value.toLocaleString("en");

  // ---- data ---------------------------------------------------------------------------------------------------------

  const bytes = (base64) =>
    Uint8Array.fromBase64 ? Uint8Array.fromBase64(base64) : Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

  const unpack = (line) => {
    const stream = new Blob([bytes(line)]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  };

  let index; // {facets: [name], chunks: [number of texts], pairs: [{id, facets, start, prompt, left, right, verdicts}]}
  let firsts; // the number of the first text of each chunk
  let lines; // the packed chunks
  const unpacked = []; // promises of the unpacked ones

  const chunk = (place) => (unpacked[place] ??= unpack(lines[place]));

  async function text(wanted) {
    let place = firsts.length - 1;
    while (firsts[place] > wanted) place -= 1;
    return (await chunk(place))[wanted - firsts[place]];
  }

  let folded; // the promise of every text in lower case
  const foldedTexts = () =>
    (folded ??= (async () => {
      const all = [];
      for (let place = 0; place < lines.length; place += 1) {
        for (const each of await chunk(place)) all.push(each.toLowerCase());
      }
      return all;
    })());

  // ---- filters and search -------------------------------------------------------------------------------------------

  let selects = []; // one <select> a facet
  let hits = null; // whether each text holds what is searched for; null where nothing is
  let shown = []; // places in index.pairs of the pairs that pass
  let active = 0; // place in `shown` of the chosen row

  function makeFilters() {
    selects = index.facets.map((name, facet) => {
      const select = element("select");
      select.append(new Option("all", ""));
      const values = new Set(index.pairs.map((pair) => pair.facets[facet]));
      for (const value of values) select.append(new Option(value, `=${value}`)); // "=" keeps an empty value apart from "all"
      select.addEventListener("change", filter);
      find(".pv-facets").append(element("label", "", element("span", "", name), select));
      return select;
    });
  }

  const found = (pair) => !hits || hits[pair.prompt] || hits[pair.left.text] || hits[pair.right.text];

  // A value is counted among the pairs that pass everything but its own filter: what choosing it would show.
  function filter() {
    const wanted = selects.map((select) => select.value);
    const counts = selects.map(() => new Map());
    const count = (pair, facet) => {
      const value = `=${pair.facets[facet]}`;
      counts[facet].set(value, (counts[facet].get(value) ?? 0) + 1);
    };
    shown = [];
    index.pairs.forEach((pair, place) => {
      if (!found(pair)) return;
      const failed = wanted.flatMap((value, facet) => (value && value !== `=${pair.facets[facet]}` ? [facet] : []));
      if (failed.length === 0) {
        shown.push(place);
        wanted.forEach((_, facet) => count(pair, facet));
      } else if (failed.length === 1) count(pair, failed[0]);
    });
    selects.forEach((select, facet) => showCounts(select, counts[facet]));
    active = 0;
    list.scrollTop = 0;
    showCount();
    draw();
  }

  function showCounts(select, counts) {
    const total = [...counts.values()].reduce((sum, each) => sum + each, 0);
    for (const option of select.options) {
      const label = option.value ? option.value.slice(1) || "(none)" : "all";
      option.text = `${label} (${number(option.value ? counts.get(option.value) ?? 0 : total)})`;
    }
  }

  function showCount() {
    const all = index.pairs.length;
    const total = `${number(all)} ${all === 1 ? "pair" : "pairs"}`;
    find(".pv-count").textContent = shown.length === all ? total : `${number(shown.length)} of ${total}`;
    find(".pv-clear").hidden = !search.value && selects.every((select) => !select.value);
  }

  let typing;
  function searchSoon() {
    clearTimeout(typing);
    typing = setTimeout(searchNow, TYPING);
  }

  async function searchNow() {
    const query = search.value;
    const wanted = query.trim().toLowerCase();
    if (wanted) find(".pv-count").textContent = "searching …";
    const now = wanted ? (await foldedTexts()).map((each) => each.includes(wanted)) : null;
    if (search.value !== query) return; // another search is on its way
    hits = now;
    filter();
  }

  function clear() {
    search.value = "";
    hits = null;
    for (const select of selects) select.value = "";
    filter();
    list.focus();
  }

  // ---- the list: only the rows in sight exist -----------------------------------------------------------------------

  let rowHeight;

  function draw() {
    rowHeight ??= measureRow();
    rows.style.height = `${shown.length * rowHeight}px`;
    const first = Math.max(0, Math.floor(list.scrollTop / rowHeight) - SPARE_ROWS);
    const last = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / rowHeight) + SPARE_ROWS);
    const drawn = [];
    for (let place = first; place < last; place += 1) drawn.push(row(place));
    if (shown.length === 0) drawn.push(element("p", "pv-none", "No pair matches."));
    rows.replaceChildren(...drawn);
    if (first <= active && active < last) list.setAttribute("aria-activedescendant", rowId(active));
    else list.removeAttribute("aria-activedescendant");
  }

  function measureRow() {
    const probe = element("div", "pv-row", "x");
    rows.append(probe);
    return probe.getBoundingClientRect().height;
  }

  function row(place) {
    const pair = index.pairs[shown[place]];
    const start = element("div", "pv-start", pair.start || "(empty prompt)");
    start.dir = "auto";
    const below = element("div", "pv-below", ...pair.verdicts.map((verdict) => chip(verdict.outcome)));
    const values = pair.facets.filter((_, facet) => index.facets[facet] !== "verdict");
    below.append(element("span", "pv-soft", values.filter(Boolean).join(" · ")));
    const made = element("div", "pv-row", start, below);
    made.id = rowId(place);
    made.dataset.place = place;
    made.style.top = `${place * rowHeight}px`;
    made.setAttribute("role", "option");
    made.setAttribute("aria-selected", place === active);
    made.setAttribute("aria-posinset", place + 1);
    made.setAttribute("aria-setsize", shown.length);
    return made;
  }

  const chip = (outcome) => element("span", `pv-chip pv-${outcome}`, OUTCOMES[outcome]);

  function choose(place) {
    active = Math.max(0, Math.min(shown.length - 1, place));
    const top = active * rowHeight;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + rowHeight > list.scrollTop + list.clientHeight) list.scrollTop = top + rowHeight - list.clientHeight;
    draw();
  }

  function listKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || shown.length === 0) return;
    const page = Math.max(1, Math.floor(list.clientHeight / rowHeight) - 1);
    const moves = {
      ArrowDown: active + 1, j: active + 1, ArrowUp: active - 1, k: active - 1,
      PageDown: active + page, PageUp: active - page, Home: 0, End: shown.length - 1,
    };
    if (event.key in moves) choose(moves[event.key]);
    else if (event.key === "Enter" || event.key === " ") open(shown[active]);
    else return;
    event.preventDefault();
  }

  // ---- links --------------------------------------------------------------------------------------------------------

  const places = new Map(); // id -> place in index.pairs
  const link = (pair) => HASH + encodeURIComponent(pair.id);

  function linkedId() {
    if (!location.hash.startsWith(HASH)) return null;
    const id = location.hash.slice(HASH.length);
    try {
      return decodeURIComponent(id);
    } catch {
      return id;
    }
  }

  // Opening a pair adds one entry to the history, so that Back closes it; going on to other pairs adds none.
  function open(place) {
    const hash = link(index.pairs[place]);
    if (dialog.open) history.replaceState(history.state, "", hash);
    else history.pushState({ pairViewer: true }, "", hash);
    return show(place);
  }

  function follow() {
    const id = linkedId();
    find(".pv-message").hidden = true;
    if (places.has(id)) {
      show(places.get(id));
      return;
    }
    current = undefined;
    if (dialog.open) dialog.close();
    if (id !== null) say(`The link names a pair that is not here: ${id}`);
  }

  function closed() {
    if (linkedId() !== null) {
      if (history.state?.pairViewer) history.back();
      else history.replaceState(null, "", location.pathname + location.search);
    }
    list.focus();
  }

  async function copyLink() {
    const button = find(".pv-copy");
    try {
      await navigator.clipboard.writeText(location.href);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Copy it from the address bar"; // where a page may not
    }
    setTimeout(() => (button.textContent = "Copy link"), 2000);
  }

  // ---- one pair -----------------------------------------------------------------------------------------------------

  let current; // place in index.pairs of the pair that is open

  async function show(place) {
    current = place;
    const pair = index.pairs[place];
    const wanted = [pair.prompt, pair.left.text, pair.right.text, ...pair.verdicts.map((verdict) => verdict.reply)];
    const [prompt, left, right, ...replies] = await Promise.all(wanted.map(text));
    if (current !== place) return; // the reader has gone on
    showPlace(place);
    body.replaceChildren(
      facts(pair),
      block("Prompt", prompt),
      answers(pair, left, right),
      element("h3", "", pair.verdicts.length === 1 ? "Verdict" : "Verdicts"),
      element("div", "pv-verdicts", ...pair.verdicts.map((verdict, each) => card(pair, verdict, replies[each]))),
    );
    if (!dialog.open) {
      dialog.showModal();
      body.focus();
    }
    body.scrollTop = 0;
  }

  function showPlace(place) {
    const among = shown.indexOf(place);
    if (among >= 0) choose(among);
    find(".pv-place").textContent =
      among >= 0
        ? `Pair ${number(among + 1)} of ${number(shown.length)}`
        : `Not among the ${number(shown.length)} pairs that the filters show`;
    find(".pv-previous").disabled = neighbour(-1) === undefined;
    find(".pv-next").disabled = neighbour(1) === undefined;
  }

  // The nearest pair that the filters show, even from one that they hide.
  function neighbour(step) {
    return step > 0 ? shown.find((place) => place > current) : shown.findLast((place) => place < current);
  }

  function go(step) {
    const place = neighbour(step);
    if (place !== undefined) open(place);
  }

  function facts(pair) {
    const parts = index.facets.map((name, facet) =>
      element("div", "", element("dt", "", name), element("dd", "", pair.facets[facet])),
    );
    const outcomes = pair.verdicts.map(({ heading, outcome }) => element("div", "", chip(outcome), element("span", "", heading)));
    const verdicts = element("div", "pv-facts", ...outcomes);
    const facets = element("dl", "pv-facts", ...parts, element("div", "", element("dt", "", "id"), element("dd", "", pair.id)));
    return element("div", "", verdicts, facets);
  }

  function block(title, content) {
    return element("section", "pv-block", element("h3", "", title), textBox(content || "(empty)"));
  }

  function textBox(...content) {
    const box = element("div", "pv-text", ...content);
    box.dir = "auto";
    return box;
  }

  function card(pair, verdict, reply) {
    const head = element("p", "", chip(verdict.outcome), element("strong", "", verdict.heading));
    if (verdict.label) head.append(element("span", "", "label ", element("code", "", verdict.label)));
    if (verdict.preference !== null) {
      head.append(element("span", "", `${pair.right.label} better with probability ${verdict.preference.toFixed(3)}`));
    }
    const raw = textBox(reply || "(empty reply)");
    raw.classList.add("pv-reply");
    raw.tabIndex = 0;
    raw.setAttribute("role", "region");
    raw.setAttribute("aria-label", `The judge's reply, ${verdict.heading}`);
    return element("section", "pv-card", head, raw);
  }

  function dialogKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = { j: 1, ArrowRight: 1, k: -1, ArrowLeft: -1 };
    if (event.key in steps) go(steps[event.key]);
  }

  async function showAgain() {
    const top = body.scrollTop;
    await show(current);
    body.scrollTop = top;
  }

  // ---- differences --------------------------------------------------------------------------------------------------

  const MOST_CELLS = 150e6; // words × words, a byte each, beyond which the differences are not looked for
  const QUICK_CELLS = 4e6; // up to which they are there at once, a few ms

  function answers(pair, left, right) {
    const sides = [
      { label: pair.left.label, content: left, tag: "del", says: "only here: struck through" },
      { label: pair.right.label, content: right, tag: "ins", says: "only here: underlined" },
    ];
    const boxes = sides.map(({ content }) => textBox(content || "(empty)"));
    const columns = sides.map(({ label }, side) =>
      element("section", "pv-block", element("h3", "", label), element("p", "pv-soft pv-words"), boxes[side]),
    );
    if (marks.checked) markDifferences(sides, boxes, columns);
    return element("div", "pv-answers", ...columns);
  }

  function markDifferences(sides, boxes, columns) {
    const [left, right] = sides.map(({ content }) => tokens(content));
    const cells = left.words.length * right.words.length;
    const say = (side, words) => (columns[side].querySelector(".pv-words").textContent = words);
    if (cells > MOST_CELLS) {
      columns.forEach((_, side) => say(side, "too long to mark differences"));
      return;
    }
    const mark = () => {
      const same = common(left.words, right.words);
      [left, right].forEach((each, side) => {
        const { content, tag, says } = sides[side];
        const only = each.words.length - same[side].size;
        say(side, `${number(only)} of ${number(each.words.length)} words and signs ${says}`);
        if (content) boxes[side].replaceChildren(...marked(content, each, same[side], tag));
      });
    };
    if (cells > QUICK_CELLS) setTimeout(mark);
    else mark();
  }

  // Words, signs and, in scripts without spaces, single characters. `starts` are their places in the text.
  const WORD =
    /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}]|(?:(?![\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}])[\p{L}\p{N}\p{M}_])+|[^\s\p{L}\p{N}\p{M}_]|\p{M}+/gu;

  function tokens(content) {
    const words = [];
    const starts = [];
    for (const match of content.matchAll(WORD)) {
      words.push(match[0]);
      starts.push(match.index);
    }
    return { words, starts };
  }

  const lineBreak = (content, from, to) => content.slice(from, to).includes("\n");

  // Runs of words that the other text lacks go into `tag`, with the spaces between them; none reaches over a line's end.
  function marked(content, { words, starts }, same, tag) {
    const nodes = [];
    let done = 0;
    for (let word = 0; word < words.length; word += 1) {
      if (same.has(word)) continue;
      let last = word;
      while (last + 1 < words.length && !same.has(last + 1) && !lineBreak(content, starts[last], starts[last + 1])) last += 1;
      const end = starts[last] + words[last].length;
      nodes.push(content.slice(done, starts[word]), element(tag, "", content.slice(starts[word], end)));
      done = end;
      word = last;
    }
    return [...nodes, content.slice(done)];
  }

  // The places, in each of two lists of words, of a longest common subsequence.
  function common(left, right) {
    const numbers = new Map();
    for (const word of [...left, ...right]) if (!numbers.has(word)) numbers.set(word, numbers.size);
    const [a, b] = [left, right].map((words) => Int32Array.from(words, (word) => numbers.get(word)));
    const skipsLeft = new Uint8Array(a.length * b.length); // whether, at a pair of places, the left word goes first
    let below = new Int32Array(b.length + 1); // the lengths from a pair of places on, of the row before
    for (let i = a.length - 1; i >= 0; i -= 1) {
      const row = new Int32Array(b.length + 1);
      for (let j = b.length - 1; j >= 0; j -= 1) {
        const isLeft = below[j] >= row[j + 1];
        skipsLeft[i * b.length + j] = isLeft ? 1 : 0;
        row[j] = a[i] === b[j] ? below[j + 1] + 1 : isLeft ? below[j] : row[j + 1];
      }
      below = row;
    }
    const [inLeft, inRight] = [new Set(), new Set()];
    let [i, j] = [0, 0];
    while (i < a.length && j < b.length) {
      if (a[i] === b[j]) {
        inLeft.add(i++);
        inRight.add(j++);
      } else if (skipsLeft[i * b.length + j]) i += 1;
      else j += 1;
    }
    return [inLeft, inRight];
  }

  // ---- start --------------------------------------------------------------------------------------------------------

  function say(message) {
    find(".pv-message").textContent = message;
    find(".pv-message").hidden = false;
  }

  function listen() {
    search.addEventListener("input", searchSoon);
    find(".pv-clear").addEventListener("click", clear);
    list.addEventListener("scroll", () => requestAnimationFrame(draw), { passive: true });
    list.addEventListener("keydown", listKey);
    list.addEventListener("click", (event) => {
      const place = event.target.closest(".pv-row")?.dataset.place;
      if (place !== undefined) open(shown[place]);
    });
    new ResizeObserver(() => {
      rowHeight = undefined;
      draw();
    }).observe(list);
    dialog.addEventListener("keydown", dialogKey);
    dialog.addEventListener("close", closed);
    find(".pv-close").addEventListener("click", () => dialog.close());
    find(".pv-previous").addEventListener("click", () => go(-1));
    find(".pv-next").addEventListener("click", () => go(1));
    find(".pv-copy").addEventListener("click", copyLink);
    marks.addEventListener("change", showAgain);
    window.addEventListener("hashchange", follow);
  }

  async function start() {
    if (!("DecompressionStream" in window)) {
      say("This browser cannot unpack the pairs (it has no DecompressionStream): use a version from 2023 or later.");
      return;
    }
    const data = find(".pv-data");
    const [first, ...rest] = data.textContent.trim().split("\n");
    data.remove();
    lines = rest;
    index = await unpack(first);
    let before = 0;
    firsts = index.chunks.map((count) => (before += count) - count);
    index.pairs.forEach((pair, place) => places.set(pair.id, place));
    find(".pv-viewer").hidden = false;
    makeFilters();
    filter();
    listen();
    root.removeAttribute("aria-busy");
    follow();
    await new Promise((resolve) => setTimeout(resolve)); // the list is drawn first
    await foldedTexts();
  }

  start().catch((error) => {
    say(`The pairs in this page cannot be read; it may be damaged (${error.message}).`);
    throw error;
  });
})();
