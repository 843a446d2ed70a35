/** Draws the course of two runs as an SVG: panels one below the other over one time axis, a line per run. */

/** A line: `[seconds, value]`, a value of NaN breaks it. */
export interface Line {
  readonly name: string;
  readonly color: string;
  readonly points: readonly (readonly [number, number])[];
}

/** One panel. */
export interface Panel {
  readonly title: string;
  readonly lines: readonly Line[];
  /** A horizontal line with a name. */
  readonly limit?: { readonly name: string; readonly value: number };
}

/** A span of time that is shaded, or (without `to`) a moment that is marked. */
export interface Mark {
  readonly name: string;
  readonly from: number;
  readonly to?: number;
  readonly color: string;
}

const WIDTH = 900;
const LEFT = 70;
const RIGHT = 20;
const TOP = 66;
const PANEL = 120;
const GAP = 34;
const INNER = WIDTH - LEFT - RIGHT;

/** The drawing. */
export function drawPlot(title: string, panels: readonly Panel[], marks: readonly Mark[]): string {
  const height = TOP + panels.length * (PANEL + GAP) + 20;
  const lastS = Math.max(
    ...panels.flatMap(({ lines }) => lines.flatMap(({ points }) => points.map(([s]) => s))),
  );
  const x = (seconds: number): number => LEFT + (seconds / lastS) * INNER;
  const body = panels.map((panel, index) => drawPanel(panel, TOP + index * (PANEL + GAP), x));
  const bottom = TOP + panels.length * (PANEL + GAP) - GAP;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="11">`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    `<text x="${LEFT}" y="18" font-size="14" font-weight="bold">${escape(title)}</text>`,
    ...legend(panels[0]?.lines ?? []),
    ...marks.map((mark) => drawMark(mark, x, bottom)),
    ...body,
    ...timeAxis(lastS, x, bottom),
    '</svg>\n',
  ].join('\n');
}

function drawPanel({ title, lines, limit }: Panel, top: number, x: (s: number) => number): string {
  const values = lines.flatMap(({ points }) => points.map(([, value]) => value)).filter(Number.isFinite);
  const most = niceCeiling(Math.max(limit?.value ?? 0, ...values, 1));
  const y = (value: number): number => top + PANEL - (value / most) * PANEL;
  const grid = [0, 0.5, 1].map((share) => {
    const at = y(share * most);
    const label = `<text x="${LEFT - 6}" y="${at + 4}" text-anchor="end" fill="#555">${short(share * most)}</text>`;
    return `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at}" y2="${at}" stroke="#ddd"/>${label}`;
  });
  const bound =
    limit === undefined
      ? ''
      : `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(limit.value)}" y2="${y(limit.value)}" stroke="#888" stroke-dasharray="5 4"/>` +
        `<text x="${WIDTH - RIGHT}" y="${y(limit.value) - 4}" text-anchor="end" fill="#555">${escape(limit.name)}</text>`;
  const paths = lines.map(
    ({ color, points }) =>
      `<path d="${pathOf(points, x, y)}" fill="none" stroke="${color}" stroke-width="1.6" stroke-linejoin="round"/>`,
  );
  return [
    `<text x="${LEFT}" y="${top - 8}" font-weight="bold">${escape(title)}</text>`,
    ...grid,
    bound,
    ...paths,
  ].join('\n');
}

function pathOf(points: Line['points'], x: (s: number) => number, y: (value: number) => number): string {
  let pen = 'M';
  let path = '';
  for (const [seconds, value] of points) {
    if (Number.isFinite(value)) path += `${pen}${x(seconds).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = Number.isFinite(value) ? 'L' : 'M';
  }
  return path;
}

function drawMark({ name, from, to, color }: Mark, x: (s: number) => number, bottom: number): string {
  const label = `<text x="${x(from) + 3}" y="${TOP - 28}" fill="${color}">${escape(name)}</text>`;
  if (to === undefined) {
    return `<line x1="${x(from)}" x2="${x(from)}" y1="${TOP - 24}" y2="${bottom}" stroke="${color}" stroke-dasharray="2 3"/>${label}`;
  }
  return `<rect x="${x(from)}" y="${TOP - 24}" width="${x(to) - x(from)}" height="${bottom - TOP + 24}" fill="${color}" opacity="0.12"/>${label}`;
}

function legend(lines: readonly Line[]): string[] {
  return lines.map(({ name, color }, index) => {
    const at = WIDTH - RIGHT - 110 * (lines.length - index);
    return `<line x1="${at}" x2="${at + 18}" y1="14" y2="14" stroke="${color}" stroke-width="3"/><text x="${at + 23}" y="18">${escape(name)}</text>`;
  });
}

function timeAxis(lastS: number, x: (s: number) => number, bottom: number): string[] {
  const step = niceCeiling(lastS / 10);
  const ticks = Array.from({ length: Math.floor(lastS / step) + 1 }, (_, i) => i * step);
  return ticks.map(
    (s) => `<text x="${x(s)}" y="${bottom + 16}" text-anchor="middle" fill="#555">${s} s</text>`,
  );
}

/** The next of 1, 2, 2.5, 5 times a power of ten. */
function niceCeiling(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 2, 2.5, 5].find((factor) => factor * power >= value) ?? 10);
}

function short(value: number): string {
  if (value >= 1_000_000) return `${Number((value / 1_000_000).toPrecision(3))} M`;
  return value >= 1_000
    ? `${Number((value / 1_000).toPrecision(3))} k`
    : String(Number(value.toPrecision(3)));
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
