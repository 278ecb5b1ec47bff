// Draws the charts of the overview with uPlot.
(() => {
  "use strict";

  const box = document.getElementById("charts");
  if (!box) return;
  const span = box.dataset.span, length = span === "24h" ? 86400 : 3600;
  const dashes = [undefined, [8, 4], [2, 4]];
  const number = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

  const binary = ["B", "KiB", "MiB", "GiB", "TiB"];
  function bytes(v) {
    let i = 0;
    while (v >= 1024 && i < binary.length - 1) { v /= 1024; i++; }
    return `${v < 10 && i > 0 ? v.toFixed(1) : Math.round(v)} ${binary[i]}`;
  }
  function seconds(v) {
    if (v === 0) return "0";
    if (v < 0.0001) return "< 0.1 ms";
    return v < 1 ? `${number.format(v * 1000 < 10 ? v * 1000 : Math.round(v * 1000))} ms` : `${number.format(v)} s`;
  }
  const text = {
    count: v => number.format(Math.round(v)),
    rate: v => number.format(v),
    seconds,
    bytes,
    cpu: v => `${number.format(v * 100)} %`,
  };

  // Steps of the axes: for bytes powers of two, else 1, 2 and 5 times a power of ten.
  const binarySteps = Array.from({ length: 45 }, (_, i) => 2 ** i);
  const decimalSteps = from => Array.from({ length: 48 }, (_, i) => Number(`${[1, 2, 5][i % 3]}e${from + Math.floor(i / 3)}`));
  const steps = { count: decimalSteps(0), rate: decimalSteps(-1), seconds: undefined, bytes: binarySteps, cpu: decimalSteps(-3) };
  const minTop = { count: 10, rate: 1, seconds: 0.01, bytes: 1 << 20, cpu: 0.1 };

  // Delays are drawn on a logarithmic scale, from here up: a slow login must not hide what
  // the event loops do.
  const shortest = 1e-5;
  const decade = v => 10 ** Math.ceil(Math.log10(v) - 1e-9);
  function delayText(v) {
    if (!Number.isInteger(Math.round(Math.log10(v) * 1e6) / 1e6)) return ""; // powers of ten only
    return v < 0.001 ? `${Math.round(v * 1e6)} µs` : seconds(v);
  }

  const powers = (_, ticks) => ticks.map(t => delayText(t) ? t : null);

  // isolated returns the points that have no neighbours, and so would not be seen.
  function isolated(u, i) {
    const v = u.data[i], all = [];
    for (let k = 0; k < v.length; k++) if (v[k] != null && v[k - 1] == null && v[k + 1] == null) all.push(k);
    return all;
  }

  const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const data = { t: [] };
  const charts = [];

  // columns are the data of a chart.
  function columns(unit, series) {
    const clamp = v => v == null ? null : Math.max(v, shortest);
    return [data.t, ...series.map(s => unit === "seconds" ? (data[s] ?? []).map(clamp) : data[s] ?? [])];
  }

  function legend(figure, series, index) {
    figure.querySelectorAll(".legend li").forEach((li, i) => {
      const values = data[series[i]];
      let v = null;
      if (index != null) v = values[index];
      else for (let k = values.length - 1; k >= 0 && v == null; k--) v = values[k];
      li.querySelector("b").textContent = v == null ? "–" : text[figure.dataset.unit](v);
    });
  }

  function draw(figure) {
    const plot = figure.querySelector(".plot"), unit = figure.dataset.unit;
    const series = [...figure.querySelectorAll(".legend li")].map(li => li.dataset.series);
    const soft = css("--soft"), grid = { stroke: css("--grid"), width: 1 };
    const font = "12px system-ui, \"Liberation Sans\", \"DejaVu Sans\", sans-serif";
    const axis = { stroke: soft, font, grid, ticks: { show: false }, gap: 6 };
    const options = {
      width: plot.clientWidth, height: plot.clientHeight, legend: { show: false }, padding: [8, 12, 0, 0],
      cursor: { sync: { key: "roost" }, drag: { setScale: false, x: false, y: false }, y: false, points: { size: 7 } },
      scales: {
        x: { range: () => { // the first minutes of a server fill the chart
          const end = data.t.at(-1) ?? Date.now() / 1000;
          return [Math.max(end - length, Math.min(data.t[0] ?? end, end - length / 6)), end];
        } },
        y: unit === "seconds" ?
          { distr: 3, range: (_, low, high) => [shortest, decade(Math.max(minTop[unit], high ?? 0))] } :
          { range: (_, low, high) => [0, Math.max(minTop[unit], (high ?? 0) * 1.1)] },
      },
      axes: [
        { ...axis, space: 70, size: 28, values: (_, ticks) => ticks.map(t => new Date(t * 1000).toTimeString().slice(0, 5)) },
        { ...axis, space: 34, size: 66, values: (_, ticks) => ticks.map(unit === "seconds" ? delayText : text[unit]), incrs: steps[unit],
          ...(unit === "seconds" && { filter: powers, grid: { ...grid, filter: powers } }) },
      ],
      series: [{}, ...series.map((_, i) => ({
        stroke: css(`--c${i + 1}`), width: 2, dash: dashes[i], points: { show: true, size: 4, fill: css(`--c${i + 1}`), filter: isolated },
        fill: i === 0 && series.length === 1 ? css("--c1") + "22" : undefined,
      }))],
      hooks: { setCursor: [u => legend(figure, series, u.cursor.idx)] },
    };
    plot.replaceChildren();
    const u = new uPlot(options, columns(unit, series), plot);
    return { u, figure, plot, series, unit };
  }

  function redraw() {
    for (const c of charts) c.u.destroy();
    charts.length = 0;
    for (const figure of box.querySelectorAll(".chart")) charts.push(draw(figure));
  }

  // load gets what is newer than what is there, and forgets what is too old.
  async function load() {
    const last = data.t.at(-1);
    const r = await roost.get(`/history.json?span=${span}` + (last ? `&since=${last}` : ""));
    if (!r) return;
    const more = await r.json(), newest = data.t.at(-1) ?? 0;
    const from = more.t.filter(t => t <= newest).length; // what another request has brought meanwhile
    for (const name in more) data[name] = (data[name] ?? []).concat(more[name].slice(from));
    const old = data.t.findIndex(t => t >= (data.t.at(-1) ?? 0) - length);
    for (const name in data) data[name] = data[name].slice(Math.max(old, 0));
    if (!charts.length) return redraw();
    for (const c of charts) {
      c.u.setData(columns(c.unit, c.series));
      if (c.u.cursor.idx == null) legend(c.figure, c.series, null);
    }
  }

  load();
  document.addEventListener("roost:updated", load);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  new ResizeObserver(() => {
    for (const c of charts) c.u.setSize({ width: c.plot.clientWidth, height: c.plot.clientHeight });
  }).observe(box);
})();
