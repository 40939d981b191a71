import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createClaims } from '../../src/store/claims.ts';
import type { Database } from '../../src/store/database.ts';
import { openPools, type Pools } from '../../src/store/pools.ts';
import { createSecretBox } from '../../src/store/secret-box.ts';
import { secretPlace } from '../../src/store/tool-row.ts';
import { freshEnvironment } from '../stack/environment.ts';

/** The last gate before a byte leaves, by itself: what REST cannot show is who may claim again. */
let db: Database;
let pools: Pools;
let claims: ReturnType<typeof createClaims>;
const box = createSecretBox(randomBytes(32));
beforeAll(async () => {
  const { DATABASE_URL } = await freshEnvironment({ redis: false });
  pools = openPools({ DATABASE_URL, DATABASE_POOL_SIZE: 4 });
  db = pools.reads;
  claims = createClaims(pools, box);
});
afterAll(() => pools.close());

let made = 0;
async function action({ idempotent = false } = {}) {
  made += 1;
  const [id, tool, agent] = [`act_${made}`, `tool-${made}`, `agent-${made}`];
  await db
    .insertInto('agents')
    .values({ tenant: 'default', agent_id: agent, disabled_reason: null, disabled_at: null })
    .execute();
  await db
    .insertInto('tools')
    .values({
      ...{
        tenant: 'default',
        name: tool,
        scope_id: 'global',
        url: 'https://example.com',
        secret_id: 'sec',
        secret_mask: '***',
      },
      secret_cipher: box.seal('a-secret', secretPlace('default', tool, 'global')),
      ...{ previous_cipher: null, previous_until: null, rotated_at: null, rotated_by: null },
      ...{ timeout_ms: 1_000, max_retries: 2, enabled: true, description: null, price_micros: null, idempotent },
      ...{ dedup_ttl: 0, status_url: null, input_schema: null },
    })
    .execute();
  await db
    .insertInto('actions')
    .values({
      ...{ action_id: id, tenant: 'default', workflow_id: id, agent_id: agent, tool, tool_scope: 'global', args: '{}' },
      ...{
        args_hash: '',
        spend_micros: 0,
        hold: 'held',
        ledger_day: '2026-11-27',
        status: 'running',
        policy_reason: 'ok',
      },
      ...{
        policy_version: null,
        risk_level: 'low',
        fence: 1,
        run_id: 'run',
        condition: null,
        ruled_on: null,
        actor: null,
      },
      ...{ result: null, error: null, remember_until: null, done_at: null, tool_version: 1, gate_version: 0 },
      ...{ run_key: null, run_n: null, run_lease_id: null, run_fence: null },
    })
    .execute();
  return {
    id,
    claim: (token: string, n = 1) => claims.claim({ tenant: 'default', actionId: id, n, token, asking: false }),
  };
}

test('an execution that lost the answer to its claim claims again: nothing has left', async () => {
  const { claim } = await action();
  expect((await claim('mine')).kind).toBe('claimed');
  expect(await claim('mine')).toMatchObject({ kind: 'claimed', earlier: [] });
});

test('another execution may not, where the tool may not be called twice', async () => {
  const { claim } = await action();
  await claim('mine');
  expect((await claim('another')).kind).toBe('lost');
  expect((await claim('mine')).kind).toBe('claimed');
});

test('another execution may, of an idempotent tool, and knows that the first may have acted', async () => {
  const { claim } = await action({ idempotent: true });
  await claim('mine');
  const again = await claim('another');
  expect(again).toMatchObject({ kind: 'claimed', earlier: [{ ended: false }] });
  // What it may have done stays said, whoever claims next and however often.
  expect(await claim('another')).toMatchObject({ kind: 'claimed', earlier: [{ mayHaveActed: true }] });
});

test('what cannot be opened claims nothing', async () => {
  const { id, claim } = await action();
  const other = createClaims(pools, createSecretBox(randomBytes(32)));
  await expect(other.claim({ tenant: 'default', actionId: id, n: 1, token: 'mine', asking: false })).rejects.toThrow();
  expect(await db.selectFrom('attempts').selectAll().where('action_id', '=', id).execute()).toEqual([]);
  expect((await claim('another')).kind).toBe('claimed');
});
