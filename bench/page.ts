import { readFile, writeFile } from 'node:fs/promises';
import { cpus, loadavg, totalmem } from 'node:os';
import type { Result, Step } from './compare.ts';
import type { Usage } from './cpu.ts';
import { plot } from './plot.ts';
import { costs, latencies, ratios, steps as stepsTable } from './tables.ts';

const PAGE = 'docs/performance.md';
const PLOT = 'docs/performance.svg';
/** What is above is measured; what is below is kept as people wrote it. */
const LOG = '## Log';

export interface Measurements {
  readonly command: string;
  readonly seconds: number;
  readonly rounds: number;
  /** CPU milliseconds a second of each process while nothing is asked. */
  readonly idle: Usage;
  readonly loadBefore: readonly number[];
  /** CPU milliseconds of a fixed piece of work, before each row. */
  readonly yardsticks: readonly number[];
  readonly results: readonly Result[];
  readonly sweep: readonly Step[];
  readonly memory: string;
  /** Rows that began although the one before had not become quiet. */
  readonly unquiet: readonly string[];
}

const loads = (values: readonly number[]): string => values.map((value) => value.toFixed(1)).join(', ');

const idleOf = (idle: Usage): string =>
  Object.entries(idle)
    .filter(([name]) => name !== 'load')
    .map(([name, used]) => `${name} ${used.toFixed(0)}`)
    .join(', ');

/** What was measured, as it is told on the terminal and on the page. */
export function report(made: Measurements): string {
  const { command, seconds, rounds, idle, loadBefore, yardsticks, results, sweep, memory, unquiet } = made;
  const machine = `${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`;
  return `Measured by \`${command}\` on ${new Date().toISOString().slice(0, 10)}: ${machine}; load of the machine (1, 5, 15 minutes) ${loads(loadBefore)} before and
${loads(loadavg())} after, other work included. Load generator, tool, API with worker, Temporal, PostgreSQL and Redis are processes of their own and share these cores. All
contenders of a row take turns of ${seconds} s, ${rounds} times, and the middle round counts. Before a row the locks of the one before have ended, and the processes are as quiet
as at the start (CPU ms a second: ${idleOf(idle)}).${unquiet.length > 0 ? ` Not so before: ${unquiet.join('; ')}.` : ''}
A fixed piece of work (SHA-256 of 64 MiB) took ${Math.min(...yardsticks).toFixed(0)} to ${Math.max(...yardsticks).toFixed(0)} ms of CPU before the rows: as far as this swings, so do the figures of CPU.

## Ratios
Throughput, ours and the baseline's in the same run. Only these mean something elsewhere.

${ratios(results)}

## Cost
CPU milliseconds an operation, from \`/proc\`, children included; \`product\` is API and worker in one process, or in a line in italics the baseline's own. What an answer
leaves to be done for half a second is charged to it. *Taken and expired* is measured until the last lock is gone, less what idle processes need meanwhile.

${costs(results)}

## Latencies
Closed loop: each caller calls again when it was answered. Open loop: calls arrive on a schedule, at half of that throughput, and the time that a late one waited counts.

${latencies(results)}
${sweep.length > 0 ? `\n## Concurrency\nThe governed action, by so many callers in a closed loop, one round each.\n\n${stepsTable(sweep)}\n\n![Throughput and p99 against callers](performance.svg)\n` : ''}
## Memory
${memory}
`;
}

const NOTE = 'By `npm run bench -- --only none --memory 10`:';

/** Renews the page above its log, and the plot beside it. The memory of an earlier run stays where this one has not looked. */
export async function writePage(made: Measurements): Promise<void> {
  const old = await readFile(PAGE, 'utf8').catch(() => '');
  const at = old.indexOf(`\n${LOG}\n`);
  const log = at < 0 ? `\n${LOG}\n` : old.slice(at);
  const remembered = /\n## Memory\n([\s\S]*?)\n(?=\n## )/.exec(old)?.[1];
  const memory = made.memory === '' ? (remembered ?? `${NOTE} not measured yet.`) : made.memory;
  await writeFile(PAGE, `# Performance\n\n${report({ ...made, memory })}${log}`);
  if (made.sweep.length > 0) await writeFile(PLOT, plot('governed action', made.sweep));
}
