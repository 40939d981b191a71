import pg from 'pg';
import { expect, vi } from 'vitest';
import { ok } from '../../src/dev/behaviours.ts';
import type { Behaviour, ReceivedCall } from '../../src/dev/receiver.ts';
import { openClient, temporalConfig } from '../../src/engine/connection.ts';
import type { Answer } from '../stack/rest.ts';
import { unique, type World } from '../stack/world.ts';

/**
 * Waits until `holds` no longer throws. A minute is long enough for all that must come by itself: Temporal misses a lost
 * worker after 10 s, a doubt is looked at after 15 s.
 */
export const eventually = <T>(holds: () => T | Promise<T>, timeout = 60_000): Promise<T> =>
  vi.waitFor(holds, { timeout, interval: 100 });

/** A tool whose answers are held back. */
export interface Gate {
  readonly behaviour: Behaviour;
  /** Resolves when the first call has arrived. */
  readonly arrived: Promise<void>;
  /** Lets every answer out, those to come too. */
  open(): void;
}

/** A tool that does its work when it is called, and tells only when it may. */
export function gate(then: Behaviour = ok()): Gate {
  const arrival = once();
  const opening = once();
  return {
    behaviour: async (call, n) => {
      const reply = await then(call, n);
      arrival.happen();
      await opening.happened;
      return reply;
    },
    arrived: arrival.happened,
    open: opening.happen,
  };
}

function once() {
  let happen = () => {};
  const happened = new Promise<void>((resolve) => {
    happen = resolve;
  });
  return { happened, happen };
}

export const callsOf = (world: World, tool: string): ReceivedCall[] =>
  world.receiver.calls.filter((call) => call.path === `/${tool}`);

/** Repeats a request, as a client does, through lost connections, 503 and `pending`, until it has its answer. */
export const untilAnswered = (ask: () => Promise<Answer>, timeout?: number): Promise<Answer> =>
  eventually(async () => {
    const answer = await ask();
    expect(answer.status).not.toBe(503);
    expect(answer.status).not.toBe(202);
    return answer;
  }, timeout);

/** An action as REST shows it, once it stands as it should. */
export const actionThatIs = (world: World, id: string, status: string) =>
  eventually(async () => {
    const { body } = await world.rest.get(`/v1/actions/${id}`);
    expect(body.status).toBe(status);
    return body;
  });

/** What an agent's ledger says, in dollars. */
export async function ledgerOf(world: World, agent: string): Promise<{ held: number; spent: number }> {
  const [row] = await world.query(
    'select sum(held_micros)::float8 / 1e6 as held, sum(spent_micros)::float8 / 1e6 as spent from agent_days where agent_id = $1',
    [agent],
  );
  return row as { held: number; spent: number };
}

export interface HeldAgent {
  /** How many statements wait for the agent's row. */
  waiting(): Promise<number>;
  /** Cuts off who waits, as PostgreSQL does sooner or later for a client that is gone. */
  dropWaiting(): Promise<void>;
  release(): Promise<void>;
}

/** Locks the row of an agent: an action of it can be admitted, but no call of it claimed, until the release. */
export async function holdAgent(world: World, agent: string): Promise<HeldAgent> {
  const holder = new pg.Client({ connectionString: world.env.DATABASE_URL });
  await holder.connect();
  await holder.query('begin');
  const { rowCount } = await holder.query('select 1 from agents where agent_id = $1 for update', [agent]);
  if (rowCount !== 1) throw new Error(`agent ${agent} has no row yet`);
  const [own] = (await holder.query<{ pid: number }>('select pg_backend_pid() as pid')).rows;
  const blocked = 'from pg_stat_activity where $1 = any(pg_blocking_pids(pid))';
  return {
    waiting: async () => Number((await world.query(`select count(*) ${blocked}`, [own?.pid]))[0]?.count),
    dropWaiting: async () => {
      await world.query(`select pg_terminate_backend(pid, 5000) ${blocked}`, [own?.pid]);
    },
    release: async () => {
      await holder.query('rollback');
      await holder.end();
    },
  };
}

/** Temporal as an operator or an application reaches it. */
export const temporalOf = (world: World) => openClient(temporalConfig(world.env));

/** What has happened in the latest run of a workflow, by the names of the events' attributes. */
export async function historyOf(world: World, workflowId: string): Promise<string[]> {
  const client = temporalOf(world);
  try {
    const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
    return (events ?? []).map((event) => String(event.attributes));
  } finally {
    await client.connection.close();
  }
}

/** Clients that never stop asking: new locks, new leases, new calls of `tool` (whose outcome they await so long), and reads. */
export function steadyCallers(world: World, tool: string, { wait = 1 }: { wait?: number } = {}) {
  const answers: Answer[] = [];
  let asking = true;
  const name = unique('caller');
  const asks: Array<(n: number) => Promise<Answer>> = [
    (n) => world.rest.post('/v1/check-lock', { key: `${name}/${n}` }),
    (n) => world.rest.post('/v1/ai/lease', { key: `${name}/${n}` }),
    (n) => world.run({ agent_id: name, tool, args: { n }, wait }),
    () => world.rest.get('/v1/runs'),
  ];
  const callers = asks.map(async (ask) => {
    for (let n = 0; asking; n += 1) answers.push(await ask(n));
  });
  return {
    answers: () => answers,
    /** All answers, once the last is in. */
    async stop(): Promise<Answer[]> {
      asking = false;
      await Promise.all(callers);
      return answers;
    },
  };
}
