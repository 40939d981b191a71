import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { createAdmissionActivities } from '../../activities/admission.ts';
import type { Policy } from '../../src/contracts/policy.ts';
import { actionWorkflowId } from '../../src/domain/workflow-id.ts';
import { createJudge, type Judge } from '../../src/judge/judge.ts';
import { createThreads } from '../../src/judge/threads.ts';
import { createAdmissions } from '../../src/store/admissions.ts';
import type { Database } from '../../src/store/database.ts';
import { createPolicies } from '../../src/store/policies.ts';
import { openPools, type Pools } from '../../src/store/pools.ts';
import { freshEnvironment } from '../stack/environment.ts';
import { unique } from '../stack/world.ts';

/** What changes between the judgement of an action's conditions and the locks under which it is held. */
let db: Database;
let pools: Pools;
let policies: ReturnType<typeof createPolicies>;
let agent: string;
const judge = createJudge({ threads: createThreads(), metrics: { judged: () => undefined } });
const tool = 'refund';
beforeEach(async () => {
  agent = unique('agent');
  if (db !== undefined) return;
  const { DATABASE_URL } = await freshEnvironment({ redis: false });
  pools = openPools({ DATABASE_URL, DATABASE_POOL_SIZE: 4 });
  db = pools.reads;
  policies = createPolicies(pools);
  await addTool();
});
afterAll(async () => {
  judge.close();
  await pools.close();
});

const addTool = () =>
  db
    .insertInto('tools')
    .values({
      ...{ tenant: 'default', name: tool, scope_id: 'global', url: 'https://example.com', secret_id: 'sec' },
      ...{ secret_mask: '***', secret_cipher: Buffer.from('none'), timeout_ms: 1_000, max_retries: 2, enabled: true },
      ...{ previous_cipher: null, previous_until: null, rotated_at: null, rotated_by: null, description: null },
      ...{ price_micros: null, idempotent: false, dedup_ttl: 0, status_url: null, input_schema: null },
    })
    .execute();

const setPolicy = (policy: Policy) => policies.save('default', agent, policy, 'test');
const up = (limit: number): Policy => ({
  conditions: [{ name: `up-to-${limit}`, expression: `args.amount <= ${limit}` }],
});

/** Admits an action; `meanwhile` is what happens after its conditions were judged for the n-th time. */
async function admit(meanwhile: (n: number) => Promise<unknown>) {
  let judged = 0;
  const interrupted: Pick<Judge, 'judgement'> = {
    async judgement(...asked) {
      judged += 1;
      const judgement = await judge.judgement(...asked);
      await meanwhile(judged);
      return judgement;
    },
  };
  const told: unknown[] = [];
  const activities = createAdmissionActivities({
    knowsAttributes: () => false,
    admissions: createAdmissions(pools),
    judge: interrupted,
    lanes: { choose: () => 'queue' },
    metrics: { decided: () => undefined },
    outcomes: { tell: (news) => told.push(news), ended: () => undefined },
  });
  const key = unique('key');
  const call = { agent_id: agent, tool, args: { amount: 50 }, idempotency_key: key };
  const identity = { actionId: unique('act'), workflowId: actionWorkflowId('default', key), startedAt: Date.now() };
  const admission = await activities.admit(call, identity);
  const row = await db
    .selectFrom('actions')
    .select(['policy_version', 'hold', 'condition'])
    .where('action_id', '=', identity.actionId)
    .executeTakeFirst();
  return { admission, row, judged };
}
const nothing = async () => undefined;

describe('an action with conditions', () => {
  test('is judged once, and held by that', async () => {
    await setPolicy(up(100));
    expect(await admit(nothing)).toMatchObject({
      ...{ admission: { kind: 'call' }, judged: 1, row: { policy_version: 1, hold: 'held' } },
    });
  });

  test('is judged again where its policy has become stricter meanwhile', async () => {
    await setPolicy(up(100));
    const stricter = await admit(async (n) => n === 1 && (await setPolicy(up(10))));
    expect(stricter).toMatchObject({
      admission: {
        kind: 'answer',
        answer: { policy_reason: 'condition_not_met', condition: 'up-to-10', policy_version: 2 },
      },
      ...{ judged: 2, row: { policy_version: 2, hold: 'none', condition: 'up-to-10' } },
    });
  });

  test('is judged again where its policy has become laxer meanwhile', async () => {
    await setPolicy(up(10));
    const laxer = await admit(async (n) => n === 1 && (await setPolicy(up(100))));
    expect(laxer).toMatchObject({ admission: { kind: 'call' }, judged: 2, row: { policy_version: 2, hold: 'held' } });
  });

  test('is judged again where its spend has changed, which conditions can speak of', async () => {
    await setPolicy({ conditions: [{ name: 'cheap', expression: 'spend_usd < 5' }] });
    const price = (micros: number | null) =>
      db.updateTable('tools').set({ price_micros: micros }).where('name', '=', tool).execute();
    const dearer = await admit(async (n) => n === 1 && (await price(9_000_000)));
    await price(null);
    expect(dearer).toMatchObject({
      admission: { kind: 'answer' },
      judged: 2,
      row: { hold: 'none', condition: 'cheap' },
    });
  });

  test('is left for later where the policy never stands still', async () => {
    await setPolicy(up(1_000));
    const restless = admit(async (n) => await setPolicy(up(1_000 + n)));
    await expect(restless).rejects.toMatchObject({ code: 'unavailable' });
  });
});

test('an action without conditions is not judged', async () => {
  await setPolicy({ max_actions_per_hour: 5 });
  expect(await admit(nothing)).toMatchObject({ admission: { kind: 'call' }, judged: 0 });
});
