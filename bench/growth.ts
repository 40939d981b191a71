import { parseArgs } from 'node:util';
import pg from 'pg';
import { callsOf } from './calls.ts';
import { between, perOperation, type Usage } from './cpu.ts';
import { measure } from './load.ts';
import { buildScene, type Scene } from './scene.ts';

/** Whether an action costs more where there are many: CPU at some thousand stored actions beside that at a million. */
const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    rounds: { type: 'string', default: '3' },
    few: { type: 'string', default: '10000' },
    many: { type: 'string', default: '1000000' },
  },
});
const say = (line: string) => process.stdout.write(`${line}\n`);
const CONCURRENCY = 16;
/** What an answer leaves to be done is charged to its round. */
const TAIL_MS = 1_000;

/** Columns that are each row's own; all others are as in the row that is copied. */
const own: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  actions: {
    action_id: `'act_' || md5('grown' || n)`,
    workflow_id: `'action/default/k:grown-' || n`,
    created_at: `now() - n * interval '1 second'`,
    remember_until: `now() - n * interval '1 second'`,
  },
  audit: { ts: `now() - n * interval '1 second'`, action_id: `'act_' || md5('grown' || n)`, id: '' },
};

/** Copies the latest row of a table until it has so many. */
async function grow(db: pg.Client, table: string, count: number): Promise<void> {
  const { rows } = await db.query<{ name: string }>(
    `select column_name as name from information_schema.columns
     where table_name = $1 and is_generated = 'NEVER' order by ordinal_position`,
    [table],
  );
  const mine = own[table] ?? {};
  const names = rows.map(({ name }) => name).filter((name) => mine[name] !== '');
  const values = names.map((name) => mine[name] ?? `one.${name}`);
  const {
    rows: [there],
  } = await db.query<{ count: string }>(`select count(*) as count from ${table}`);
  const from = Number(there?.count ?? 0);
  await db.query(`
    insert into ${table} (${names.join(', ')})
    select ${values.join(', ')} from (select * from ${table} where agent_id = 'bench' limit 1) one,
           generate_series(${from}, ${count}) n on conflict do nothing`);
  await db.query(`vacuum analyze ${table}`);
}

async function size(db: pg.Client): Promise<number> {
  const { rows } = await db.query<{ size: string }>('select pg_database_size(current_database()) as size');
  return Number(rows[0]?.size ?? 0);
}

async function countActions(db: pg.Client): Promise<number> {
  const { rows } = await db.query<{ count: string }>('select count(*) as count from actions');
  return Number(rows[0]?.count ?? 0);
}

async function cost(scene: Scene): Promise<Usage> {
  const { action } = callsOf(scene);
  await measure(action, { concurrency: CONCURRENCY, seconds: 3 });
  const rounds: Usage[] = [];
  for (let n = 0; n < Number(options.rounds); n += 1) {
    const before = await scene.usage();
    const { done } = await measure(action, { concurrency: CONCURRENCY, seconds: Number(options.seconds) });
    await new Promise((resolve) => setTimeout(resolve, TAIL_MS));
    rounds.push(perOperation(between(before, await scene.usage()), done));
  }
  return rounds.sort((a, b) => totalOf(a) - totalOf(b))[Math.floor(rounds.length / 2)] ?? {};
}

const counted = ['product', 'Temporal', 'PostgreSQL', 'Redis'];
const totalOf = (usage: Usage): number => counted.reduce((sum, name) => sum + (usage[name] ?? 0), 0);
const told = (usage: Usage): string =>
  `${totalOf(usage).toFixed(1)} ms (${counted.map((name) => `${name} ${(usage[name] ?? 0).toFixed(1)}`).join(', ')})`;

const scene = await buildScene({ say });
const db = new pg.Client({ connectionString: scene.databaseUrl });
try {
  await db.connect();
  await callsOf(scene).action();
  const found: Usage[] = [];
  for (const count of [Number(options.few), Number(options.many)]) {
    for (const table of Object.keys(own)) await grow(db, table, count);
    const [before, madeBefore] = [await size(db), await countActions(db)];
    const usage = await cost(scene);
    const bytes = ((await size(db)) - before) / Math.max(1, (await countActions(db)) - madeBefore);
    say(`${count} stored actions: ${(bytes / 1024).toFixed(1)} KiB of database an action`);
    say(`${count} stored actions and lines: ${told(usage)} CPU an action`);
    found.push(usage);
  }
  const [few, many] = found.map(totalOf);
  say(`ratio ${((many ?? 0) / (few ?? 1)).toFixed(2)} (goal: within 1.10)`);
} finally {
  await db.end();
  await scene.close();
}
