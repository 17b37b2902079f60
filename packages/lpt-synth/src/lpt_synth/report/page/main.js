// What a person does: filters, keys, links to one thought.

let asking = 0; // which filtering is the last

async function refresh() {
  const turn = ++asking;
  const began = performance.now();
  if (at("search").value.trim()) at("found").textContent = "Searching …";
  const found = await passing();
  if (turn !== asking) return;
  const pairs = view() === "pairs";
  for (const label of document.querySelectorAll("[data-view]")) label.hidden = label.dataset.view !== view();
  showList(found);
  const what = pairs ? "pairs" : "thoughts";
  at("found").textContent = found.length ? `${number(found.length)} ${what}` : `No ${what} like that.`;
  if (found.length) choose(0, false);
  else at("detail").replaceChildren(element("p", "empty", "Nothing passes these filters."));
  document.documentElement.dataset.filtered = (performance.now() - began).toFixed(1);
}

list.onChoose = (one, read) => {
  const shown = view() === "pairs" ? showPair(one) : showThought(one);
  if (read) shown.then(enterDetail);
};

function enterDetail() {
  document.body.classList.add("reading");
  at("detail").focus({ preventScroll: true });
}

function leaveDetail() {
  document.body.classList.remove("reading");
  at("list").focus({ preventScroll: true });
}

// Show a thought wherever it is: in the list as it stands, or in one without filters.
async function openThought(trace) {
  await reveal("thoughts", trace);
}

async function openPair(pair) {
  await reveal("pairs", pair);
}

async function reveal(which, one) {
  let place = view() === which ? list.found.indexOf(one) : -1;
  if (place < 0) {
    clearFilters();
    at("filters").elements.view.value = which;
    await refresh();
    place = list.found.indexOf(one);
  }
  choose(place, true);
}

function clearFilters() {
  for (const control of at("filters").querySelectorAll("select, input[type=search]")) control.value = "";
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input[type=search], select, textarea");
  if (event.key === "Escape") return onEscape(event);
  if (typing) {
    if (event.key === "Enter" && event.target === at("search")) {
      event.preventDefault();
      at("list").focus();
    }
    return;
  }
  const inList = event.target === at("list");
  const page = Math.max(1, Math.floor(at("list").clientHeight / ROW) - 1);
  const steps = { j: 1, k: -1 };
  if (inList) Object.assign(steps, { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity });
  if (event.key in steps) choose(list.chosen + steps[event.key], document.body.classList.contains("reading"));
  else if (event.key === "/") at("search").focus();
  else if (event.key === "p") at("filters").elements.view.value = view() === "pairs" ? "thoughts" : "pairs";
  else if (event.key === "Enter" && inList) choose(list.chosen, true);
  else return;
  event.preventDefault();
  if (event.key === "j" || event.key === "k") at("browser").scrollIntoView({ block: "nearest" });
  if (event.key === "/") at("filters").scrollIntoView({ block: "nearest" });
  if (event.key === "p") refresh();
}

function onEscape(event) {
  if (event.target === at("search") && at("search").value) {
    at("search").value = "";
    refresh();
  } else {
    leaveDetail();
  }
  event.preventDefault();
}

async function begin() {
  index = await unpack("index");
  fillFilters();
  at("filters").hidden = at("browser").hidden = false;
  let waiting;
  at("search").addEventListener("focus", searchable, { once: true });
  at("search").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(refresh, 80);
  });
  at("filters").addEventListener("change", (event) => event.target !== at("search") && refresh());
  at("clear").addEventListener("click", () => {
    clearFilters();
    refresh();
  });
  at("filters").addEventListener("submit", (event) => event.preventDefault());
  let drawing;
  at("list").addEventListener("scroll", () => {
    cancelAnimationFrame(drawing);
    drawing = requestAnimationFrame(drawRows);
  });
  addEventListener("resize", drawRows);
  document.addEventListener("keydown", onKey);
  await refresh();
  document.documentElement.dataset.ready = performance.now().toFixed(0);
}

begin().catch((error) => {
  at("gallery").append(element("p", "note", `The gallery cannot be unpacked here (${error.message}); a newer browser can.`));
  throw error;
});
