// What opens below a row. Details of a topic lie in topics/<topic>.js beside the page, and come when one is asked for.
(() => {
  const CURE = "keep these folders with report.html, or write them anew with `python -m pytest --frozen --report`.";
  const MISSING = `The details of this topic lie beside the page, in topics/ and figures/, and are not here: ${CURE}`;
  const OTHER = "The details beside the page, in topics/ and figures/, are of another run than its rows, and are not "
    + `shown: ${CURE}`;
  const RUN = document.documentElement.dataset.run, coming = {};
  const load = (topic) => coming[topic] ??= new Promise((come, fail) => {
    const script = document.createElement("script");
    script.src = `topics/${topic}.js`;
    script.onload = () => {
      const found = window.record && window.record[`${topic}@${RUN}`];
      if (found) come(found); else fail(OTHER);
    };
    script.onerror = () => fail(MISSING);
    document.head.append(script);
  });

  // A row has its link, or, the only one of its case or its claim, theirs.
  const linkOf = (row) => (row.id || row.parentNode.id || row.closest("article").id).replace("claim=", "");

  function made(row) {
    const below = document.createElement("tr"), cell = document.createElement("td");
    below.className = "opened";
    cell.colSpan = 6;
    cell.textContent = "…";
    below.append(cell);
    row.after(below);
    const topic = row.closest("section").dataset.topic, claim = row.closest("article").id.replace("claim=", "");
    load(topic).then((found) => {  // HTML that the report wrote, in which whatever came from a record is escaped
      const about = document.createElement("div");
      cell.innerHTML = found.rows[linkOf(row)] ?? MISSING;
      about.className = "about";
      about.innerHTML = found.claims[claim] ?? "";
      cell.append(about);
    }).catch((why) => { cell.textContent = why; });
    return below;
  }

  window.openRow = (row, wanted) => {
    const next = row.nextElementSibling;
    const below = next && next.classList.contains("opened") ? next : null;
    const button = row.querySelector("button");
    const open = wanted ?? button.getAttribute("aria-expanded") !== "true";
    button.setAttribute("aria-expanded", String(open));
    row.classList.toggle("on", open);
    if (open) (below || made(row)).hidden = false;
    else if (below) below.remove();
  };

  // A topic's claims over its models: read off the rows when it is opened, signs as the rows have them.
  function matrix(section) {
    const rows = [...section.querySelectorAll("tr.row")];
    const models = [...new Map(rows.map((row) => [row.dataset.m, row.querySelector("button").textContent]))];
    const table = document.createElement("table");
    table.className = "glance";
    const line = (into) => into.appendChild(document.createElement("tr"));
    const cell = (into, kind, text, scope) => {
      const made = into.appendChild(document.createElement(kind));
      if (scope) made.scope = scope;
      made.textContent = text;
      return made;
    };
    const head = line(table.createTHead()), body = table.createTBody();
    cell(head, "th", "Claim", "col");
    for (const [, called] of models) {
      const tilted = cell(head, "th", "", "col");
      tilted.className = "tilted";
      tilted.appendChild(document.createElement("span")).textContent = called;
    }
    for (const article of section.querySelectorAll("article")) {
      const heading = article.querySelector("h3"), said = heading.textContent.replace(/#$/, "");
      for (const group of article.querySelectorAll("tbody")) {
        const of = group.querySelector(".case"), made = line(body), name = cell(made, "th", "", "row");
        const link = name.appendChild(document.createElement("a"));
        name.dir = "auto";
        link.href = `#${group.id || article.id}`;
        link.textContent = said + (of ? ` (${of.textContent.trim()})` : "");
        for (const [model] of models) {
          const row = [...group.querySelectorAll("tr.row")].find((one) => one.dataset.m === model);
          const found = cell(made, "td", ""), word = row && row.querySelector(".said");
          if (!row) continue;
          found.className = "cell";
          const sign = found.appendChild(document.createElement("b"));
          sign.className = word.className;
          sign.title = row.dataset.v;
          sign.appendChild(document.createElement("span")).textContent = row.dataset.v;
          if (row.dataset.c === "UNCONTROLLED") found.append("~");
        }
      }
    }
    return table;
  }

  document.addEventListener("toggle", (event) => {
    const place = event.target.matches("details.matrix") && event.target.querySelector(".scroll:empty");
    if (place && event.target.closest(".topic")) place.append(matrix(event.target.closest(".topic")));
  }, true);

  document.addEventListener("click", (event) => {
    const row = event.target.closest("tr.row");
    if (!row || event.target.closest("a")) return;
    if (!event.target.closest("button") && String(getSelection())) return;  // somebody copies a number
    window.openRow(row);
    const open = row.querySelector("button").getAttribute("aria-expanded") === "true";
    window.claimOpened(open ? linkOf(row) : "");
  });
})();
