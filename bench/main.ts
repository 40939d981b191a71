import { writeFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { type Measured, measure, median } from './load.ts';
import { type MemoryReport, watchMemory } from './memory.ts';
import { type Row, rowsOf } from './rows.ts';
import { buildScene } from './scene.ts';

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '8' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string' },
    memory: { type: 'string', default: '0' },
    write: { type: 'boolean', default: false },
  },
});
const say = (line: string) => process.stdout.write(`${line}\n`);

interface Result {
  readonly row: Row;
  readonly ours: Measured;
  readonly baseline: Measured;
}

/** Ours and the baseline take turns, so that both see the machine in the same state. */
async function compare(row: Row): Promise<Result> {
  const load = { concurrency: row.concurrency, seconds: Number(options.seconds) };
  await measure(row.ours, { ...load, seconds: 2 });
  await measure(row.baseline, { ...load, seconds: 2 });
  const ours: Measured[] = [];
  const baseline: Measured[] = [];
  for (let round = 0; round < Number(options.rounds); round += 1) {
    ours.push(await measure(row.ours, load));
    baseline.push(await measure(row.baseline, load));
  }
  return { row, ours: median(ours), baseline: median(baseline) };
}

const figures = ({ perSecond, p50, p99 }: Measured) =>
  `${perSecond.toFixed(0)}/s, p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`;

function lineOf({ row, ours, baseline }: Result): string {
  const ratio = ours.perSecond / baseline.perSecond;
  const reached = ratio >= row.goal ? 'yes' : 'not yet';
  return `| ${row.work} | ${row.against} | ${figures(ours)} | ${figures(baseline)} | **${ratio.toFixed(2)}** | ${row.goal} | ${reached} |`;
}

const head = [
  '| work | measured against | ours | baseline | ratio | goal | reached |',
  '| --- | --- | --- | --- | --- | --- | --- |',
];

/** Locks, duplicates, leases and actions in turn: what an API with its worker does all day. */
const mixed = (rows: readonly Row[]): (() => Promise<void>) => {
  let n = 0;
  return async () => {
    n += 1;
    await rows[n % rows.length]?.ours();
  };
};

const memoryLine = ({ minutes, done, afterWarmUp, atTheEnd, highest }: MemoryReport) =>
  `Memory of API and worker (one process) over ${minutes} minutes and ${done} mixed calls: ${afterWarmUp.toFixed(0)} MiB after warm-up, ` +
  `${atTheEnd.toFixed(0)} MiB at the end (ratio ${(atTheEnd / afterWarmUp).toFixed(2)}), ${highest.toFixed(0)} MiB at the highest.`;

const scene = await buildScene(say);
try {
  const rows = await rowsOf(scene);
  const results: Result[] = [];
  for (const row of rows) {
    if (options.only !== undefined && !`${row.work} ${row.against}`.includes(options.only)) continue;
    const result = await compare(row);
    results.push(result);
    say(lineOf(result));
  }
  const table = [...head, ...results.map(lineOf)].join('\n');
  const minutes = Number(options.memory);
  const memory = minutes > 0 ? memoryLine(await watchMemory(scene.product.pid, mixed(rows), minutes)) : '';
  say(`\n${table}\n\n${memory}`);
  if (options.write) await writeFile('docs/performance.md', page(table, memory));
} finally {
  await scene.close();
}

function page(table: string, memory: string): string {
  const machine = `${cpus().length} cores (${cpus()[0]?.model.trim()}), ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`;
  return `# Performance

Measured by \`npm run bench -- ${process.argv.slice(2).join(' ')}\` on ${new Date().toISOString().slice(0, 10)}: ${machine}. Load generator,
API with worker, Temporal, PostgreSQL and Redis share these cores. 32 callers; ours and its baseline take turns of ${options.seconds} s, ${options.rounds} times,
and the middle round counts. Only the ratios mean something elsewhere.

${table}

${memory}
`;
}
