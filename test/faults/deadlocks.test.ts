import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fail, hangUp, ok } from '../../src/dev/behaviours.ts';
import type { Behaviour } from '../../src/dev/receiver.ts';
import type { Answer } from '../stack/rest.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';
import { callsOf, eventually, ledgerOf } from './scene.ts';

const FOR_MS = 10_000;
/** Of each kind of writer. */
const ABREAST = 5;

let world: World;
beforeAll(async () => {
  world = await buildWorld({ roles: ['api', 'worker'], env: { RECONCILE_SECONDS: '1' } });
});
afterAll(() => world.close());

const approvalOf = (action: string) => action.replace('act_', 'apr_');
type Ruling = 'approve' | 'deny';
const decide = (action: string, how: Ruling) =>
  world.rest.post(`/v1/approvals/${approvalOf(action)}/${how}`, { reason: how });
const turn = (agent: string, how: 'disable' | 'enable') => world.rest.post(`/v1/agents/${agent}/${how}`, {});

interface Row {
  readonly action_id: string;
  readonly agent_id: string;
  readonly tool: string;
  readonly status: string;
  readonly reason: string;
  readonly dollars: number;
}
async function rowsOf(agents: readonly string[]): Promise<Row[]> {
  const rows = await world.query(
    `select action_id, agent_id, tool, status, policy_reason as reason, spend_micros::float8 / 1e6 as dollars from actions where agent_id = any($1)`,
    [agents],
  );
  return rows as unknown as Row[];
}

const countBy = (texts: readonly string[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const text of texts) counts[text] = (counts[text] ?? 0) + 1;
  return counts;
};

/** What tools that may not be called twice have done: once where it was executed, nothing where it was refused. */
function expectSingleEffects(rows: readonly Row[]): void {
  for (const { action_id, tool, status } of rows) {
    const effects = world.receiver.effects.get(action_id) ?? 0;
    const allowed = { executed: [1], in_doubt: [0, 1], blocked: [0], failed: [0] }[status] ?? [];
    expect([action_id, tool, status, allowed]).toEqual([action_id, tool, status, expect.arrayContaining([effects])]);
  }
}

/** Refuses the first attempt of each call for a second. */
function busyOnce(): Behaviour {
  const seen = new Set<string>();
  const work = ok();
  return (call, n) => {
    if (seen.has(call.idempotencyKey)) return work(call, n);
    seen.add(call.idempotencyKey);
    return { status: 429, headers: { 'retry-after': '1' } };
  };
}

/** The trail of each action, in the order in which it was written. */
async function trailOf(agents: readonly string[]): Promise<Array<{ action: string; types: string[] }>> {
  const rows = await world.query(
    `select action_id as action, array_agg(type order by id) as types from audit
     where agent_id = any($1) and action_id is not null and detail ->> 'repeat' is null group by action_id`,
    [agents],
  );
  return rows as Array<{ action: string; types: string[] }>;
}

/** An action is let through once at the most, and never once it is blocked; what has ended ends once, but for a doubt. */
function expectOneEnd(trail: ReadonlyArray<{ action: string; types: string[] }>): void {
  for (const { action, types } of trail) {
    // Of an unknown tool there is no action.
    if (types.every((type) => type === 'tool_not_found')) continue;
    const admitted = types.filter((type) => type === 'action_admitted').length;
    const isAdmittedLate = types.lastIndexOf('action_admitted') > types.indexOf('action_blocked');
    if (admitted > 1 || (types.includes('action_blocked') && admitted > 0 && isAdmittedLate))
      expect.fail(`${action}: ${types.join(', ')}`);
    const ends = types.filter((type) => /^action_(executed|failed|blocked)$/.test(type));
    if (ends.length !== 1 && !types.includes('action_in_doubt')) expect.fail(`${action}: ${types.join(', ')}`);
  }
}

/** Counted when a session ends, at the latest. */
async function deadlocksOnceAllIsClosed(): Promise<unknown> {
  for (const role of ['api', 'worker'] as const) await world.kill(role, 'SIGTERM');
  // All that is left are the two connections of the test itself.
  await eventually(async () => {
    const [open] = await world.query(
      `select count(*)::integer as sessions from pg_stat_activity
       where datname = current_database() and backend_type = 'client backend'`,
    );
    expect(open?.sessions).toBeLessThanOrEqual(2);
  });
  const [row] = await world.query('select deadlocks::integer from pg_stat_database where datname = current_database()');
  return row?.deadlocks;
}

