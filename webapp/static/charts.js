// The one place for how every chart looks. A page gives plain Plotly figures; colour, dash, marker and axes come from here.
//
//   <div class="chart" data-figure="curve" role="img" aria-label="..."></div>  {{ figure|json_script:"curve" }}
//
// A figure is {"data": [...], "layout": {...}}. A trace says what it is in `meta`, never how it looks:
// (with {% include "charts.html" %} in the page's `scripts` block).
//   meta.arm   its place in the palette; 0 is the baseline (ink), 1 to 7 vary in colour, dash and marker together;
//              from 8 on the colours come again, with other dashes and markers
//   meta.role  "mean" (a strong line, the default), "seed" (thin and faint), "band" (filled, no line), "bar", "point",
//              "front" (a thin grey line that belongs to no arm)
// A colour in the layout (of a shape, an annotation) is a token name, e.g. "--ink-2".

const ARMS = [
  { light: "#1c1e21", dark: "#e8e9eb", dash: "solid", symbol: "circle" },
  { light: "#0072B2", dark: "#56B4E9", dash: "dash", symbol: "square" },
  { light: "#B86E00", dark: "#E69F00", dash: "dot", symbol: "diamond" },
  { light: "#00795A", dark: "#35c796", dash: "dashdot", symbol: "triangle-up" },
  { light: "#C24F00", dark: "#ff8a4d", dash: "longdash", symbol: "triangle-down" },
  { light: "#A8548B", dark: "#e39cc4", dash: "longdashdot", symbol: "x" },
  { light: "#2E7FB0", dark: "#8fcdf2", dash: "6px 2px 1px 2px", symbol: "star" },
  { light: "#7A7000", dark: "#F0E442", dash: "2px 3px", symbol: "cross" },
];
const MARGIN = { l: 60, r: 16, t: 18, b: 52 }; // room for most labels: where Plotly has to widen it, it draws twice
const LEGEND = { before: 40, row: 19, edge: 22 }; // pixels: a line and gaps, a row, above and below
const NAMES = 16; // pixels between the longest name beside the rows of a chart and its edges
const FAMILY = "system-ui, 'DejaVu Sans', sans-serif";
const OPTIONS = { displayModeBar: false, responsive: true, showTips: false };
const scheme = matchMedia("(prefers-color-scheme: dark)");
const quiet = matchMedia("(prefers-reduced-motion: reduce)");

/** Resolves once what has changed so far is on the screen. */
const painted = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));

/** Take in plotly.js, which the page has prefetched: compiled beside the first layout, it makes that frame half as long again. */
async function library() {
  await painted();
  const script = Object.assign(document.createElement("script"), { src: document.getElementById("plotly.js").href });
  return new Promise((resolve, reject) => {
    Object.assign(script, { onload: resolve, onerror: () => reject(new Error(`${script.src} does not load`)) });
    document.head.append(script);
  });
}
if (!globalThis.Plotly) await library(); // an exported report has it inside

const colours = new Map(); // of tokens in the present theme: to resolve one takes a style pass over the page

/** The colour a token has now, resolved by the browser: light or dark. */
function token(name) {
  if (!colours.has(name)) colours.set(name, resolved(name));
  return colours.get(name);
}

