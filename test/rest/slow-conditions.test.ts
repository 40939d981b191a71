import type { Client } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ok } from '../../src/dev/behaviours.ts';
import { actionWorkflowId } from '../../src/domain/workflow-id.ts';
import { actionThatIs, callsOf, eventually, temporalOf } from '../faults/scene.ts';
import type { Rest } from '../stack/rest.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

/** Whoever writes conditions that take long has them denied, and holds up nobody else. */
let world: World;
let client: Client;
let attacker: Rest & { readonly tenant: string };
beforeAll(async () => {
  world = await buildWorld();
  client = temporalOf(world);
  attacker = await world.tenant('attacker');
});
afterAll(async () => {
  await client.connection.close();
  await world.close();
});

const many = Array.from({ length: 5_000 }, (_, n) => n);
const numbers = `[${Array.from({ length: 90 }, (_, n) => n)}]`;
const zone = 'time.getHours("Europe/Berlin") + time.getMinutes("Asia/Tokyo") < 99';
const inMacros = (inner: string) => `${numbers}.all(x, ${numbers}.all(y, ${inner}))`;
const attacks: Array<[string, string[], Record<string, unknown>]> = [
  ['patterns that compile slowly, in macros', [inMacros('"a".matches("(a?){500}(" + string(y) + ")?")')], {}],
  ['a zone, in macros', [inMacros(zone)], {}],
  [
    'forty-five slow conditions',
    Array.from({ length: 45 }, (_, n) => `args.many.all(x, args.many.exists(y, y > ${n}.0 + x - x))`),
    { many },
  ],
  ['macros in macros over a long list', ['args.many.all(x, args.many.all(y, x + y >= 0.0))'], { many }],
  [
    'many zones',
    ['args.zones.all(z, args.many.all(x, time.getHours(z) < 99))'],
    { many, zones: Intl.supportedValuesOf('timeZone') },
  ],
  [
    'patterns out of the arguments',
    ['args.many.all(x, "a".matches(args.pattern + "(" + string(x) + ")?"))'],
    { many, pattern: '(a?){300}' },
  ],
  ['long texts', ['args.many.all(x, size(args.text + args.text) > 0)'], { many, text: 'x'.repeat(200_000) }],
];
const named = (expressions: string[]) => expressions.map((expression, n) => ({ name: `slow-${n}`, expression }));

async function toolOf(rest: Rest): Promise<string> {
  const tool = unique('tool');
  const url = world.receiver.endpoint(`/${tool}`, ok());
  const auth = { type: 'hmac_sha256', secret: 'a-secret-of-the-tests' };
  expect((await rest.post('/v1/tools', { name: tool, url, auth })).status).toBe(200);
  return tool;
}

const hasWorkflow = (workflowId: string): Promise<boolean> =>
  client.workflow
    .getHandle(workflowId)
    .describe()
    .then(
      () => true,
      () => false,
    );

/** Calls with a condition of its own, and leases: all of them answered as ever. */
async function liveOn(): Promise<void> {
  const [agent, tool] = [unique('agent'), await world.tool('refund', ok())];
  const small = { name: 'small', expression: 'args.amount <= 100 && time.getHours("Europe/Berlin") < 24' };
  expect((await world.rest.post(`/v1/policies/${agent}`, { conditions: [small] })).status).toBe(200);
  for (const amount of [1, 2, 3]) {
    expect((await world.run({ agent_id: agent, tool, args: { amount } })).body).toMatchObject({ decision: 'executed' });
    const denied = await world.run({ agent_id: agent, tool, args: { amount: 100 + amount } });
    expect(denied.body).toMatchObject({ decision: 'blocked', condition: 'small' });
    const lease = await world.rest.post('/v1/ai/lease', { key: unique('key'), ttl: 30 });
    expect(lease.body).toMatchObject({ status: 'acquired' });
  }
}

describe.each(attacks)('%s', (_, expressions, args) => {
  test('is denied on the record, opens no workflow, and holds up nobody else', async () => {
    const [agent, tool] = [unique('agent'), await toolOf(attacker)];
    const conditions = named(expressions);
    expect((await attacker.post(`/v1/policies/${agent}`, { conditions })).status).toBe(200);
    let outstanding = 0;
    const counted = async <T>(work: Promise<T>): Promise<T> => {
      outstanding += 1;
      return await work.finally(() => {
        outstanding -= 1;
      });
    };
    // As long as it takes: each is asked again until the neighbour has had its answers.
    let isOver = false;
    const calls = Array.from({ length: 3 }, async (_, n) => {
      const asked = { agent_id: agent, tool, args: { ...args, n } };
      const first = await counted(attacker.post('/v1/ai/run', asked));
      while (!isOver) await counted(attacker.post('/v1/ai/run', asked));
      return first;
    });
    const tried = Array.from({ length: 3 }, async (_, n) => {
      const asked = { policy: { conditions }, call: { tool, args: { ...args, n } } };
      const first = await counted(attacker.post(`/v1/policies/${agent}/simulate`, asked));
      while (!isOver) await counted(attacker.post(`/v1/policies/${agent}/simulate`, asked));
      return first;
    });
    await liveOn();
    expect(outstanding).toBeGreaterThan(0);
    isOver = true;

    for (const { status, body } of await Promise.all(calls)) {
      expect([status, body.decision, body.policy_reason]).toEqual([200, 'blocked', 'condition_not_met']);
      expect(body.condition).toMatch(/^slow-/);
      expect(await hasWorkflow(body.workflow_id)).toBe(false);
      const action = await attacker.get(`/v1/actions/${body.action_id}`);
      expect(action.body).toMatchObject({ status: 'blocked', policy_reason: 'condition_not_met', attempts: [] });
    }
    for (const { status, body } of await Promise.all(tried)) {
      expect([status, body.decision, body.policy_reason]).toEqual([200, 'blocked', 'condition_not_met']);
      const { detail } = body.checks.find(({ check }: { check: string }) => check === 'condition_not_met');
      const { error } = detail.conditions.find(({ name }: { name: string }) => name === body.condition);
      expect(error).toBe('took longer than 50 ms');
    }
    expect(callsOf(world, tool)).toEqual([]);
  });
});

