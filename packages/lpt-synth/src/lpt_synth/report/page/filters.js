// Which thoughts and pairs are listed. Each filter is a list of choices: [value, name, test].

const KINDS = { right_over_wrong: "right over wrong", short_over_spoiled: "short over spoiled",
  turned_over_wrong: "turned over wrong", compact_over_long: "compact over long" };
const USES = { short_right: "right short thought", right_right: "right, stayed right",
  wrong_right: "wrong, turned right" };
const BEHAVIOURS = { verification: "verification", backtracking: "backtracking", subgoals: "sub-goals",
  backward_chaining: "backward chaining" };
const plain = (name) => name.replaceAll("_", " ");
const number = (count) => count.toLocaleString("en");

// How a thought ended, as one word.
function ended(trace) {
  const { status, right, parent } = index.traces;
  if (status[trace]) return "unread";
  const now = right[trace] ? "right" : "wrong";
  if (parent[trace] < 0) return now;
  const before = right[parent[trace]] ? "right" : "wrong";
  return before === now ? `stayed ${now}` : `turned ${now}`;
}

function choicesFor() {
  const { parent, right, status, drop, use, behaviours, question } = index.traces;
  const names = index.names;
  const types = index.questions.type;
  const endings = ["turned right", "stayed right", "turned wrong", "stayed wrong"];
  return {
    kind: [["short", "short", (t) => parent[t] < 0], ["long", "continued", (t) => parent[t] >= 0]],
    ended: [
      ["right", "right", (t) => right[t] === 1],
      ["wrong", "wrong", (t) => !status[t] && !right[t]],
      ...endings.map((name) => [name, name, (t) => ended(t) === name]),
      ["unread", "answer not read", (t) => status[t] > 0],
      ...names.status.slice(1).map((name, place) => [name, `– ${plain(name)}`, (t) => status[t] === place + 1]),
    ],
    kept: [
      ["kept", "usable", (t) => !status[t] && !drop[t]],
      ...names.drop.slice(1).map((name, place) => [name, `dropped: ${plain(name)}`, (t) => drop[t] === place + 1]),
    ],
    use: [
      ["sft", "in the SFT set", (t) => use[t] > 0],
      ...names.use.slice(1).map((name, place) => [name, `– ${USES[name]}`, (t) => use[t] === place + 1]),
      ["pair", "in a pair", (t) => pairsOf(t).length > 0],
      ["none", "in no set", (t) => !use[t] && !pairsOf(t).length],
    ],
    behaviour: names.behaviour.map((name, bit) => [name, BEHAVIOURS[name], (t) => behaviours[t] & (1 << bit)]),
    pair: names.pair.map((name, place) => [name, KINDS[name], (p) => index.pairs.kind[p] === place]),
    type: names.type.map((name, place) => [name, name, (t) => types[question[t]] === place]),
  };
}

let choices;
let pairsByTrace;

function pairsOf(trace) {
  if (!pairsByTrace) {
    pairsByTrace = new Map();
    for (const side of ["chosen", "rejected"]) {
      index.pairs[side].forEach((of, pair) => {
        if (!pairsByTrace.has(of)) pairsByTrace.set(of, []);
        pairsByTrace.get(of).push([pair, side]);
      });
    }
  }
  return pairsByTrace.get(trace) ?? [];
}

function fillFilters() {
  choices = choicesFor();
  for (const [name, given] of Object.entries(choices)) {
    const select = at(`filter-${name}`);
    select.append(new Option("any", ""));
    for (const [value, label] of given) select.append(new Option(label, value));
  }
  at("count-thoughts").textContent = number(index.traces.id.length);
  at("count-pairs").textContent = number(index.pairs.kind.length);
}

const view = () => at("filters").elements.view.value;

// The numbers of what passes all filters, as they stand.
async function passing() {
  const shown = view();
  const names = shown === "pairs" ? ["pair"] : ["kind", "ended", "kept", "use", "behaviour"];
  const tests = names.map((name) => chosenTest(name)).filter(Boolean);
  const type = chosenTest("type");
  const { chosen, rejected } = index.pairs;
  if (type) tests.push(shown === "pairs" ? (pair) => type(chosen[pair]) : type);
  const words = at("search").value.trim().toLowerCase();
  if (words) {
    const texts = await searchable();
    const has = (trace) => texts[trace].includes(words);
    tests.push(shown === "pairs" ? (pair) => has(chosen[pair]) || has(rejected[pair]) : has);
  }
  const all = shown === "pairs" ? index.pairs.kind.length : index.traces.id.length;
  const found = [];
  for (let one = 0; one < all; one++) {
    if (tests.every((test) => test(one))) found.push(one);
  }
  return found;
}

function chosenTest(name) {
  const value = at(`filter-${name}`).value;
  return value && choices[name].find((choice) => choice[0] === value)[2];
}
