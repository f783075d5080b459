// Live updates, keys, copying and folds. Without this script everything can be read and filtered.
// The server renders the whole page: changed parts are fetched again and replaced.

const view = document.body.dataset.view;
const streams = "stream" in document.body.dataset;
const newest = !("notLast" in document.body.dataset);
const part = { headers: { "X-Part": "1" } };
const live = { headers: { "X-Live": "1" } };
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const say = document.createElement("p");
say.className = "vh";
say.setAttribute("role", "status");
document.body.append(say);

// ---------- replacing what the server has rendered since ----------

async function fetched(address, options = {}) {
  const answer = await fetch(address, { credentials: "same-origin", ...options });
  if (answer.status === 401) throw new Refused();
  if (!answer.ok && options !== part) throw new Error(answer.status);
  return answer.text();
}
class Refused extends Error {}

const drawn = new WeakMap();
const plain = (element) => element.outerHTML;
const rememberAll = (root = document) => {
  for (const element of $$("[data-live], [data-live-list] > *", root)) drawn.set(element, plain(element));
};

// A new element keeps open folds, what was loaded into them, and the focus.
function put(old, fresh) {
  drawn.set(fresh, plain(fresh));
  for (const fold of $$("details[data-key]", old)) {
    const same = $(`details[data-key="${CSS.escape(fold.dataset.key)}"]`, fresh);
    if (!same || !fold.open) continue;
    same.open = true;
    const body = $(":scope > [data-loaded]", fold);
    if (body) $(":scope > .body", same)?.replaceWith(body);
  }
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const attribute = focused && ["id", "href", "data-copy-text"].find((name) => focused.getAttribute(name));
  const key = focused?.matches("summary") && focused.parentElement.dataset.key;
  const path = key ? `details[data-key="${CSS.escape(key)}"] > summary` : attribute && `[${attribute}="${CSS.escape(focused.getAttribute(attribute))}"]`;
  old.replaceWith(fresh);
  if (path) $(path, fresh)?.focus({ preventScroll: true });
  if (current && old.contains(current)) {
    const { id, dataset } = current;
    current = [fresh, ...$$("[data-row]", fresh)].find((row) => row.id === id && row.dataset.session === dataset.session) ?? null;
    current?.classList.add("current");
  }
  prepare(fresh);
}

function replace(id, fresh) {
  const old = document.getElementById(id);
  if (old && drawn.get(old) !== plain(fresh)) put(old, document.adoptNode(fresh));
}

function morphList(id, fresh) {
  const list = document.getElementById(id);
  if (!list) return;
  const wanted = [...fresh.children].filter((child) => child.id);
  const keep = new Set(wanted.map((child) => child.id));
  const number = (child) => parseInt(child?.id.slice(1), 10);
  for (const child of [...list.children]) {
    // What is read stays, even if the newest page begins with a later prompt now.
    if (number(child) < number(wanted[0])) $(".turn-end .st", child)?.closest(".turn-end").remove();
    else if (!keep.has(child.id)) child.remove();
  }
  let before = [...list.children].filter((child) => !keep.has(child.id)).at(-1);
  for (const child of wanted) {
    const old = document.getElementById(child.id);
    if (!old) {
      const mine = document.adoptNode(child);
      drawn.set(mine, plain(mine));
      before ? before.after(mine) : list.prepend(mine);
      prepare(mine);
    } else if (drawn.get(old) !== plain(child)) put(old, document.adoptNode(child));
    before = document.getElementById(child.id);
  }
}

let pulse = document.body.dataset.line;
let waiting = null; // rows of the feed that are not shown yet
let paused = false;

