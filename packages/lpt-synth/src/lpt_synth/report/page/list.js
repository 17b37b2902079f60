// A list of which only the rows in sight exist: thirty thousand thoughts cost no more than thirty.

const ROW = 76; // pixels; gallery.css says the same
const MARGIN = 6; // rows beyond either edge

const list = { found: [], chosen: -1, onChoose: () => {} };

function element(name, className, ...content) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...content); // strings become text, never markup
  return made;
}

function showList(found) {
  list.found = found;
  list.chosen = -1;
  at("tall").style.height = `${found.length * ROW}px`;
  at("list").scrollTop = 0;
  at("list").setAttribute("aria-label", view() === "pairs" ? "Pairs found" : "Thoughts found");
  drawRows();
}

function drawRows() {
  const box = at("list");
  const first = Math.max(0, Math.floor(box.scrollTop / ROW) - MARGIN);
  const last = Math.min(list.found.length, Math.ceil((box.scrollTop + box.clientHeight) / ROW) + MARGIN);
  const rows = [];
  for (let place = first; place < last; place++) rows.push(rowOf(place));
  at("tall").replaceChildren(...rows);
  if (list.chosen >= first && list.chosen < last) box.setAttribute("aria-activedescendant", `row-${list.chosen}`);
  else box.removeAttribute("aria-activedescendant");
}

function rowOf(place) {
  const one = list.found[place];
  const pair = view() === "pairs";
  const trace = pair ? index.pairs.chosen[one] : one;
  const question = index.traces.question[trace];
  const row = element("div", "row-item", picture(index.questions.image[question]));
  row.id = `row-${place}`;
  row.style.top = `${place * ROW}px`;
  row.setAttribute("role", "option");
  row.setAttribute("aria-posinset", place + 1);
  row.setAttribute("aria-setsize", list.found.length);
  row.setAttribute("aria-selected", place === list.chosen);
  const marks = pair ? [badge(KINDS[index.names.pair[index.pairs.kind[one]]], "kind")] : marksOf(trace);
  const said = element("span", "said", index.questions.text[question]);
  row.append(element("span", "lines", said, element("span", "marks", ...marks)));
  row.addEventListener("click", () => choose(place, true));
  return row;
}

function picture(image) {
  if (image < 0) return element("span", "picture none");
  const made = element("img", "picture");
  made.alt = "";
  made.src = pictureUrl(image);
  return made;
}

function badge(text, className) {
  return element("span", `badge ${className ?? ""}`, text);
}

function marksOf(trace) {
  const { parent, status, drop, use, words } = index.traces;
  const how = ended(trace);
  const tone = how === "unread" ? "unread" : how.endsWith("right") ? "right" : "wrong";
  const sign = { right: "✓ ", wrong: "✗ ", unread: "? " }[tone];
  const marks = [badge(sign + (how === "unread" ? plain(index.names.status[status[trace]]) : how), tone)];
  marks.push(badge(parent[trace] < 0 ? "short" : "continued"));
  if (drop[trace]) marks.push(badge(plain(index.names.drop[drop[trace]]), "dropped"));
  if (use[trace]) marks.push(badge("SFT", "used"));
  marks.push(element("span", "size", `${number(words[trace])} words`));
  return marks;
}

// Choose a row; `read` moves on to its text.
function choose(place, read) {
  if (!list.found.length) return;
  list.chosen = Math.max(0, Math.min(place, list.found.length - 1));
  const box = at("list");
  const top = list.chosen * ROW;
  if (top < box.scrollTop) box.scrollTop = top;
  else if (top + ROW > box.scrollTop + box.clientHeight) box.scrollTop = top + ROW - box.clientHeight;
  drawRows();
  list.onChoose(list.found[list.chosen], read);
}
