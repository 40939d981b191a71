import type { Exchange } from '../history.ts';
import type { Client } from '../recorder.ts';

/** Callers of check-lock: few keys, several callers, with an owner or without, locks that last and locks that end soon. */
export async function lockKeys(client: Client, working: () => boolean): Promise<void> {
  const { numbers } = client;
  for (let n = 0; working(); n += 1) {
    const ttl = numbers.pick([10, 10, 600]);
    const key = `lock/${ttl}/${Math.floor(n / 8)}/${numbers.below(5)}`;
    const owner = numbers.chance(70) ? `${client.name}/${n}` : undefined;
    const about = { op: 'check-lock', subject: key, ttl, ...(owner !== undefined && { owner }) } as const;
    const ask = { path: '/v1/check-lock', json: { key, ttl, owner } };
    // Without an owner a repeat would read `duplicate` of its own lock: such a caller asks once.
    await client.insist(about, ask, { tries: owner === undefined ? 1 : 5 });
    await client.pause(30, 250);
  }
}

/** Leaseholders that work, extend, and end in every way there is, and those that wait for them. */
export async function holdLeases(client: Client, working: () => boolean): Promise<void> {
  const { numbers } = client;
  for (let n = 0; working(); n += 1) {
    const key = `lease/${Math.floor(n / 3)}/${numbers.below(3)}`;
    const owner = numbers.chance(80) ? `${client.name}/${n}` : undefined;
    const plan = {
      ttl: numbers.pick([10, 15]),
      retryFailed: numbers.chance(30),
      workMs: numbers.between(50, 600),
      extends: numbers.chance(30),
      end: numbers.weighted([
        [50, 'complete'],
        [20, 'fail'],
        [20, 'cancel'],
        [10, undefined],
      ] as const),
      looks: numbers.pick(['status', 'result'] as const),
    };
    const { ttl, retryFailed } = plan;
    const answer = await client.insist(
      { op: 'lease', subject: key, ttl, retryFailed, ...(owner !== undefined && { owner }) },
      { path: '/v1/ai/lease', json: { key, ttl, owner, ...(retryFailed && { retry_failed: true }) } },
      { tries: owner === undefined ? 1 : 5 },
    );
    const leaseId = answer.body.lease_id;
    if (answer.body.status === 'acquired' && typeof leaseId === 'string') await work(client, key, leaseId, plan);
    else await look(client, key, plan.looks);
    await client.pause(30, 300);
  }
}

interface Plan {
  readonly ttl: number;
  readonly workMs: number;
  readonly extends: boolean;
  readonly end: 'complete' | 'fail' | 'cancel' | undefined;
}

async function work(client: Client, key: string, leaseId: string, plan: Plan): Promise<void> {
  await client.pause(plan.workMs, plan.workMs);
  const held = { key, lease_id: leaseId };
  if (plan.extends) {
    const about = { op: 'extend', subject: key, leaseId, ttl: plan.ttl } as const;
    await client.insist(about, { path: '/v1/ai/extend', json: { ...held, ttl: plan.ttl } });
  }
  if (plan.end === undefined) return;
  const endings = {
    complete: { result: { by: leaseId } },
    fail: { error_code: `broken_${leaseId.slice(-4)}` },
    cancel: { reason: 'no longer wanted' },
  };
  const about = { op: plan.end, subject: key, leaseId } as const;
  await client.insist(about, { path: `/v1/ai/${plan.end}`, json: { ...held, ...endings[plan.end] } });
}

/** Reads how a lease or a run stands, and what came of it. */
export async function look(client: Client, key: string, path: 'status' | 'result'): Promise<Exchange> {
  const ask = { method: 'GET', path: `/v1/ai/${path}?key=${encodeURIComponent(key)}` } as const;
  return await client.ask({ op: 'status', subject: key }, ask);
}
