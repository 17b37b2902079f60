// One thought, or one pair: what was asked, what was thought, in colours by segment, what came of it.

const LETTERS = "ABCDEFGHIJ";
const SEGMENTS = { thought: "short thought", cue: "cue", continuation: "continuation", answer: "answer" };
let reading = 0; // which request for texts is the last; those that come late are not shown

async function showThought(trace) {
  const turn = ++reading;
  const [question, texts] = await Promise.all([questionOf(trace), textsOf(trace)]);
  const rest = [caption(question), await siblings(trace)];
  if (turn !== reading) return;
  at("detail").replaceChildren(
    heading(index.traces.parent[trace] < 0 ? "Short thought" : "Continued thought", trace),
    asked(question, [texts.answered]),
    legend(texts),
    thought(texts),
    verdict(trace, question, texts),
    ...usedIn(trace),
    ...rest,
  );
  at("detail").scrollTop = 0;
}

async function showPair(pair) {
  const turn = ++reading;
  const sides = [index.pairs.chosen[pair], index.pairs.rejected[pair]];
  const question = await questionOf(sides[0]);
  const texts = await Promise.all(sides.map(textsOf));
  if (turn !== reading) return;
  const columns = sides.map((trace, place) => element("section", place ? "side-rejected" : "side-chosen",
    element("h4", "", place ? "Rejected" : "Chosen"),
    element("p", "marks", ...marksOf(trace)),
    thought(texts[place]),
    verdict(trace, question, texts[place]),
    link("Open this thought", () => openThought(trace))));
  const kind = KINDS[index.names.pair[index.pairs.kind[pair]]];
  at("detail").replaceChildren(
    element("div", "title", back(), element("h3", "", `Pair: ${kind}`)),
    asked(question, texts.map((one) => one.answered)),
    legend(texts[0].cue === undefined ? texts[1] : texts[0]),
    element("div", "pair", ...columns),
    caption(question),
  );
  at("detail").scrollTop = 0;
}

function heading(name, trace) {
  return element("div", "title", back(), element("h3", "", name),
    element("span", "marks", ...marksOf(trace)), element("code", "id", index.traces.id[trace]));
}

function back() {
  const made = element("button", "back", "← List");
  made.type = "button";
  made.addEventListener("click", leaveDetail);
  return made;
}

function asked(question, answered) {
  const options = element("ol", "options");
  question.options.forEach((text, place) => {
    const row = element("li", "", element("b", "", `(${LETTERS[place]})`), " ", text);
    if (place === question.gold) row.append(badge("✓ gold", "right"));
    if (answered.includes(place)) row.append(badge("answered", place === question.gold ? "right" : "wrong"));
    options.append(row);
  });
  const big = picture(question.image);
  if (question.image >= 0) big.alt = "The picture that is asked about";
  return element("div", "asked", big,
    element("div", "", element("p", "type", question.type), element("p", "question", question.text), options));
}

function legend(texts) {
  const shown = Object.keys(SEGMENTS).filter((kind) => texts[kind] !== undefined);
  return element("p", "legend", ...shown.map((kind) => element("span", `segment ${kind}`, SEGMENTS[kind])));
}

function thought(texts) {
  const made = element("div", "reasoning");
  for (const kind of Object.keys(SEGMENTS)) {
    if (!texts[kind]) continue;
    if (kind === "answer") made.append("\n");
    made.append(element("span", `segment ${kind}`, texts[kind]));
  }
  return made;
}

function verdict(trace, question, texts) {
  const { status, drop, right, behaviours } = index.traces;
  const place = texts.answered;
  const read = place < 0
    ? `No answer could be read: ${plain(index.names.status[status[trace]])}.`
    : `Read as (${LETTERS[place]}) ${question.options[place]}: ${right[trace] ? "right" : "wrong"}.`;
  const lost = drop[trace] ? ` Dropped: ${plain(index.names.drop[drop[trace]])}.` : "";
  const shows = index.names.behaviour.filter((_, bit) => behaviours[trace] & (1 << bit)).map((name) => BEHAVIOURS[name]);
  const seen = shows.length ? ` Shows ${shows.join(", ")}.` : "";
  return element("p", "verdict", read + lost + seen);
}

function usedIn(trace) {
  const use = index.traces.use[trace];
  const uses = pairsOf(trace).map(([pair, side]) =>
    link(`${side}: ${KINDS[index.names.pair[index.pairs.kind[pair]]]}`, () => openPair(pair)));
  if (use) uses.unshift(badge(`SFT: ${USES[index.names.use[use]]}`, "used"));
  return uses.length ? [element("div", "uses", element("h4", "", "In the sets"), ...uses)] : [];
}

function caption(question) {
  return element("details", "caption", element("summary", "", "The caption, which the thinker did not see"),
    element("p", "", question.caption));
}

// All thoughts about the question, as a tree.
async function siblings(trace) {
  const { question, parent, right, status, words, drop } = index.traces;
  const tree = element("ul", "siblings");
  let first = trace;
  while (first > 0 && question[first - 1] === question[trace]) first--;
  for (let one = first; question[one] === question[trace]; one++) {
    const name = parent[one] < 0 ? "short" : ended(one);
    const sign = status[one] ? "?" : right[one] ? "✓" : "✗";
    const made = link(`${sign} ${name} · ${number(words[one])} words`, () => openThought(one));
    if (one === trace) made.setAttribute("aria-current", "true");
    const row = element("li", `${parent[one] < 0 ? "" : "nested"} ${drop[one] ? "lost" : ""}`, made);
    tree.append(row);
  }
  return element("details", "others", element("summary", "", "All thoughts about this question"), tree);
}

function link(text, act) {
  const made = element("button", "link", text);
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}
