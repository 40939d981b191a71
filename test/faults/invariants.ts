import { expect } from 'vitest';
import type { World } from '../stack/world.ts';

/** What an action's row says once nothing is under way. */
export interface Row {
  readonly action_id: string;
  readonly workflow_id: string;
  readonly agent_id: string;
  readonly tool: string;
  readonly status: string;
  readonly dollars: number;
  readonly fence: number | null;
}

export async function rowsOf(world: World): Promise<Row[]> {
  const rows = await world.query(
    `select action_id, workflow_id, agent_id, tool, status, spend_micros::float8 / 1e6 as dollars, fence::integer
     from actions order by created_at`,
  );
  return rows as unknown as Row[];
}

export const countBy = (texts: readonly string[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const text of texts) counts[text] = (counts[text] ?? 0) + 1;
  return counts;
};

const sum = (rows: readonly Row[]): number => rows.reduce((total, { dollars }) => total + dollars, 0);

/** No hold leaks: what is held is what is in doubt, what is spent is what was executed, what counts is what was let through. */
export async function expectLedgersToAddUp(world: World, rows: readonly Row[]): Promise<void> {
  const ledgers = await world.query(
    `select agent_id, sum(held_micros)::float8 / 1e6 as held, sum(spent_micros)::float8 / 1e6 as spent,
            sum((select sum(n) from unnest(hour_actions) as n))::integer as counted
     from agent_days group by agent_id order by agent_id`,
  );
  const expected = [...new Set(rows.map(({ agent_id }) => agent_id))].toSorted().map((agent_id) => {
    const own = rows.filter((row) => row.agent_id === agent_id);
    const being = (status: string) => own.filter((row) => row.status === status);
    return {
      agent_id,
      held: sum(being('in_doubt')),
      spent: sum(being('executed')),
      counted: own.length - being('blocked').length,
    };
  });
  expect(ledgers).toEqual(expected);
}

/** One line says that an action was let through or blocked, one how it ended; a doubt that ended has a line of its own. */
export async function expectTrailToBeWhole(world: World, rows: readonly Row[]): Promise<void> {
  const lines = await world.query(
    `select action_id, array_agg(type order by id) as types from audit
     where action_id is not null and detail ->> 'repeat' is null group by action_id`,
  );
  const typesOf = new Map(lines.map(({ action_id, types }) => [action_id, types]));
  for (const { action_id, status } of rows) {
    const types = typesOf.get(action_id);
    if (status === 'blocked') expect(types).toEqual(['action_blocked']);
    else
      expect([
        ['action_admitted', `action_${status}`],
        ['action_admitted', 'action_in_doubt', `action_${status}`],
      ]).toContainEqual(types);
  }
}

/** A key's executions are numbered, and the numbers only rise. */
export function expectFencesToRise(rows: readonly Row[]): void {
  const last = new Map<string, number>();
  for (const { workflow_id, fence } of rows) {
    if (fence === null) continue;
    expect(fence).toBe((last.get(workflow_id) ?? 0) + 1);
    last.set(workflow_id, fence);
  }
}

/** What tools that may not be called twice saw: one call an action at the most, and its effect where it was executed. */
export function expectSingleEffects(world: World, rows: readonly Row[], tools: readonly string[]): void {
  const delivered = countBy(world.receiver.calls.map(({ path, idempotencyKey }) => `${path} ${idempotencyKey}`));
  for (const { action_id, tool, status } of rows.filter((row) => tools.includes(row.tool))) {
    const calls = delivered[`/${tool} ${action_id}`] ?? 0;
    const effects = world.receiver.effects.get(action_id) ?? 0;
    if (calls > 1) expect.fail(`${tool}: ${calls} calls of ${action_id}, which is ${status}`);
    if (status === 'executed') expect({ tool, effects }).toMatchObject({ effects: 1 });
    if (status === 'failed' || status === 'blocked') expect({ tool, effects }).toMatchObject({ effects: 0 });
  }
}
