// What opens below a row. Details of a topic lie in topics/<topic>.js beside the page, and come when one is asked for.
(() => {
  const coming = {};
  const load = (topic) => coming[topic] ??= new Promise((come, fail) => {
    const script = document.createElement("script");
    script.src = `topics/${topic}.js`;
    script.onload = () => (window.record && window.record[topic] ? come(window.record[topic]) : fail());
    script.onerror = fail;
    document.head.append(script);
  });
  const MISSING = "The details of this topic lie beside the page, in topics/ and figures/, and are not here: "
    + "keep these folders with report.html, or write them anew with `python -m pytest --frozen --report`.";

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
    }).catch(() => { cell.textContent = MISSING; });
    return below;
  }

  window.openRow = (row, wanted) => {
    const next = row.nextElementSibling;
    const below = next && next.classList.contains("opened") ? next : null;
    const button = row.querySelector("button");
    const open = wanted ?? button.getAttribute("aria-expanded") !== "true";
    button.setAttribute("aria-expanded", String(open));
    if (open) (below || made(row)).hidden = false;
    else if (below) below.remove();
  };

  document.addEventListener("click", (event) => {
    const row = event.target.closest("tr.row");
    if (!row || event.target.closest("a")) return;
    if (!event.target.closest("button") && String(getSelection())) return;  // somebody copies a number
    window.openRow(row);
    const open = row.querySelector("button").getAttribute("aria-expanded") === "true";
    window.claimOpened(open ? linkOf(row) : "");
  });
})();