async function refresh() {
  const asked = location.search;
  const page = new DOMParser().parseFromString(await fetched(location.href, live), "text/html");
  if (asked !== location.search) return; // the user typed on: another answer follows
  document.title = page.title;
  pulse = page.body.dataset.line ?? pulse;
  interval = intervalOf(page.body);
  // Pages share answers: this one may have been rendered before the event came.
  again ||= page.body.dataset.after < heard && tries++ < MOST_TRIES;
  const atEnd = view === "sessions" && $("#turns") && innerHeight + scrollY > document.body.scrollHeight - 80;
  for (const old of $$("[data-empty]")) {
    const fresh = page.getElementById(old.id);
    if (fresh && !("empty" in fresh.dataset)) put(old, document.adoptNode(fresh));
  }
  for (const element of $$("[data-live]", page)) if (element.id) replace(element.id, element);
  for (const element of $$("[data-live-list]", page)) morphList(element.id, element);
  for (const element of $$("[data-live-feed]", page)) feed(element);
  if (atEnd) scrollTo(0, document.body.scrollHeight);
  connected();
}

// ---------- the feed: nothing is inserted above what the user reads ----------

function feed(fresh) {
  const list = document.getElementById(fresh.id);
  const more = [...fresh.children].filter((row) => !document.getElementById(row.id));
  if (!more.length) return;
  if (paused || scrollY > 200 || $("details[open]", list)) {
    waiting = fresh;
    announceNew(`${more.length}${next(fresh, more) ? "+" : ""}`);
  } else showNew(fresh);
}

// The link to the rows between the new ones and those of the list, if there can be any.
const next = (fresh, more) => more.length === fresh.children.length && $("[rel=next]", fresh.ownerDocument);

let announcedAt = 0;
function announceNew(count) {
  const pill = $(".pill-row");
  pill.hidden = false;
  $("span", pill).textContent = `${count} new`;
  following();
  if (Date.now() - announcedAt > 5000) {
    announcedAt = Date.now();
    say.textContent = `${count} new`;
  }
}

function showNew(fresh, divide = false) {
  const list = document.getElementById(fresh.id);
  const more = [...fresh.children].filter((row) => !document.getElementById(row.id));
  $(".unread", list)?.parentElement.remove();
  if (divide && list.firstElementChild) {
    const line = document.createElement("li");
    line.innerHTML = '<p class="unread"></p>';
    line.firstChild.textContent = `Read up to here at ${new Date().toTimeString().slice(0, 5)}`;
    list.prepend(line);
  }
  const between = next(fresh, more);
  if (between) list.prepend(Object.assign(document.createElement("li"), { className: "pager" }));
  if (between) list.firstChild.append(document.adoptNode(between));
  list.prepend(...more.map((row) => document.adoptNode(row)));
  while (list.children.length > 400) list.lastElementChild.remove();
  prepare(list);
  waiting = null;
  $(".pill-row").hidden = true;
  following();
}

function showWaiting() {
  if (!waiting) return;
  showNew(waiting, true);
  scrollTo({ top: 0 });
}

function following() {
  const told = $("#following");
  if (!told) return;
  told.hidden = false;
  const held = paused || waiting;
  told.classList.toggle("paused", Boolean(held));
  $("use", told).setAttribute("href", held ? "#pause" : "#work");
  $("span", told).textContent = held ? "Paused while you read." : "Live";
  $("[data-follow]", told).textContent = held ? "Follow again" : "Pause";
}

function follow() {
  paused = !(paused || waiting);
  if (!paused && waiting) showWaiting();
  following();
}

// ---------- the stream reports changes; the server renders them ----------

let timer = null;
let busy = false;
let again = false;
let brokeAt = null;
const QUICK = 40;
// In milliseconds. While the watcher reads a backlog, it needs the processors more.
const SLOW = 5000;
const intervalOf = (body) => ("slow" in body.dataset || "busy" in body.dataset ? SLOW : 400);
let interval = intervalOf(document.body);
let lastRefresh = 0;
let heard = 0; // the newest event of the stream
let tries = 0;
const MOST_TRIES = 20;

function happened() {
  if (busy) {
    again = true;
    return;
  }
  if (timer || document.hidden && view !== "now") return;
  timer = setTimeout(run, Math.max(QUICK, lastRefresh + interval - Date.now()));
}