function resolved(name) {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

/** Colour, dash and marker of an arm in the present theme. */
export function arm(index) {
  const place = index && 1 + ((index - 1) % (ARMS.length - 1)), round = Math.floor((index - 1) / (ARMS.length - 1));
  const { light, dark } = ARMS[place];
  const { dash, symbol } = index ? ARMS[1 + ((place - 1 + round) % (ARMS.length - 1))] : ARMS[0];
  return { color: scheme.matches ? dark : light, dash, symbol };
}

const faint = (hex, share) => hex + Math.round(share * 255).toString(16).padStart(2, "0");
/** Plotly reads names as a little HTML; ours are plain text. */
const plain = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const merged = (base, extra = {}) => {
  const out = { ...base };
  for (const [key, value] of Object.entries(extra))
    out[key] = value && typeof value === "object" && !Array.isArray(value) ? merged(base[key] ?? {}, value) : value;
  return out;
};

/** A trace as the theme draws it; what the trace itself states wins. */
function styled(trace) {
  const { arm: place = 0, role = "mean" } = trace.meta ?? {};
  const { color, dash, symbol } = arm(place);
  const looks = {
    mean: { mode: "lines", line: { color, dash, width: 2.2 }, marker: { color, symbol, size: 7 } },
    seed: { mode: "lines", line: { color: faint(color, 0.45), dash, width: 1 }, hoverinfo: "skip" },
    band: { mode: "lines", fill: "toself", fillcolor: faint(color, 0.17), line: { width: 0 }, hoverinfo: "skip" },
    point: { mode: "markers", marker: { color, symbol, size: 9 }, line: { color, dash }, error_x: { color }, error_y: { color } },
    front: { mode: "lines", line: { color: token("--ink-2"), width: 1.4 } },
    bar: { type: "bar", marker: { color, line: { color: token("--card"), width: 1 }, pattern: { fgcolor: token("--card") } } },
  };
  const named = trace.name === undefined ? {} : { name: plain(trace.name) };
  const own = { x: trace.x && [...trace.x], y: trace.y && [...trace.y] }; // Plotly appends in place
  return merged({ type: "scatter", ...looks[role] }, { ...trace, ...named, ...own });
}

/** Token names become colours wherever a layout mentions one. */
function coloured(value) {
  if (typeof value === "string") return value.startsWith("--") ? token(value) : value;
  if (Array.isArray(value)) return value.map(coloured);
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, coloured(v)]));
  return value;
}

const pen = document.createElement("canvas").getContext("2d");

/** Pixels that a text of the legend or of an axis is wide. */
function wide(text) {
  pen.font = `11px ${FAMILY}`;
  return pen.measureText(text).width;
}

/** The room above a chart that its legend will ask for: given at once, the chart is drawn once. */
function above({ data, layout = {} }, width) {
  const named = layout.showlegend === false ? [] : data.filter(({ name, showlegend }) => name && showlegend !== false);
  if (!named.length) return MARGIN.t;
  const widths = named.map(({ name }) => LEGEND.before + wide(name)), room = width - beside({ data, layout }) - MARGIN.r;
  const columns = Math.max(1, Math.floor(room / Math.max(...widths)));
  const rows = widths.reduce((sum, each) => sum + each) <= room ? 1 : Math.ceil(named.length / columns);
  return LEGEND.edge + LEGEND.row * rows;
}

/** The room on the left that the names of its rows will ask for, if it has such. */
function beside({ data, layout = {} }) {
  const { type, categoryarray, ticktext } = layout.yaxis ?? {};
  const names = ticktext ?? categoryarray ?? (type === "category" ? data.flatMap(({ y }) => y) : []);
  const lines = new Set(names.flatMap((name) => String(name).split("<br>")));
  return Math.max(MARGIN.l, NAMES + Math.max(0, ...[...lines].map(wide)));
}

function themed(figure, width) {
  const { layout = {} } = figure;
  const ink = token("--ink"), second = token("--ink-2"), line = token("--line");
  const axis = {
    gridcolor: line, linecolor: line, zeroline: false, ticks: "outside", tickcolor: line, automargin: true,
    tickfont: { color: second, size: 11 }, title: { font: { color: second, size: 12 }, standoff: 8 },
  };
  const axes = Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key));
  const frame = {
    margin: { ...MARGIN, t: above(figure, width), l: beside(figure) }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: FAMILY, color: ink, size: 12 },
    showlegend: true, legend: { orientation: "h", y: 1, yanchor: "bottom", x: 0, font: { size: 11 } },
    hovermode: "x unified", hoverlabel: { bgcolor: token("--card"), bordercolor: line, font: { color: ink } },
    dragmode: false, uirevision: "kept",
  };
  for (const key of new Set(["xaxis", "yaxis", ...axes])) frame[key] = axis;
  return merged(frame, coloured(layout));
}

