import type { Step } from './compare.ts';

const WIDTH = 640;
const HEIGHT = 300;
const MARGIN = { left: 64, right: 64, top: 40, bottom: 44 };
const INNER = { width: WIDTH - MARGIN.left - MARGIN.right, height: HEIGHT - MARGIN.top - MARGIN.bottom };
const TICKS = 4;

interface Curve {
  readonly title: string;
  readonly colour: string;
  readonly side: 'left' | 'right';
  readonly values: readonly number[];
}

/** The next of 1, 2, 5, 10, 20 … above: an axis that ends there reads well. */
function roundUp(value: number): number {
  const unit = 10 ** Math.floor(Math.log10(Math.max(value, 1e-9)));
  return unit * ([1, 2, 5, 10].find((step) => step * unit >= value) ?? 10);
}

const text = (x: number, y: number, said: string, anchor: 'start' | 'middle' | 'end', colour = '#444'): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" fill="${colour}">${said}</text>`;

function drawn({ title, colour, side, values }: Curve): string[] {
  const top = roundUp(Math.max(...values));
  const x = (n: number) => MARGIN.left + (INNER.width * n) / Math.max(1, values.length - 1);
  const y = (value: number) => MARGIN.top + INNER.height * (1 - value / top);
  const points = values.map((value, n) => `${x(n).toFixed(1)},${y(value).toFixed(1)}`);
  const isLeft = side === 'left';
  const edge = isLeft ? MARGIN.left - 8 : WIDTH - MARGIN.right + 8;
  const anchor = isLeft ? 'end' : 'start';
  const marks = Array.from({ length: TICKS + 1 }, (_, n) => (top * n) / TICKS);
  return [
    ...marks.map((mark) => text(edge, y(mark) + 4, String(Number(mark.toPrecision(3))), anchor, colour)),
    text(isLeft ? 12 : WIDTH - 12, 20, title, isLeft ? 'start' : 'end', colour),
    `<polyline points="${points.join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>`,
    ...points.map((point) => {
      const [cx, cy] = point.split(',');
      return `<circle cx="${cx}" cy="${cy}" r="3.5" fill="${colour}"/>`;
    }),
  ];
}

/** Throughput and p99 of a work against the number of its callers, each with an axis of its own. A picture of one file, and no library. */
export function plot(work: string, steps: readonly Step[]): string {
  const curves: readonly Curve[] = [
    { title: 'a second', colour: '#1f6feb', side: 'left', values: steps.map(({ perSecond }) => perSecond) },
    { title: 'p99, ms', colour: '#c2410c', side: 'right', values: steps.map(({ p99 }) => p99) },
  ];
  const bottom = HEIGHT - MARGIN.bottom;
  const x = (n: number) => MARGIN.left + (INNER.width * n) / Math.max(1, steps.length - 1);
  const lines = Array.from({ length: TICKS + 1 }, (_, n) => bottom - (INNER.height * n) / TICKS).map(
    (at) => `<line x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${at}" y2="${at}" stroke="#ddd"/>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<title>Throughput and p99 of a ${work} against its callers</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    ...lines,
    ...steps.map(({ concurrency }, n) => text(x(n), bottom + 18, String(concurrency), 'middle')),
    text(WIDTH / 2, HEIGHT - 8, `callers of a ${work} at once`, 'middle'),
    ...curves.flatMap(drawn),
    '</svg>',
    '',
  ].join('\n');
}