async function run() {
  timer = null;
  busy = true;
  lastRefresh = Date.now();
  try {
    await refresh();
  } catch (error) {
    lost(error);
  }
  busy = false;
  if (again) {
    again = false;
    happened();
  }
}

function listen() {
  const query = new URLSearchParams(document.body.dataset.stream);
  query.set("after", document.body.dataset.after);
  query.set("only", "ids");
  const source = new EventSource(`/api/events/stream?${query}`);
  source.onmessage = (event) => {
    heard = parseInt(event.lastEventId, 10);
    tries = 0;
    happened();
  };
  source.addEventListener("reset", happened);
  source.onopen = () => {
    if (brokeAt) happened();
  };
  source.onerror = () => {
    lost();
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 4000);
  };
  addEventListener("pagehide", () => source.close(), { once: true });
}

let cause = null;
function lost(error) {
  brokeAt ??= new Date();
  cause = error ?? cause;
  const place = $("#connection");
  const words = cause instanceof Refused
    ? ["", "Open this page with your own link", "The token has changed. Run in a terminal: claude-headspace open"]
    : cause?.message === "503"
      ? ["broken", "The log can’t be read now", "This page shows its last state, and continues by itself as soon as Postgres answers."]
    : Date.now() - brokeAt > 60000
      ? ["broken", "Claude Headspace does not answer", "It has not answered for a minute. Capture may continue: the page and the watcher are separate. Run: claude-headspace status"]
      : ["warn", `Not connected since ${brokeAt.toTimeString().slice(0, 8)}`, "This page shows the state of that time. It reconnects by itself, and then shows what it missed, in order."];
  if (place.dataset.words === words[1]) return;
  place.dataset.words = words[1];
  place.innerHTML = '<div class="note"><h2></h2><p></p></div>';
  place.firstChild.classList.add(words[0] || "plain");
  $("h2", place).textContent = words[1];
  $("p", place).textContent = words[2];
}

function connected() {
  brokeAt = cause = null;
  const place = $("#connection");
  place.replaceChildren();
  delete place.dataset.words;
}

// The strip is fetched at intervals: without Postgres no event comes.
let looked = 0;
async function look() {
  if (document.hidden || (interval === SLOW && ++looked % 2)) return;
  try {
    const page = new DOMParser().parseFromString(await fetched("/status/strip", part), "text/html");
    const fresh = $("#health", page);
    const old = $("#health");
    if (!fresh || plain(fresh) === drawn.get(old)) return;
    drawn.set(old, plain(fresh));
    const status = $("[role=status]", old);
    const verdict = $("[role=status]", fresh);
    old.className = fresh.className;
    if (status.innerHTML !== verdict.innerHTML) status.innerHTML = verdict.innerHTML;
    const rest = (root) => [...root.childNodes];
    const line = $("p", old);
    while (status.nextSibling) status.nextSibling.remove();
    for (const node of rest($("p", fresh)).slice(rest($("p", fresh)).indexOf(verdict) + 1)) line.append(document.adoptNode(node));
    while (line.nextSibling) line.nextSibling.remove();
    for (const node of rest(fresh).slice(rest(fresh).indexOf($("p", fresh)) + 1)) old.append(document.adoptNode(node));
    prepare(old);
    if (brokeAt && streams) happened();
  } catch (error) {
    if (!streams || error instanceof Refused) lost(error);
  }
}

// Tool calls are not events of the log; the last line of a session shows its progress.
let felt = 0;
async function feel() {
  if (document.hidden || (interval === SLOW && ++felt % 5)) return;
  try {
    const fresh = await fetched("/status/pulse", part);
    if (fresh !== pulse) happened();
    pulse = fresh;
  } catch {
    // The strip and the stream report what is wrong.
  }
}

// ---------- folds that are loaded when they are opened ----------