test('of an approval and a switch at the same moment nothing is left over, whichever comes first', async () => {
  const tool = await world.tool('refund', ok());
  const agents = Array.from({ length: 100 }, (_, n) => unique(`agent${n}`));
  const next = agents.values();
  const actions: string[] = [];
  const statuses: number[] = [];
  const race = async () => {
    for (const agent of next) {
      await world.rest.post(`/v1/policies/${agent}`, { require_approval: [tool], max_spend_usd_per_day: 5 });
      const { body } = await world.run({ agent_id: agent, tool, args: { agent }, spend_usd: 5 });
      expect(body.decision).toBe('pending');
      actions.push(body.action_id);
      // The switch comes in the same moment, or while the approved call is on its way.
      const later = 40 * (actions.length % 40);
      const answers = await Promise.all([
        decide(body.action_id, 'approve'),
        sleep(later).then(() => turn(agent, 'disable')),
      ]);
      statuses.push(...answers.map(({ status }) => status));
    }
  };
  await Promise.all(Array.from({ length: 10 }, race));
  expect(statuses.filter((status) => status !== 200 && status !== 409)).toEqual([]);

  await eventually(async () => {
    const open = (await rowsOf(agents)).filter(({ status }) => /^(running|waiting_approval)$/.test(status));
    expect(open).toEqual([]);
  });
  const rows = await rowsOf(agents);
  expect(rows).toHaveLength(agents.length);
  console.info(JSON.stringify(countBy(rows.map(({ status, reason }) => `${status} ${reason}`))));
  for (const { agent_id, action_id, status } of rows) {
    expect(['executed', 'blocked']).toContain(status);
    expect([action_id, status, await ledgerOf(world, agent_id)]).toEqual([
      action_id,
      status,
      { held: 0, spent: status === 'executed' ? 5 : 0 },
    ]);
    const counted = await world.query(
      'select (select sum(n) from unnest(hour_actions) as n)::integer as counted from agent_days where agent_id = $1',
      [agent_id],
    );
    expect([action_id, counted]).toEqual([action_id, [{ counted: status === 'executed' ? 1 : 0 }]]);
    expect((await world.rest.get(`/v1/approvals/${approvalOf(action_id)}`)).body.status).not.toBe('pending');
  }
  expectOneEnd(await trailOf(agents));
  expectSingleEffects(rows);
  expect(callsOf(world, tool)).toHaveLength(rows.filter(({ status }) => status === 'executed').length);
});

