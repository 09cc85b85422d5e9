// The chart of the last ten minutes: calls by state and agents who wait. Lines differ in dash as well as in colour.

import { clock } from "./format.js";

const LENGTH = 600; // seconds shown
const SERIES = [
  { key: "talking", label: "talking", colour: "--series-talking", dash: [], width: 2.5 },
  { key: "ringing", label: "ringing", colour: "--series-ringing", dash: [7, 4], width: 2 },
  { key: "waiting", label: "waiting for an agent", colour: "--series-waiting", dash: [2, 3], width: 2 },
  { key: "agents", label: "agents free", colour: "--series-agents", dash: [10, 3, 2, 3], width: 2 },
];

export class Chart {
  constructor(box) {
    this.box = box;
    this.times = [];
    this.values = SERIES.map(() => []);
    this.plot = null;
    new ResizeObserver(() => this.resize()).observe(box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  // What the server counted while nobody looked; the points we have of later stay.
  begin(moments) {
    const past = moments.map((moment) => Date.parse(moment.at) / 1000);
    const last = past.at(-1) ?? -Infinity;
    const later = this.times.findIndex((at) => at > last);
    const from = later < 0 ? this.times.length : later;
    this.times = [...past, ...this.times.slice(from)];
    this.values = SERIES.map(({ key }, at) => [
      ...moments.map((moment) => moment[key] ?? null),
      ...this.values[at].slice(from),
    ]);
    this.draw();
  }

  add(at, point) {
    if (this.times.length && at <= this.times.at(-1)) return;
    this.times.push(at);
    SERIES.forEach(({ key }, index) => this.values[index].push(point[key] ?? null));
    while (this.times[0] < at - LENGTH) {
      this.times.shift();
      for (const values of this.values) values.shift();
    }
    if (this.plot) this.plot.setData([this.times, ...this.values]);
    else this.draw();
    this.tellNewest();
  }

  // With no pointer over the chart the legend shows the newest values.
  tellNewest() {
    if (this.plot.cursor.idx == null) this.plot.setLegend({ idx: this.times.length - 1 });
  }

  draw() {
    if (this.plot) this.plot.destroy();
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    const options = {
      width: this.width(),
      height: 170,
      cursor: { drag: { x: false, y: false } },
      scales: {
        x: { range: (_, __, newest) => [(newest ?? Date.now() / 1000) - LENGTH, newest ?? Date.now() / 1000] },
        y: { range: (_, __, most) => [0, Math.max(4, Math.ceil((most ?? 0) * 1.1))] },
      },
      axes: [
        { ...axis, size: 28, values: (_, splits) => splits.map((at) => clock(new Date(at * 1000)).slice(0, 5)), incrs: [60, 120, 300] },
        { ...axis, size: 36, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500] },
      ],
      series: [
        { label: "at", value: (_, at) => (at == null ? "–" : clock(new Date(at * 1000))) },
        ...SERIES.map((one) => ({
          label: one.label,
          stroke: colour(one.colour),
          dash: one.dash,
          width: one.width,
          points: { show: false },
          value: (_, value) => (value == null ? "–" : value),
        })),
      ],
    };
    this.plot = new uPlot(options, [this.times, ...this.values], this.box);
    this.tellNewest();
  }

  width() {
    return Math.max(240, Math.floor(this.box.clientWidth));
  }

  resize() {
    if (this.plot && this.plot.width !== this.width()) this.plot.setSize({ width: this.width(), height: 170 });
  }
}