document.addEventListener("toggle", async (event) => {
  const body = event.target.open && $(":scope > [data-load]", event.target);
  if (!body || "loaded" in body.dataset) return;
  body.dataset.loaded = "";
  const told = setTimeout(() => body.setAttribute("aria-busy", "true"), 300);
  try {
    body.innerHTML = await fetched(body.dataset.load, { ...part });
    prepare(body);
  } catch {
    delete body.dataset.loaded;
  }
  clearTimeout(told);
  body.removeAttribute("aria-busy");
}, true);

// ---------- copying ----------

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    return;
  }
  say.textContent = "Copied";
  if (!button) return;
  const words = button.lastChild.textContent;
  button.lastChild.textContent = "Copied";
  setTimeout(() => (button.lastChild.textContent = words), 1500);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button, a");
  if (!button) return;
  if (button.dataset.copyText) copy(button.dataset.copyText, button);
  else if (button.dataset.copy) copy($("pre", button.closest(".code")).textContent, button);
  else if (button.closest("#log .pm")) button.href = withFilter(new URL(button.href));
  else if (button.matches(".pill")) showWaiting();
  else if (button.dataset.themeIs !== undefined) theme(button.dataset.themeIs);
  else if (button.dataset.keysSwitch !== undefined) keysOff(button);
  else if (button.dataset.follow !== undefined) {
    event.preventDefault();
    follow();
  }
});

// The link of one value, with the other filters of this view.
function withFilter(link) {
  const [[name, value]] = link.searchParams;
  const asked = new URLSearchParams(location.search);
  const plus = value.replace(/^-/, "");
  const kept = asked.getAll(name).filter((each) => each !== plus && each !== `-${plus}` && (value !== plus || each.startsWith("-")));
  for (const each of ["cursor", name]) asked.delete(each);
  for (const each of [...kept, value]) asked.append(name, each);
  return `?${asked}`;
}

const remember = (name, value) => (document.cookie = `${name}=${value}; path=/; max-age=31536000; samesite=strict`);

function theme(name) {
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
  remember("theme", name);
  for (const button of $$("[data-theme-is]")) button.setAttribute("aria-pressed", String(button.dataset.themeIs === name));
}

function keysOff(button) {
  const off = document.body.dataset.keys !== "off";
  document.body.dataset.keys = off ? "off" : "on";
  remember("keys", off ? "off" : "on");
  button.setAttribute("aria-pressed", String(off));
}

// ---------- dragging over a chart selects a stretch of time ----------

let drag = null;
const at = (event) => {
  const box = drag.chart.getBoundingClientRect();
  return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
};
document.addEventListener("pointerdown", (event) => {
  const chart = event.target.closest("[data-drag-since]");
  drag = chart && { chart };
  if (chart) drag.from = at(event);
});
document.addEventListener("dragstart", (event) => event.target.closest("[data-drag-since]") && event.preventDefault());
document.addEventListener("pointerup", (event) => {
  if (!drag) return;
  const [left, right] = [drag.from, at(event)].sort((a, b) => a - b);
  const [start, end] = [drag.chart.dataset.dragSince, drag.chart.dataset.dragUntil].map((text) => new Date(text).getTime());
  drag = null;
  if (right - left < 0.01) return;
  const address = new URL(location.href);
  address.searchParams.delete("cursor");
  address.searchParams.set("since", new Date(start + left * (end - start)).toISOString());
  address.searchParams.set("until", new Date(start + right * (end - start)).toISOString());
  location.href = address;
});

// ---------- keys ----------

let current = $(".current");
const rows = () => $$("[data-row]").filter((row) => row.offsetParent !== null);

function select(row) {
  if (!row) return;
  current?.classList.remove("current");
  current = row;
  row.classList.add("current");
  row.scrollIntoView({ block: row.matches("[data-turn]") ? "start" : "nearest" });
  const target = $("summary, [data-open], a.hit, a[href]", row) ?? row;
  target.focus({ preventScroll: true });
}