test('all writers of one agent against each other: no fault, no deadlock, and the money adds up', async () => {
  const agent = unique('agent');
  const tools = {
    ok: await world.tool('ok', ok()),
    fails: await world.tool('fails', fail(400)),
    busy: await world.tool('busy', busyOnce(), { idempotent: true }),
    lost: await world.tool('lost', hangUp('before_answer')),
    asked: await world.tool('asked', ok()),
    toggled: await world.tool('toggled', ok()),
  };
  const policy = (n: number) => ({ require_approval: [tools.asked], max_actions_per_hour: 100_000 + n });
  await world.rest.post(`/v1/policies/${agent}`, policy(0));
  const answers: Array<[string, Answer]> = [];
  const heard = async (what: string, asking: Promise<Answer>): Promise<Answer> => {
    const answer = await asking;
    answers.push([what, answer]);
    return answer;
  };
  const spend_usd = 0.25;
  const call = (tool: string, args: object, fields: object = {}) =>
    world.run({ agent_id: agent, tool, args, spend_usd, wait: 5, ...fields });
  const name = unique('writer');

  /** What was ended closes in its own time: on a slow machine that may be later than the API waits. */
  const onceClosed = async (ask: () => Promise<Answer>): Promise<Answer> => {
    let answer = await ask();
    for (let tries = 1; tries < 10 && answer.body.detail?.error === 'unavailable'; tries += 1) answer = await ask();
    return answer;
  };

  let asked = 0;
  const writers: Record<string, (n: string, count: number) => Promise<unknown>> = {
    executes: (n) => heard('executes', call(tools.ok, { n })),
    fails: (n) => heard('fails', call(tools.fails, { n })),
    unknown: (n) => heard('unknown', call('nobody.knows', { n })),
    replays: (_n, count) => heard('replays', call(tools.ok, { n: count % 7 })),
    'replays by key': (_n, count) =>
      heard('replays by key', call(tools.ok, { by: 'key' }, { idempotency_key: `${name}/${count % 7}` })),
    retries: (n) => heard('retries', call(tools.busy, { n })),
    doubts: async (n) => {
      const { body } = await heard('doubts', call(tools.lost, { n }));
      if (body.decision !== 'in_doubt') return;
      const outcome = n.length % 2 === 0 ? 'executed' : 'not_executed';
      const said = world.rest.post(`/v1/actions/${body.action_id}/resolve`, { outcome });
      if (Math.random() < 0.7) await heard('resolves', said);
      else await said;
    },
    decides: async (n) => {
      const { body } = await heard('asks', call(tools.asked, { n }, { wait: undefined }));
      if (body.decision !== 'pending') return;
      // In turn, however few come to be asked: the first to be sent is mostly the one that decides.
      asked += 1;
      const hows: Ruling[] = asked % 2 === 0 ? ['deny', 'approve', 'deny'] : ['approve', 'deny', 'approve'];
      await Promise.all(hows.map((how) => heard(how, decide(body.action_id, how))));
    },
    switches: async () => {
      await sleep(1_000 * Math.random());
      await heard('disables', turn(agent, 'disable'));
      await heard('enables', turn(agent, 'enable'));
    },
    rules: (_n, count) => heard('rules', world.rest.post(`/v1/policies/${agent}`, policy(count % 5))),
    toggles: async (n) => {
      await heard('toggles', world.rest.post(`/v1/tools/${tools.toggled}/toggle`, { enabled: false }));
      await heard('of a tool that is toggled', call(tools.toggled, { n }));
      await heard('toggles', world.rest.post(`/v1/tools/${tools.toggled}/toggle`, { enabled: true }));
      await heard('of a tool that is toggled', call(tools.toggled, { n: `${n} once more` }));
    },
    runs: async (n) => {
      const key = `${name}/run/${n}`;
      const actions = [tools.ok, tools.busy, tools.toggled].map((tool) => ({ tool, args: { n }, spend_usd }));
      const metadata = { agent_id: agent, actions };
      const { body } = await heard('runs', world.rest.post('/v1/ai/run', { key, ttl: 60, metadata }));
      if (Math.random() < 0.5)
        await heard('cancels', world.rest.post('/v1/ai/cancel', { key, lease_id: body.lease_id }));
      const again = () => world.rest.post('/v1/ai/run', { key, ttl: 60, metadata, retry_failed: true });
      await heard('runs', onceClosed(again));
    },
    leases: async (_n, count) => {
      const key = `${name}/lease/${count % 3}`;
      const lease = () => world.rest.post('/v1/ai/lease', { key, ttl: 60 });
      const { body } = await heard('leases', onceClosed(lease));
      if (body.status !== 'acquired') return;
      const held = { key, lease_id: body.lease_id };
      await Promise.all([
        heard('extends', world.rest.post('/v1/ai/extend', held)),
        heard('cancels', world.rest.post('/v1/ai/cancel', held)),
      ]);
    },
  };

  const until = Date.now() + FOR_MS;
  const has = (what: string) => answers.some(([name, { status }]) => name === what && status === 200);
  // On a slow machine few calls come to be asked: longer, until a person has said both.
  const isToGoOn = () => Date.now() < until || (Date.now() < until + 50_000 && !(has('approve') && has('deny')));
  // One switch is enough: more of them keep the agent disabled, and nothing happens.
  await Promise.all(
    Object.values(writers).flatMap((write, kind) =>
      Array.from({ length: write === writers.switches ? 1 : ABREAST }, async (_, of) => {
        for (let count = 0; isToGoOn(); count += 1) await write(`${kind}/${of}/${count}`, count);
      }),
    ),
  );
  const statuses = countBy(answers.map(([what, { status }]) => `${what} ${status}`));
  console.info(JSON.stringify(statuses));
  const faults = answers.filter(([, { status }]) => status >= 500);
  expect(faults.map(([what, { status, body }]) => [what, status, body.detail?.error])).toEqual([]);
  const usual = /^(unknown 404|(approve|deny|extends|cancels|resolves) (200|409)|.* (200|202))$/;
  expect(Object.keys(statuses).filter((what) => !usual.test(what))).toEqual([]);
  // Each of them had its turn.
  const turns = ['executes 200', 'fails 200', 'unknown 404', 'approve 200', 'deny 200', 'disables 200', 'cancels 200'];
  expect(turns.filter((what) => statuses[what] === undefined)).toEqual([]);

  // The dust settles: whatever still waits for a person is denied.
  await turn(agent, 'enable');
  await eventually(async () => {
    const waiting = (await world.rest.get(`/v1/approvals?status=pending&agent_id=${agent}&limit=1000`)).body;
    for (const { action_id } of waiting) await decide(action_id, 'deny');
    const rows = await world.query(
      `select status, count(*)::integer from actions where agent_id = $1
         and status in ('running', 'waiting_approval') group by status`,
      [agent],
    );
    expect(rows).toEqual([]);
  }, 90_000);
  await eventually(async () => {
    const held = await world.query(`select key from leases where state = 'held' and key like $1`, [`${name}/run/%`]);
    expect(held).toEqual([]);
  });

  const rows = await rowsOf([agent]);
  console.info(JSON.stringify(countBy(rows.map(({ status }) => status))));
  const sumOf = (status: string) =>
    rows.filter((row) => row.status === status).reduce((total, { dollars }) => total + dollars, 0);
  expect(await ledgerOf(world, agent)).toEqual({ held: sumOf('in_doubt'), spent: sumOf('executed') });
  expectOneEnd(await trailOf([agent]));
  // One whose answer was lost has done its work, whatever was said of it.
  expectSingleEffects(rows.filter(({ tool }) => tool !== tools.lost));
  expect(await deadlocksOnceAllIsClosed()).toBe(0);
}, 240_000);
