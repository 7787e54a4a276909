"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  table.querySelectorAll("thead th:not([data-fixed])").forEach((head) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(table, head));
  });
}

function sort(table, head) {
  const place = head.cellIndex;
  const rising = head.getAttribute("aria-sort") === "descending";
  table.querySelectorAll("thead th").forEach((one) => one.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", rising ? "ascending" : "descending");
  const value = (row) => row.cells[place].dataset.value ?? row.cells[place].textContent.trim();
  const compare = (one, other) => {
    const [a, b] = [value(one), value(other)];
    const order = a === "" || b === "" || isNaN(a) || isNaN(b) ? String(a).localeCompare(b) : a - b;
    return rising ? order : -order;
  };
  const rows = [...table.tBodies[0].rows];
  const total = rows.filter((row) => row.classList.contains("total"));
  table.tBodies[0].append(...rows.filter((row) => !total.includes(row)).sort(compare), ...total);
}

const source = document.getElementById("data");
if (source) browse(JSON.parse(source.textContent));

function browse(examples) {
  const form = document.querySelector(".filters");
  const cards = document.getElementById("cards");
  const more = document.getElementById("more");
  const names = new Map([...form.elements.language.options].map((one) => [one.value, one.textContent]));
  const kinds = new Set(examples.map((one) => one.kind));
  for (const option of [...form.elements.kind.options]) if (!kinds.has(option.value)) option.remove();
  let found = [];

  function make(tag, kind, text, language) {
    const one = document.createElement(tag);
    if (kind) one.className = kind;
    if (text !== undefined) one.textContent = text;
    if (language) { one.dir = "auto"; one.lang = language; }
    return one;
  }

  function label(system) {
    return system === "bm25" ? "BM25" : system;
  }

  function text(head, kind, part, language) {
    const box = make("div", kind);
    box.append(make("h4", "", part ? `${head} · ${part.doc_id}` : `${head}: none`));
    if (part && part.title) box.append(make("b", "", part.title, language));
    if (part) box.append(make("span", "", part.text ?? "not in the corpus", language));
    return box;
  }

  function facts(one) {
    const figures = [names.get(one.language), one.query_id];
    const value = (number) => number.toFixed(3).replace(/^0/, "");
    if (one.values) for (const [system, number] of Object.entries(one.values)) {
      const rank = one.places && one.places[system];
      figures.push(`${label(system)} ${value(number)}, positive ${rank ? "at rank " + rank : "not found"}`);
    } else {
      figures.push(`candidate at rank ${one.rank}`);
      if (one.probability !== null) figures.push(`probably relevant: ${Math.round(100 * one.probability)} %`);
      figures.push(one.reason);
    }
    return figures.join(" · ");
  }

  function card(one) {
    const box = make("article");
    const side = make("div", "side");
    const [, loser] = one.values ? Object.keys(one.values).sort((a, b) => one.values[b] - one.values[a]) : [];
    const title = { dropped: "Dropped", kept: "Kept" }[one.kind] ?? `${label(loser)}'s first that is not judged relevant`;
    side.append(text("Judged relevant", "positive", one.positive, one.language), text(title, "candidate", one.candidate, one.language));
    box.append(make("p", "facts", facts(one)), make("p", "query", one.query ?? one.query_id, one.language), side);
    return box;
  }

  function show(number) {
    cards.append(...found.slice(cards.childElementCount, cards.childElementCount + number).map(card));
    more.hidden = cards.childElementCount >= found.length;
  }

  function filter() {
    const { kind, language, words } = Object.fromEntries(new FormData(form));
    const wanted = words.trim().toLocaleLowerCase();
    found = examples.filter((one) => one.kind === kind && (!language || one.language === language)
      && (!wanted || JSON.stringify([one.query, one.positive, one.candidate]).toLocaleLowerCase().includes(wanted)));
    form.querySelector("output").textContent = `${found.length} examples`;
    cards.replaceChildren();
    show(10);
  }

  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", () => show(20));
  filter();
}