// The next one after the reader's position, in either direction; stays at the end.
function step(direction, wanted = () => true) {
  const all = rows();
  const here = all.indexOf(current?.isConnected ? current : nearest(all));
  const ahead = direction > 0 ? all.slice(here + 1) : all.slice(0, Math.max(here, 0)).reverse();
  select(ahead.find(wanted));
}

function nearest(all) {
  const focused = document.activeElement?.closest("[data-row]");
  if (focused) return focused;
  if (!$("#turns")) return null;
  return all.filter((row) => row.getBoundingClientRect().top < 120).at(-1) ?? null;
}

function stepFailure(direction) {
  const all = $$(".tool.failed, [data-failed]").filter((each) => each.closest("details:not([open])") === null || each.matches("details"));
  const here = document.activeElement?.closest(".tool, [data-row]");
  const line = here ? here.getBoundingClientRect().top : 80;
  const top = (each) => each.getBoundingClientRect().top;
  const next = direction > 0 ? all.find((each) => each !== here && top(each) > line + 1) : all.filter((each) => each !== here && top(each) < line - 1).at(-1);
  if (!next) return;
  if (next.matches("[data-row]")) return select(next);
  next.scrollIntoView({ block: "center" });
  $("summary", next).focus({ preventScroll: true });
}

function fold(all) {
  const row = current ?? document.activeElement?.closest("[data-row]") ?? nearest(rows());
  const here = document.activeElement?.closest("details");
  if (!all && here) return (here.open = !here.open);
  const folds = row ? $$("details", row) : [];
  const open = !folds.some((each) => each.open);
  for (const each of all ? folds : folds.slice(0, 1)) each.open = open;
}

const session = () => (current ?? document.activeElement?.closest("[data-session]"))?.closest("[data-session]") ?? document.body;
const go = { n: "/", s: "/sessions", e: "/events", a: "/activity" };
const keys = {
  "/": () => ($("#find") ?? $("#q"))?.focus(),
  "?": () => (location.href = "/keys"),
  j: () => step(1),
  k: () => step(-1),
  "]": () => step(1, (row) => row.matches("[data-turn]")),
  "[": () => step(-1, (row) => row.matches("[data-turn]")),
  e: () => stepFailure(1),
  E: () => stepFailure(-1),
  n: () => step(1, (row) => row.dataset.needs === "True"),
  N: () => step(-1, (row) => row.dataset.needs === "True"),
  s: () => step(1, (row) => "pause" in row.dataset),
  S: () => step(-1, (row) => "pause" in row.dataset),
  o: () => fold(false),
  O: () => fold(true),
  c: () => {
    const id = session().dataset.session;
    if (id) location.href = view === "events" ? `/events?session=${id}` : `/sessions/${id}`;
  },
  f: follow,
  ".": showWaiting,
  r: () => {
    const command = (current ?? document.activeElement)?.closest?.("[data-resume]")?.dataset.resume ?? document.body.dataset.resume;
    if (command) copy(command);
  },
  y: () => {
    const row = current ?? document.activeElement?.closest("[data-row]");
    const link = row && $("[data-permalink], [data-open], a.hit", row);
    copy(link ? link.href : location.href);
  },
  x: () => $$("[data-remove-filter]").at(-1)?.click(),
  Enter: () => {
    if (document.activeElement === document.body && current) $("[data-open], a.hit, summary", current)?.click();
  },
  Escape: () => {
    if (current) {
      current.classList.remove("current");
      current = null;
      document.activeElement?.blur();
    } else if (view === "sessions" && $("#turns") || view === "search") history.back();
  },
};

