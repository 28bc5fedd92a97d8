// Search, filters, order, the address, the keyboard. Rows are in the page; what opens below them is opened.js's.
(() => {
  const one = (selector, at = document) => at.querySelector(selector);
  const all = (selector, at = document) => [...at.querySelectorAll(selector)];
  document.documentElement.classList.add("js");
  const tools = one("#tools"), form = one("form", tools), shown = one(".shown", tools), gone = one("#gone");
  const WORST = ["ERROR", "VOID", "REFUTED", "INCONCLUSIVE", "GATED", "NOT RUN", "SUPPORTED"];
  const FIELDS = ["q", "verdict", "topic", "model", "control", "history", "sort"];
  for (const part of all(".script")) part.hidden = false;
  one(".map-of-all").classList.add("leads");
  const many = (n) => n.toLocaleString("en-US");
  new ResizeObserver(() => {  // what is jumped to stands below the filters, however many lines they take
    document.documentElement.style.scrollPaddingTop = `${tools.offsetHeight + 8}px`;
  }).observe(tools);
  const more = one(".more", tools);
  more.addEventListener("click", () => {
    more.setAttribute("aria-expanded", String(tools.classList.toggle("open")));
  });

  // One entry a claim and a row, read once: filtering touches no text of the page.
  const sections = all(".topic").map((section) => ({
    section,
    topic: section.dataset.topic,
    claims: all(".claim", section).map((article, place) => {
      const said = `${article.dataset.id} ${one("h3", article).textContent} ${one(".meta", article).textContent}`;
      const rows = all("tr.row", article).map((row) => {
        const { m, v, c, h, i, n } = row.dataset;
        const id = article.dataset.id + (i ? `[${i}]` : "");
        return { row, m, v, c, h: h.split(" "), n: Number(n || NaN), text: `${id} ${v}`.toLowerCase() };
      });
      return { article, place, rows, said: said.toLowerCase(), bodies: all("tbody", article) };
    }),
  }));
  const rows = sections.flatMap((s) => s.claims.flatMap((claim) => claim.rows));
  const claimCount = sections.reduce((sum, s) => sum + s.claims.length, 0);
  const none = document.createElement("p");
  none.className = "none-left";
  none.textContent = "Nothing has all of this: clear a filter, or search for less.";
  none.hidden = true;
  one("#claims").append(none);

  const state = () => Object.fromEntries(FIELDS.map((name) => [name, form.elements[name].value.trim()]));
  const set = (element, hidden) => { if (element.hidden !== hidden) element.hidden = hidden; };

  const fits = (wanted, words, claim, row) =>
    (!wanted.verdict || (wanted.verdict === "!SUPPORTED" ? row.v !== "SUPPORTED" : row.v === wanted.verdict))
    && (!wanted.model || row.m === wanted.model)
    && (!wanted.control || row.c === wanted.control)
    && (!wanted.history || row.h.includes(wanted.history))
    && words.every((word) => claim.said.includes(word) || row.text.includes(word));

  function filter(atOnce = false) {
    const wanted = state(), words = wanted.q.toLowerCase().split(/\s+/).filter(Boolean);
    let left_over = 0, claims = 0;
    for (const { section, topic, claims: members } of sections) {
      const here = !wanted.topic || wanted.topic === topic;
      let inside = 0;
      for (const claim of members) {
        let left = 0;
        for (const row of claim.rows) {
          const keep = here && fits(wanted, words, claim, row);
          row.shown = keep;
          left += keep;
          set(row.row, !keep);
          const below = row.row.nextElementSibling;
          if (below && below.classList.contains("opened")) set(below, !keep);
        }
        set(claim.article, !left);
        if (left) for (const body of claim.bodies) set(body, !all("tr.row:not([hidden])", body).length);
        inside += left;
        claims += left > 0;
      }
      set(section, !inside);
      left_over += inside;
    }
    for (const name of FIELDS) form.elements[name].classList.toggle("set", Boolean(wanted[name]));
    const narrowed = FIELDS.some((name) => name !== "sort" && wanted[name]);
    for (const part of all(".introduction")) set(part, narrowed);
    set(none, left_over > 0);
    shown.value = `${many(left_over)} of ${many(rows.length)} verdicts, ${many(claims)} of ${many(claimCount)} claims`;
    sort(wanted.sort, atOnce);
  }

  const KEYS = {
    worst: (row) => WORST.indexOf(row.v),
    close: (row) => (Number.isNaN(row.n) ? Infinity : row.n),
  };
  const less = (a, b) => (a < b ? -1 : a > b ? 1 : 0);  // Infinity less itself is no number
  let later = 0;
  function sort(order, atOnce) {  // claims change places within their topic; a claim's rows stay as its models are read
    const key = KEYS[order] || (() => 0);
    const first = (claim) => claim.rows.reduce((least, row) => (row.shown ? Math.min(least, key(row)) : least), Infinity);
    cancelAnimationFrame(later);
    const waiting = [];
    for (const group of sections) {
      const value = new Map(group.claims.map((claim) => [claim, order ? first(claim) : 0]));
      const ordered = [...group.claims].sort((a, b) => less(value.get(a), value.get(b)) || a.place - b.place);
      const now = group.now || group.claims;
      if (now.some((claim, place) => claim !== ordered[place])) waiting.push({ group, ordered });
    }
    const inSight = ({ group }) => {
      const { top, bottom } = group.section.getBoundingClientRect();
      return top < innerHeight && bottom > 0;
    };
    const seen = new Set(atOnce ? waiting : waiting.filter(inSight));
    const rest = waiting.filter((one) => !seen.has(one));
    for (const one of seen) settle(one);
    const next = () => { later = requestAnimationFrame(() => { if (rest.length) { settle(rest.shift()); next(); } }); };
    later = requestAnimationFrame(next);  // topics out of sight, one a frame, once what is in sight was painted
  }
  function settle({ group, ordered }) {
    move(group.section, ordered.map((claim) => claim.article));
    group.now = ordered;
  }
  function move(into, parts) {
    if (into.moveBefore) for (const part of parts) into.moveBefore(part, null);
    else into.append(...parts);
  }

  // The address: what is filtered, and the claim that is open.
  let claimed = "";
  function write() {
    const kept = new URLSearchParams(Object.entries(state()).filter(([, value]) => value));
    if (claimed) kept.set("claim", claimed);
    const text = kept.toString();
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  }
  function read() {
    const text = location.hash.slice(1);
    const given = new URLSearchParams(text);
    const known = [...given.keys()].some((name) => FIELDS.includes(name) || name === "claim");
    if (text && !known && document.getElementById(decodeURIComponent(text))) return;  // a section of the page
    for (const name of FIELDS) form.elements[name].value = given.get(name) || "";
    claimed = known ? given.get("claim") || "" : decodeURIComponent(text);
    gone.replaceChildren();
    filter(true);
    if (claimed) lead(claimed);
    else if (known) tools.scrollIntoView();
  }

  // A claim by the name that pytest gives it, as commands and results.json do, or by the page's.
  const called = (name) => document.getElementById(`claim=${name}`);
  const anchored = (id) => id.replace(/^(\w+)\.test_/, "$1.").replace(/[^A-Za-z0-9_.-]+/g, "-").replace(/^-+|-+$/g, "");
  function lead(anchor) {
    const target = called(anchor) || called(anchored(anchor));
    for (const former of all(".found")) former.classList.remove("found");
    if (!target) { missed(anchor); return; }
    if (target.closest("[hidden]")) { form.reset(); filter(true); }
    target.classList.add("found");
    if (target.matches("tr.row")) window.openRow(target, true);
    target.scrollIntoView({ block: target.matches("tr.row") ? "center" : "start" });
    requestAnimationFrame(() => target.scrollIntoView({ block: target.matches("tr.row") ? "center" : "start" }));
  }

  // A link to a claim that is gone: the names that share most groups of three letters with it.
  const groups = (name) => new Set([...name.toLowerCase()].map((_, at, letters) => letters.slice(at, at + 3).join("")));
  function missed(anchor) {
    const sought = groups(anchor);
    const alike = (name) => {
      const found = groups(name);
      return [...found].filter((three) => sought.has(three)).length / (found.size + sought.size);
    };
    const names = all("article.claim").map((article) => article.id.slice(6)).map((name) => [alike(name), name]);
    const nearest = names.sort((a, b) => b[0] - a[0]).slice(0, 3).flatMap(([, name], place) => {
      const link = document.createElement("a");
      link.href = `#claim=${encodeURIComponent(name)}`;
      link.textContent = name;
      return [place ? ", " : " Nearest: ", link];
    });
    gone.replaceChildren(`No claim of this name in this record: ${anchor}.`, ...nearest);
    tools.scrollIntoView();
  }

  let waits = 0;
  form.addEventListener("now", () => filter());
  form.addEventListener("input", () => { clearTimeout(waits); waits = setTimeout(() => { filter(); write(); }, 60); });
  form.addEventListener("reset", () => setTimeout(() => { claimed = ""; gone.replaceChildren(); filter(); write(); }));
  form.addEventListener("submit", (event) => { event.preventDefault(); filter(true); write(); step(1); });
  window.addEventListener("hashchange", read);
  window.claimOpened = (anchor) => { claimed = anchor; write(); };

  // The keyboard: / searches, j and k walk through rows, Enter opens (a row's name is a button), Esc closes.
  const within = () => document.activeElement && document.activeElement.closest("tr.row, tr.opened");
  function step(by) {
    const seen = all("tr.row:not([hidden])").filter((row) => !row.closest("article[hidden], section[hidden]"));
    const here = within();
    const at = here ? seen.indexOf(here.matches(".opened") ? here.previousElementSibling : here) : by > 0 ? -1 : seen.length;
    const next = seen[Math.min(Math.max(at + by, 0), seen.length - 1)];
    if (!next) return;
    next.closest("article").style.contentVisibility = "visible";  // what is not laid out takes no focus
    one("button", next).focus({ preventScroll: true });
    next.scrollIntoView({ block: "center" });
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.matches("input, select, textarea");
    if (event.key === "Escape") {
      const here = within();
      const row = here && (here.matches(".opened") ? here.previousElementSibling : here);
      if (row && one("button", row).ariaExpanded === "true") { window.openRow(row, false); one("button", row).focus(); }
      else if (typing) { if (event.target.value) { event.target.value = ""; filter(); write(); } else event.target.blur(); }
    } else if (typing) {
      return;
    } else if (event.key === "/") {
      event.preventDefault();
      form.elements.q.focus();
    } else if (event.key === "j" || event.key === "k") {
      step(event.key === "j" ? 1 : -1);
    }
  });

  one(".map-of-all svg").addEventListener("click", (event) => {  // columns stand as claims do, lines as their models
    const drawing = event.currentTarget, box = drawing.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * drawing.viewBox.baseVal.width;
    const starts = drawing.parentNode.dataset.starts.split(" ").map(Number), step_ = Number(drawing.parentNode.dataset.step);
    const groups = sections.map((s) => s.claims.flatMap((claim) => claim.bodies));
    groups.forEach((bodies, place) => {
      const column = Math.floor((x - starts[place]) / step_);
      if (column >= 0 && column < bodies.length) { const body = bodies[column]; claimed = body.closest("article").id.slice(6); write(); lead(claimed); }
    });
  });

  filter(true);
  read();
})();
