"use strict";
// Everything that models wrote reaches the page as text nodes: nothing here makes markup of a string.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const PAGE = 12;
  const state = { benchmark: "", category: "", run: "", outcome: "", change: "", behaviour: "", words: "", page: 0, at: -1 };
  const $ = (id) => document.getElementById(id);

  function make(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (key === "on") for (const [what, call] of Object.entries(value)) made.addEventListener(what, call);
      else made.setAttribute(key, value === true ? "" : value);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  }

  // A text with the searched words marked.
  function marked(text) {
    const piece = document.createDocumentFragment();
    const words = state.words;
    if (!words) { piece.append(text); return piece; }
    const low = text.toLowerCase();
    let from = 0;
    // Lower case can have another length (İ): then nothing is marked rather than the wrong letters.
    for (let at = low.length === text.length ? low.indexOf(words) : -1; at >= 0; at = low.indexOf(words, from)) {
      piece.append(text.slice(from, at), make("mark", {}, text.slice(at, at + words.length)));
      from = at + words.length;
    }
    piece.append(text.slice(from));
    return piece;
  }

  // A thought with the searched words marked, or else the words that show a behaviour underlined.
  function thoughtful(one) {
    if (state.words) return marked(one.thought);
    const piece = document.createDocumentFragment();
    let from = 0;
    for (const [behaviour, begin, end] of one.signs) {
      if (begin < from) continue; // within one that is marked already
      piece.append(one.thought.slice(from, begin),
        make("u", { class: `sign sign-${behaviour}`, title: data.behaviours[behaviour] }, one.thought.slice(begin, end)));
      from = end;
    }
    piece.append(one.thought.slice(from));
    return piece;
  }

  const colour = (run) => `run-${run % 6}`;
  const badge = (run) => make("span", { class: `badge ${colour(run)}`, title: data.runs[run].name }, data.runs[run].key);

  // ---- which examples ------------------------------------------------------------------------------

  const searched = data.examples.map((example) => [
    example.question, example.source, example.category, ...example.options,
    ...example.answers.flat().flatMap((one) => [one.thought, one.answer]),
  ].join("\n").toLowerCase());

  function fits(example, number) {
    if (state.benchmark && example.benchmark !== state.benchmark) return false;
    if (state.category && example.category !== state.category) return false;
    if (state.change === "differ" ? !example.changes.length : state.change && !example.changes.includes(state.change)) return false;
    if (state.outcome) {
      const asked = state.run === "" ? example.answers : [example.answers[Number(state.run)]];
      if (!asked.some((of) => of.some((one) => one.outcome === state.outcome))) return false;
    }
    if (state.behaviour !== "" && !example.answers.flat().some((one) => one.signs.some((sign) => sign[0] === Number(state.behaviour)))) return false;
    return !state.words || searched[number].includes(state.words);
  }

  const found = () => data.examples.filter(fits);

  // ---- one example ---------------------------------------------------------------------------------

  function picture(example) {
    if (!example.size) return null;
    if (example.picture === null)
      return make("div", { class: "picture" }, make("div", { class: "lost" }, "No small copy of this picture is in the run's folder."));
    const [width, height] = example.size;
    const image = make("img", {
      src: data.pictures[example.picture], alt: "The picture that the question is about", loading: "lazy",
      class: Math.max(width, height) <= 128 ? "small" : null, width, height,
    });
    return make("div", { class: "picture" }, image);
  }

  function options(example) {
    return make("ol", { class: "options" }, ...example.options.map((text, place) => {
      const picked = example.answers.flatMap((of, run) => (of.length && of[0].place === place ? [badge(run)] : []));
      const gold = place === example.gold;
      return make("li", { class: gold ? "gold" : null },
        make("span", { class: "letter" }, String.fromCharCode(65 + place)),
        make("span", {}, marked(text)),
        gold ? make("span", { class: "tick", title: "the right one", "aria-label": "the right one" }, "✓") : null,
        picked.length ? make("span", { class: "picked" }, ...picked) : null);
    }));
  }

  function answer(example, run, sample) {
    const given = example.answers[run];
    const one = given[sample];
    const name = make("div", { class: "name" }, badge(run), make("strong", {}, data.runs[run].name));
    const head = make("div", { class: "head" },
      make("span", { class: `outcome ${one ? one.outcome : "missing"}` }, one ? one.outcome : "missing"),
      one && one.tokens !== null ? make("span", { class: "tokens" }, `${one.tokens} tokens of thought`) : null);
    const whole = make("div", { class: "answer" }, name, head);
    if (given.length > 1) {
      const buttons = given.map((other, number) => make("button", {
        type: "button", class: other.outcome, "aria-pressed": String(number === sample), "aria-label": `Sample ${number + 1}: ${other.outcome}`,
        on: { click: () => {
          const fresh = answer(example, run, number);
          whole.replaceWith(fresh);
          measure(fresh);
          fresh.querySelectorAll(".samples button")[number].focus();
        } },
      }, String(number + 1)));
      head.append(make("span", { class: "samples", role: "group", "aria-label": "Samples" }, ...buttons));
    }
    if (!one) return whole;
    if (one.thought) whole.append(make("p", { class: "text thought" }, thoughtful(one)));
    if (one.answer) whole.append(make("p", { class: "text final" }, marked(one.answer)));
    if (one.error) whole.append(make("p", { class: "text error" }, one.error));
    return whole;
  }

  function card(example) {
    const title = data.benchmarks.find((of) => of.name === example.benchmark).title;
    const changes = example.changes.map((change) => {
      const [what, run] = change.split("-");
      return make("span", { class: what }, `${what} by run ${data.runs[run].key}`);
    });
    const meta = make("div", { class: "meta" }, make("span", {}, title), example.category ? make("span", {}, marked(example.category)) : null,
      make("span", {}, marked(example.source)), ...changes);
    const told = make("div", { class: "told" }, meta, make("p", { class: "question" }, marked(example.question)), options(example),
      make("div", { class: "answers" }, ...example.answers.flatMap((of, run) => (of.length ? [answer(example, run, 0)] : []))));
    const shown = picture(example);
    return make("li", { class: shown ? "example" : "example plain", tabindex: "-1" }, shown, told);
  }

  // Long thoughts are cut, and opened by a button.
  function measure(within) {
    for (const thought of within.querySelectorAll(".thought:not(.cut)")) {
      if (thought.scrollHeight <= thought.clientHeight + 4) continue;
      thought.classList.add("cut");
      const more = make("button", { type: "button", class: "more", "aria-expanded": "false", on: { click: () => {
        const open = thought.classList.toggle("whole");
        more.textContent = open ? "Less" : "All of it";
        more.setAttribute("aria-expanded", String(open));
      } } }, "All of it");
      thought.after(more);
    }
  }

  // ---- the list ------------------------------------------------------------------------------------

  function draw() {
    const all = found();
    const pages = Math.max(1, Math.ceil(all.length / PAGE));
    state.page = Math.min(Math.max(0, state.page), pages - 1);
    const from = state.page * PAGE;
    const list = $("list");
    list.replaceChildren(...all.slice(from, from + PAGE).map(card));
    list.setAttribute("start", String(from + 1));
    measure(list);
    state.at = -1;
    $("count").textContent = all.length
      ? `${all.length} of ${data.examples.length} examples${pages > 1 ? `, ${from + 1} to ${Math.min(from + PAGE, all.length)} shown` : ""}`
      : "No example fits. Clear a filter.";
    const turn = (words, by, able) => make("button", { type: "button", disabled: !able, on: { click: () => flip(by) } }, words);
    $("pager").replaceChildren(...(pages > 1
      ? [turn("Previous", -1, state.page > 0), make("span", {}, `${state.page + 1} of ${pages}`), turn("Next", 1, state.page + 1 < pages)]
      : []));
  }

  function flip(by, at = 0) {
    const pages = Math.ceil(found().length / PAGE);
    if (state.page + by < 0 || state.page + by >= pages) return false;
    state.page += by;
    draw();
    focus(at < 0 ? $("list").children.length - 1 : at);
    return true;
  }

  function focus(at) {
    const one = $("list").children[at];
    if (!one) return;
    state.at = at;
    one.focus({ preventScroll: true });
    one.scrollIntoView({ block: "start" });
  }

  function step(by) {
    const next = state.at + by;
    if (next >= $("list").children.length) flip(1, 0);
    else if (next < 0) { if (state.at >= 0) flip(-1, -1); }
    else focus(next);
  }

  // ---- filters -------------------------------------------------------------------------------------

  const controls = {};

  function choice(name, words, entries) {
    const control = make("select", { name, on: { change: () => set({ [name]: control.value }) } },
      ...entries.map(([value, text]) => make("option", { value }, text)));
    controls[name] = control;
    return make("label", {}, words, control);
  }

  function categories() {
    const names = [...new Set(data.examples.filter((one) => !state.benchmark || one.benchmark === state.benchmark).map((one) => one.category))].filter(Boolean).sort();
    if (!names.includes(state.category)) state.category = "";
    controls.category.replaceChildren(...[["", "any"], ...names.map((name) => [name, name])].map(([value, text]) => make("option", { value }, text)));
    controls.category.value = state.category;
  }

  function set(changes) {
    Object.assign(state, changes, { page: 0 });
    if ("benchmark" in changes) categories();
    for (const [name, control] of Object.entries(controls)) if (name !== "words") control.value = state[name];
    draw();
  }

  function filters() {
    const several = data.runs.length > 1;
    const changes = data.runs.slice(1).flatMap((run, number) => [[`gained-${number + 1}`, `gained by run ${run.key}`], [`lost-${number + 1}`, `lost by run ${run.key}`]]);
    const search = make("input", { type: "search", name: "words", placeholder: "question, options, thoughts", on: { input: () => set({ words: search.value.trim().toLowerCase() }) } });
    controls.words = search;
    const form = $("filters");
    form.append(
      make("label", { class: "wide" }, "Search", search),
      ...[
        data.benchmarks.length > 1 && choice("benchmark", "Benchmark", [["", "any"], ...data.benchmarks.map((one) => [one.name, one.title])]),
        choice("category", "Category", [["", "any"]]),
        choice("outcome", "Outcome", [["", "any"], ...data.outcomes.map((name) => [name, name])]),
        several && choice("run", "Of run", [["", "any"], ...data.runs.map((run, number) => [String(number), `${run.key} ${run.name}`])]),
        several && choice("change", "Change", [["", "any"], ["differ", "runs differ"], ...changes]),
        choice("behaviour", "Behaviour", [["", "any"], ...data.behaviours.map((name, number) => [String(number), name])]),
      ].filter(Boolean),
      make("button", { type: "button", class: "reset", on: { click: () => { search.value = ""; set({ benchmark: "", category: "", run: "", outcome: "", change: "", behaviour: "", words: "" }); } } }, "Clear filters"),
    );
    form.addEventListener("submit", (event) => event.preventDefault());
    form.hidden = false;
    categories();
  }

  // ---- the rest of the page ------------------------------------------------------------------------

  for (const tabs of document.querySelectorAll(".tabs")) {
    const chips = tabs.querySelector(".chips");
    const show = (name) => {
      for (const chip of chips.children) chip.setAttribute("aria-pressed", String(chip.dataset.show === name));
      for (const part of tabs.querySelectorAll("[data-of]")) part.hidden = part.dataset.of !== name;
    };
    for (const chip of chips.children) chip.addEventListener("click", () => show(chip.dataset.show));
    chips.hidden = false;
    tabs.classList.add("live");
    show(chips.children[0].dataset.show);
  }

  for (const button of document.querySelectorAll(".jump")) {
    button.addEventListener("click", () => {
      controls.words.value = "";
      set({ benchmark: data.benchmarks.length > 1 ? button.dataset.benchmark : "", category: "", run: "", outcome: "", change: button.dataset.change, behaviour: "", words: "" });
      $("examples").scrollIntoView();
    });
  }

  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const typing = event.target.closest("input, select, textarea");
    if (event.key === "Escape" && typing) { typing.blur(); return; }
    if (typing) return;
    const inside = event.target.closest("#examples");
    if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "/") controls.words.focus();
    else if (inside && event.key === "ArrowRight") flip(1);
    else if (inside && event.key === "ArrowLeft") flip(-1);
    else return;
    event.preventDefault();
  });

  $("list").addEventListener("focusin", (event) => { state.at = [...$("list").children].indexOf(event.target.closest(".example")); });

  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const watch = new IntersectionObserver((seen) => {
    for (const one of seen) if (one.isIntersecting) for (const [name, link] of links) link.classList.toggle("here", name === one.target.id);
  }, { rootMargin: "-20% 0px -70% 0px" });
  for (const name of links.keys()) watch.observe($(name));

  filters();
  draw();
})();
