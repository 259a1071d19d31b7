// The table of links: sorted, searched and paged from the page's own JSON. Text from scans only ever goes into
// text nodes, so that no name is taken for markup.
"use strict";
(function () {
  const source = document.getElementById("links-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const table = document.getElementById("links-table");
  const body = table.tBodies[0];
  const status = document.getElementById("links-status");
  const search = document.getElementById("links-search");
  const measure = document.getElementById("links-measure");
  const size = document.getElementById("links-size");
  const back = document.getElementById("links-back");
  const next = document.getElementById("links-next");
  const [A, B, SCORE, MARGIN, CHANCE, EXPECTED, VERDICT, MEASURE, CARD] = Array(9).keys();
  const words = data.scans.map(([dataset, id]) => (data.datasets[dataset] + " " + id).toLowerCase());
  const pictures = table.tHead.rows[0].querySelector("th:not([data-column])") !== null;
  const count = new Intl.NumberFormat("en").format;
  let shown = [], page = 0, column = -1, direction = 1;

  function matches(row, wanted) {
    const text = words[row[A]] + " " + words[row[B]] + " " + row[EXPECTED] + " " + row[VERDICT];
    return wanted.every((word) => text.includes(word));
  }

  function compare(left, right) {
    let a = left[column], b = right[column];
    if (column === A || column === B) {
      a = words[a];
      b = words[b];
    }
    if (a === null || b === null) return (a === null) - (b === null);
    return direction * (a < b ? -1 : a > b ? 1 : 0);
  }

  function filter() {
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const only = measure ? Number(measure.value) : data.rows[0][MEASURE];
    shown = data.rows.filter((row) => row[MEASURE] === only && (wanted.length === 0 || matches(row, wanted)));
    if (column >= 0) shown.sort(compare);
    page = 0;
    draw();
  }

  function make(name, className, text) {
    const element = document.createElement(name);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  }

  function scanCell(number) {
    const [dataset, id] = data.scans[number];
    const cell = make("td", "scan");
    cell.append(make("bdi", "dataset", data.datasets[dataset]), " ", make("bdi", id.length > 32 ? "long" : "", id));
    return cell;
  }

  function numberCell(value, digits) {
    return make("td", "number", value === null ? "\u2013" : digits(value));
  }

  const plain = (value) => (Math.abs(value) < 10 ? value.toFixed(4) : value.toPrecision(5));
  const small = (value) => (value >= 0.001 ? value.toPrecision(2) : value.toExponential(0));

  function line(row) {
    const tr = document.createElement("tr");
    tr.append(scanCell(row[A]), scanCell(row[B]), numberCell(row[SCORE], plain), numberCell(row[MARGIN], plain));
    if (data.evaluated) {
      const verdict = make("td");
      verdict.append(make("span", "verdict " + row[VERDICT], row[VERDICT].replaceAll("_", " ")));
      tr.append(numberCell(row[CHANCE], small), make("td", "", row[EXPECTED]), verdict);
    }
    if (!pictures) return tr;
    const brains = make("td");
    if (row[CARD] > 0) {
      const link = make("a", "", "pair " + row[CARD]);
      link.href = "#pair-" + row[CARD];
      brains.append(link);
    }
    tr.append(brains);
    return tr;
  }

  function draw() {
    const lines = Number(size.value), pages = Math.max(1, Math.ceil(shown.length / lines));
    page = Math.min(page, pages - 1);
    const part = shown.slice(page * lines, (page + 1) * lines);
    body.replaceChildren(...part.map(line));
    status.textContent = shown.length === 0 ? "No line matches." :
      count(page * lines + 1) + " to " + count(page * lines + part.length) + " of " + count(shown.length);
    back.disabled = page === 0;
    next.disabled = page >= pages - 1;
  }

  // Numbers start with the largest, names with the first; the same heading again turns the order.
  function sortBy(heading) {
    const wanted = Number(heading.dataset.column);
    const first = wanted === SCORE || wanted === MARGIN ? -1 : 1;
    direction = column === wanted ? -direction : first;
    column = wanted;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
    filter();
  }

  for (const heading of table.tHead.querySelectorAll("th[data-column]"))
    heading.querySelector("button").addEventListener("click", () => sortBy(heading));
  document.getElementById("links-controls").addEventListener("submit", (event) => event.preventDefault());
  search.addEventListener("input", filter);
  if (measure) measure.addEventListener("change", filter);
  size.addEventListener("change", () => { page = 0; draw(); });
  back.addEventListener("click", () => { page--; draw(); });
  next.addEventListener("click", () => { page++; draw(); });
  filter();
})();

// A link to a pair opens what hides it, and takes the keyboard there.
(function () {
  function reveal() {
    const target = /^#pair-\d+$/.test(location.hash) && document.querySelector(location.hash);
    if (!target) return;
    const hidden = target.closest("details");
    if (hidden) hidden.open = true;
    target.focus({ preventScroll: true });
    target.scrollIntoView();
  }
  window.addEventListener("hashchange", reveal);
  reveal();
})();