let leader = false;
document.addEventListener("keydown", (event) => {
  const field = event.target.closest("input, textarea, select, [contenteditable]");
  if (field && event.key === "Escape") return field.blur();
  if (field || event.ctrlKey || event.metaKey || event.altKey || document.body.dataset.keys === "off") return;
  if (leader) {
    leader = false;
    if (go[event.key]) location.href = go[event.key];
    return;
  }
  if (event.key === "g") {
    leader = true;
    setTimeout(() => (leader = false), 1500);
    return;
  }
  if (event.key in keys && !(event.key === "Enter" && event.target !== document.body)) {
    if (event.key !== "Enter") event.preventDefault();
    keys[event.key]();
  }
});

// ---------- the outline highlights the prompt that is being read ----------

function mark() {
  const turns = $$("#turns [data-turn]");
  const here = turns.filter((turn) => turn.getBoundingClientRect().top < 140).at(-1) ?? turns[0];
  for (const link of $$("#outline a")) {
    const on = here && link.hash === `#${here.id}`;
    if (on === link.hasAttribute("aria-current")) continue;
    on ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
  }
}
if ($("#outline")) {
  let marking = null;
  addEventListener("scroll", () => (marking ??= setTimeout(() => ((marking = null), mark()), 80)), { passive: true });
  mark();
}

// ---------- search while typing ----------

let typing = null;
document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-typing]");
  if (!form) return;
  clearTimeout(typing);
  typing = setTimeout(() => {
    const address = new URL(form.action);
    address.search = new URLSearchParams(new FormData(form));
    history.replaceState(null, "", address);
    refresh().catch(lost);
  }, 200);
});

// ---------- a long search continues by itself until it is stopped ----------

async function goOn() {
  const link = $("[data-go-on]");
  if (!link) return;
  const stop = $("[data-stop]");
  let stopped = false;
  stop.hidden = false;
  stop.addEventListener("click", () => (stopped = true));
  const page = new DOMParser().parseFromString(await fetched(link.href), "text/html");
  if (stopped) return stop.remove();
  for (const group of $$(".found", page)) {
    const mine = document.getElementById(group.id);
    const fresh = document.adoptNode(group);
    mine ? mine.append(...$$(":scope > [data-row]", fresh)) : $("#found").append(fresh);
  }
  const looked = $("#looked", page);
  if (looked) $("#looked").replaceWith(document.adoptNode(looked));
  else $("#looked span").innerHTML = "Searched everything: <b></b>.";
  $("#looked b").textContent = `${$$("#found .hit").length} found`;
  $("#how")?.remove();
  $("#found").append(...$$("#found > .pager, #found > .note", page).map((each) => document.adoptNode(each)));
  prepare($("#found"));
  await goOn();
}
goOn().catch(lost);

async function countOn() {
  while ($("[data-count-on]")) await refresh();
}
countOn().catch(lost);

for (const later of $$("[data-later]")) {
  fetched(later.dataset.later, part).then((html) => html.trim() && (later.innerHTML = html)).catch(() => {});
}

// Parts that need this script are hidden until it runs.
function prepare(root) {
  for (const element of $$("[data-copy], [data-copy-text], .theme, .keys-switch", root)) element.hidden = false;
}

// A link to a call or into a fold opens its target.
function openTarget() {
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  const call = $(":scope > details.tool", target);
  if (call) call.open = true;
  target.scrollIntoView();
}

rememberAll();
openTarget();
addEventListener("hashchange", openTarget);
prepare(document);
const strip = $("#health");
if (strip) drawn.set(strip, "");
if (streams && newest) {
  listen();
  setInterval(feel, 1000);
  document.addEventListener("visibilitychange", happened);
  addEventListener("pageshow", (event) => event.persisted && location.reload());
}
following();
if (strip) setInterval(look, 3000);
setInterval(() => {
  for (const time of $$("[data-since]")) {
    const seconds = (Date.now() - new Date(time.dataset.since)) / 1000;
    if (seconds >= 0) time.textContent = seconds < 60 ? `${Math.round(seconds)} s` : seconds < 3600 ? `${Math.floor(seconds / 60)} min` : time.textContent;
  }
  if (view === "now" && streams && Date.now() - lastRefresh > 30000) happened();
}, 1000);