const slowly = named(['args.many.all(x, args.many.all(y, x + y >= 0.0))']);

test('a workflow that an application starts itself is denied likewise', async () => {
  const [agent, tool, key] = [unique('agent'), await world.tool('refund', ok()), unique('key')];
  await world.rest.post(`/v1/policies/${agent}`, { conditions: slowly });
  const { TEMPORAL_TASK_QUEUE: taskQueue } = world.env;
  const call = { agent_id: agent, tool, args: { many }, idempotency_key: key };
  const workflowId = actionWorkflowId('default', key);
  const answer = await client.workflow.execute('governedAction', { workflowId, taskQueue, args: [call] });
  expect(answer).toMatchObject({ decision: 'blocked', policy_reason: 'condition_not_met', condition: 'slow-0' });
  await actionThatIs(world, answer.action_id, 'blocked');
  expect(callsOf(world, tool)).toEqual([]);
});

test('nothing that takes too long lets a call through, also where its tool fails open', async () => {
  const [agent, tool] = [unique('agent'), await world.tool('refund', ok())];
  await world.rest.post(`/v1/policies/${agent}`, { conditions: slowly, fail_open_tools: [tool] });
  const run = async (args: object) => (await world.run({ agent_id: agent, tool, args })).body;
  expect(await run({})).toMatchObject({ decision: 'executed' });
  expect(await run({ many })).toMatchObject({ policy_reason: 'condition_not_met', condition: 'slow-0' });
});

test('a dry run decides likewise, and goes on', async () => {
  const [agent, tool, key] = [unique('agent'), await world.tool('refund', ok()), unique('key')];
  await world.rest.post(`/v1/policies/${agent}`, { conditions: slowly });
  const actions = [
    { tool, args: { many: [1] } },
    { tool, args: { many } },
    { tool, args: { many: [2] } },
  ];
  await world.rest.post('/v1/ai/run', { key, ttl: 60, metadata: { agent_id: agent, actions, dry_run: true } });
  const { body } = await eventually(async () => {
    const answer = await world.rest.get(`/v1/ai/result?key=${key}`);
    expect(answer.body.status).toBe('completed');
    return answer;
  });
  expect(body.result.actions).toMatchObject([
    { decision: 'pending', policy_reason: 'ok' },
    { decision: 'blocked', policy_reason: 'condition_not_met', condition: 'slow-0' },
    { decision: 'pending', policy_reason: 'ok' },
  ]);
});

test('honest conditions over five thousand elements decide', async () => {
  const [agent, tool] = [unique('agent'), await world.tool('refund', ok())];
  const conditions = [
    { name: 'all-priced', expression: 'args.items.all(item, item.price >= 0 && item.sku.startsWith("s"))' },
    { name: 'few-dear', expression: 'size(args.items.filter(item, item.price > 4990)) < 10' },
  ];
  await world.rest.post(`/v1/policies/${agent}`, { conditions });
  const items = many.map((price) => ({ price, sku: `s${price}` }));
  const run = async (list: object[]) => (await world.run({ agent_id: agent, tool, args: { items: list } })).body;
  expect(await run(items)).toMatchObject({ decision: 'executed' });
  expect(await run([...items, { price: 1, sku: 'x' }])).toMatchObject({ condition: 'all-priced' });
  expect(await run(items.map(({ sku }) => ({ sku, price: 5_000 })))).toMatchObject({ condition: 'few-dear' });
});

test('a replay gives up what takes too long, and says that it is not complete', async () => {
  const [agent, tool] = [unique('agent'), await world.tool('refund', ok())];
  for (let n = 0; n < 15; n += 1) await world.run({ agent_id: agent, tool, args: { many, n } });
  const replay = (conditions: object[]) =>
    world.rest.post(`/v1/policies/${agent}/simulate`, { days: 1, policy: { conditions } });
  expect((await replay(named(['args.n < 14']))).body).toMatchObject({ replayed: 15, complete: true, changed: 1 });
  const { body } = await replay(slowly);
  expect(body).toMatchObject({ replayed: 10, complete: false, changed: 10 });
  expect(body.changes[0].after).toMatchObject({ policy_reason: 'condition_not_met', condition: 'slow-0' });
});

test('what was judged and given up is counted', async () => {
  const text = await (await fetch(`${world.rest.url}/metrics`)).text();
  expect(text).toMatch(/onceonly_condition_judgements_total\{outcome="judged"\} [1-9]/);
  expect(text).toMatch(/onceonly_condition_judgements_total\{outcome="gave_up"\} [1-9]/);
});
