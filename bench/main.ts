import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { callsOf } from './calls.ts';
import { compare, type Result, type Step, sweep } from './compare.ts';
import { memoryLine, watchMemory } from './memory.ts';
import { type Measurements, report, writePage } from './page.ts';
import { idleUsage, untilQuiet } from './quiet.ts';
import { type Row, rowsOf } from './rows.ts';
import { buildScene, type Scene } from './scene.ts';
import { costs, ratios } from './tables.ts';
import { yardstick } from './yardstick.ts';

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '5' },
    /** Rows whose name holds this; their baselines with them. */
    only: { type: 'string' },
    /** No baselines: what ours costs. */
    alone: { type: 'boolean', default: false },
    /** Minutes of mixed calls under which memory is watched. */
    memory: { type: 'string', default: '0' },
    /** A folder for the CPU profile of the product. */
    profile: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
});
const say = (line: string) => process.stdout.write(`${line}\n`);
const seconds = Number(options.seconds);

function chosenRows(scene: Scene): Row[] {
  const { only } = options;
  const rows = rowsOf(scene).filter(({ work }) => only === undefined || work.includes(only));
  return options.alone ? rows.map((row) => ({ ...row, baselines: [] })) : rows;
}

/** Locks, duplicates, leases and actions in turn: what an API with its worker does all day. */
function mixed(scene: Scene): () => Promise<void> {
  const { action, replay, lease, lock, blockedTool } = callsOf(scene);
  const calls = [action, replay, lease, lock(60), blockedTool];
  let n = 0;
  return async () => {
    n += 1;
    await calls[n % calls.length]?.();
  };
}

async function measureAll(scene: Scene): Promise<Measurements> {
  const loadBefore = loadavg();
  const idle = await idleUsage(scene);
  const results: Result[] = [];
  const steps: Step[] = [];
  const unquiet: string[] = [];
  const yardsticks: number[] = [];
  for (const row of chosenRows(scene)) {
    if (!(await untilQuiet(scene, idle))) unquiet.push(row.work);
    yardsticks.push(yardstick());
    const result = await compare(scene, row, { seconds, rounds: Number(options.rounds), idle });
    results.push(result);
    say(`${costs([result])}\n`);
    if (result.baselines.length > 0) say(`${ratios([result])}\n`);
    if (row.sweeps && !options.alone) steps.push(...(await sweep(row.ours, seconds)));
  }
  yardsticks.push(yardstick());
  const minutes = Number(options.memory);
  const memory = minutes > 0 ? memoryLine(await watchMemory(scene.pids.product, mixed(scene), minutes)) : '';
  const command = ['npm run bench --', ...process.argv.slice(2)].join(' ');
  const rounds = Number(options.rounds);
  return { command, seconds, rounds, idle, loadBefore, yardsticks, results, sweep: steps, memory, unquiet };
}

const scene = await buildScene({ say, profile: options.profile });
try {
  const made = await measureAll(scene);
  say(report(made));
  if (options.write) await writePage(made);
} finally {
  await scene.close();
}
