// A run as it happens: appends points to the curves, follows the log, says when the state changes.
import { draw, extend } from "./charts.js";

const page = document.getElementById("run").dataset;
const find = (id) => document.getElementById(id);
const losses = find("losses"), values = find("values");
let cursor = 0, state = page.state, source = null, timer = null, places = new Map(), phases = [];
const TERMINAL = ["succeeded", "failed", "cancelled", "quarantined"];
const SMALL = { showlegend: false, margin: { t: 8, b: 34 } };

const blank = (layout) => ({ data: [], layout: { xaxis: { title: { text: "step" } }, yaxis: { nticks: 6 }, ...layout } });

function clear() {
  for (const chart of values.querySelectorAll(".chart")) Plotly.purge(chart);
  values.replaceChildren();
  [places, phases] = [new Map(), []];
  draw(losses, blank());
}

/** The chart of a series: all losses share one, every value of the method's own has a scale and a chart of its own. */
function home(name) {
  if (name === "train/loss" || name === "val/loss") return losses;
  if (!name.startsWith("method/")) return null;
  return values.querySelector(`[data-file="${CSS.escape(name)}"]`) ?? added(name);
}

function added(name) {
  const figure = document.createElement("div"), title = document.createElement("h3"), chart = document.createElement("div");
  title.textContent = name.slice("method/".length).replaceAll("_", " ");
  Object.assign(chart, { className: "chart small", role: "img" });
  chart.dataset.file = name;
  figure.append(title, chart);
  values.closest(".card").hidden = false;
  values.append(figure);
  draw(chart, blank(SMALL));
  return chart;
}

/** Where a series is drawn: its chart and the place of its trace; none for a series that no chart shows.
 *
 * A phase has one colour and dash in all charts; of its losses the training loss is thin, for it is of one batch.
 */
function place(phase, name) {
  const key = `${phase} ${name}`;
  if (places.has(key)) return places.get(key);
  const chart = home(name);
  if (!chart) return null;
  if (!phases.includes(phase)) phases.push(phase);
  const trace = chart.figure.data.length, noisy = name === "train/loss";
  chart.figure.data.push({
    name: phase === "train" ? name : `${phase}: ${name}`, x: [], y: [], hoverinfo: "all", line: noisy ? { dash: "solid" } : {},
    meta: { arm: phases.indexOf(phase), role: noisy ? "seed" : "mean" },
  });
  draw(chart, chart.figure);
  places.set(key, { chart, trace });
  return places.get(key);
}

function append(points) {
  const grown = new Map();
  for (const point of points) {
    const found = place(point.phase, point.name);
    if (!found) continue;
    const rows = grown.get(found) ?? { trace: found.trace, x: [], y: [] };
    rows.x.push(point.step);
    rows.y.push(point.value);
    grown.set(found, rows);
  }
  for (const chart of new Set([...grown.keys()].map((found) => found.chart))) {
    extend(chart, [...grown].filter(([found]) => found.chart === chart).map(([, rows]) => rows));
    chart.setAttribute("aria-label", summary(chart));
  }
}

/** The chart in a sentence, from its data. */
const summary = (chart) => chart.figure.data
  .map(({ name, x, y }) => `${name} ${y.at(-1) === null ? "not finite" : y.at(-1).toPrecision(4)} at step ${x.at(-1)}, ${x.length} points`).join("; ");

function take(change) {
  if (change.reset) clear();
  append(change.points);
  cursor = change.seq;
  find("progress").value = change.progress;
  find("where").textContent = `step ${change.step}${change.phase ? ` · ${change.phase}` : ""} · ${Math.round(100 * change.progress)}%`;
  if (change.attempt) attempted(change.attempt);
  if (change.state === state) return;
  state = change.state;
  find("state").textContent = state;
  find("state").className = `chip ${state}`;
  htmx.trigger("#facts", "refresh");
}

function say(text) {
  find("live").hidden = !text;
  find("live").textContent = text;
}

async function poll() {
  const answer = await fetch(`${page.points}?after=${cursor}`).catch(() => null);
  if (answer?.ok) take(await answer.json());
  say(answer?.ok ? "live, by polling" : "connection lost, trying again");
  timer = TERMINAL.includes(state) ? null : setTimeout(poll, 2000);
}

function listen() {
  source = new EventSource(`${page.events}?after=${cursor}`);
  source.onopen = () => say("live");
  source.onmessage = (event) => take(JSON.parse(event.data));
  source.addEventListener("end", () => { stop(); say(""); htmx.trigger("#facts", "refresh"); });
  source.onerror = () => {
    say("connection lost, trying again");
    if (source?.readyState === EventSource.CLOSED) { stop(); poll(); }
  };
}

function stop() {
  source?.close();
  source = null;
  clearTimeout(timer);
}

// A hidden tab draws nothing and holds no stream; on return it continues after the last event it has.
document.addEventListener("visibilitychange", () => {
  if (TERMINAL.includes(state)) return;
  stop();
  if (document.hidden) say("paused while hidden");
  else listen();
});
addEventListener("pagehide", stop);

let logged = 0;
async function tail() {
  const attempt = find("attempt");
  if (attempt.value && !document.hidden && find("follow").checked) {
    const from = logged ? `?after=${logged}` : "";
    const answer = await fetch(attempt.dataset.log.replace("/0/log", `/${attempt.value}/log`) + from).catch(() => null);
    if (answer?.ok) {
      const { text, next } = await answer.json();
      const log = find("log");
      if (next < logged) log.textContent = "";
      log.append(text);
      logged = next;
      if (text) log.scrollTop = log.scrollHeight;
    }
  }
  if (!TERMINAL.includes(state)) setTimeout(tail, 2000);
}
function turn() {
  logged = 0;
  find("log").textContent = "";
  if (TERMINAL.includes(state)) tail();
}

/** A new attempt has a new log; whoever follows is taken there. */
function attempted(number) {
  const choice = find("attempt");
  if ([...choice.options].some((option) => Number(option.value) === number)) return;
  choice.prepend(new Option(number, number));
  if (find("follow").checked || choice.options.length === 1) { choice.value = number; turn(); }
}
find("attempt").addEventListener("change", turn);

clear();
listen();
tail();