/** Draw a figure into an element, and again whenever the theme changes. */
export function draw(element, figure) {
  element.figure = figure;
  return Plotly.react(element, figure.data.map(styled), themed(figure, element.clientWidth), OPTIONS);
}

/** Append points to a drawn figure, and remember them for the next redraw. */
export function extend(element, additions) {
  const traces = additions.map(({ trace }) => trace);
  for (const { trace, x, y } of additions) {
    element.figure.data[trace].x.push(...x);
    element.figure.data[trace].y.push(...y);
  }
  return Plotly.extendTraces(element, { x: additions.map(({ x }) => [...x]), y: additions.map(({ y }) => [...y]) }, traces);
}

/** The layout with the axes that somebody is looking at: a chart under the pointer keeps them until the pointer leaves. */
function steady(element, layout) {
  if (!element.figure || !element.matches(":hover")) return layout;
  const held = ["xaxis", "yaxis"].filter((axis) => layout[axis]?.title?.text === element.figure.layout[axis]?.title?.text);
  element.addEventListener("pointerleave", () => draw(element, element.figure), { once: true });
  return { ...layout, ...Object.fromEntries(held.map((axis) => [axis, { ...layout[axis], range: [...element.layout[axis].range] }])) };
}

let drawing = Promise.resolve();

/** Draw every chart whose place or figure is below `root`, one after the other, so that the page answers in between. */
export function drawAll(root = document) {
  for (const element of document.querySelectorAll(".chart[data-figure]")) {
    if (!root.contains(element) && !root.contains(document.getElementById(element.dataset.figure))) continue;
    drawing = drawing.then(painted).then(() => take(element)).catch(reportError);
  }
}

/** Draw the figure that the page now has for a chart: one that is there already takes in what is new.
 *
 * It is read and styled a frame before it is drawn: together they would hold the page up for longer than one may notice.
 */
async function take(element) {
  if (!element.isConnected) return;
  const figure = JSON.parse(document.getElementById(element.dataset.figure).textContent);
  const layout = steady(element, figure.layout);
  element.figure = figure;
  const drawn = [figure.data.map(styled), themed({ ...figure, layout }, element.clientWidth)];
  await painted();
  if (element.isConnected && element.figure === figure) return Plotly.react(element, ...drawn, OPTIONS);
}

/** Save a chart as the page shows it, on the page's own ground, twice as sharp.
 *
 * Plotly's own way to a PNG goes over a blob, which our policy lets no image be; its SVG is a data URL, which may be one.
 */
async function photograph(element) {
  const { width, height } = element.getBoundingClientRect();
  const layout = { ...element.layout, paper_bgcolor: token("--card"), plot_bgcolor: token("--card") };
  const drawing = new Image();
  drawing.src = await Plotly.toImage({ data: element.data, layout }, { format: "svg", width, height });
  await drawing.decode();
  const canvas = Object.assign(document.createElement("canvas"), { width: 2 * width, height: 2 * height });
  canvas.getContext("2d").drawImage(drawing, 0, 0, canvas.width, canvas.height);
  const link = { href: canvas.toDataURL("image/png"), download: `${element.dataset.file}.png` };
  Object.assign(document.createElement("a"), link).click();
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-png]");
  if (button) photograph(document.getElementById(button.dataset.png));
});

export const calm = () => quiet.matches;
scheme.addEventListener("change", () => {
  colours.clear();
  for (const element of document.querySelectorAll(".chart")) if (element.figure) draw(element, element.figure);
});
document.addEventListener("htmx:afterSwap", (event) => drawAll(event.target));
// htmx takes leave of every element by itself. A chart and the rows of a table are thousands that it never knew: they go at once.
document.addEventListener("htmx:beforeCleanupElement", ({ target }) => {
  if (target.localName === "tbody") target.replaceChildren();
  else if (target.figure) Plotly.purge(target); // and what it listens to in the window with it
});
drawAll();
