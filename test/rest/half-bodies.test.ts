import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ok } from '../../src/dev/behaviours.ts';
import { callsOf } from '../faults/scene.ts';
import { open } from '../stack/raw-http.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld();
});
afterAll(() => world.close());

const REASON = 'as the operator says';

/** A request whose doing shows: what it is sent to, with which body, and what has come of it. */
interface Deed {
  readonly path: string;
  readonly body: string;
  /** What was done and why; undefined where nothing was. */
  done(): Promise<unknown>;
  /** As it reads where it was done as its sender meant it. */
  readonly meant: unknown;
}

async function asked() {
  const [agent, tool] = [unique('agent'), await world.tool('refund', ok())];
  await world.rest.post(`/v1/policies/${agent}`, { require_approval: [tool] });
  const { body } = await world.run({ agent_id: agent, tool, args: {} });
  return { agent, tool, id: body.action_id.replace('act_', 'apr_') as string };
}

const decide = (how: 'approve' | 'deny', status: string) => async (): Promise<Deed> => {
  const { id } = await asked();
  return {
    path: `/v1/approvals/${id}/${how}`,
    body: JSON.stringify({ actor: 'ada', reason: REASON }),
    meant: [status, 'ada', REASON],
    async done() {
      const { body } = await world.rest.get(`/v1/approvals/${id}`);
      return body.status === 'pending' ? undefined : [body.status, body.claimed_actor, body.reason];
    },
  };
};

async function disable(): Promise<Deed> {
  const agent = unique('agent');
  return {
    path: `/v1/agents/${agent}/disable`,
    body: JSON.stringify({ reason: REASON }),
    meant: [REASON],
    async done() {
      const [row] = await world.query('select is_enabled, disabled_reason from agents where agent_id = $1', [agent]);
      return row === undefined || row.is_enabled ? undefined : [row.disabled_reason];
    },
  };
}

async function enable(): Promise<Deed> {
  const agent = unique('agent');
  await world.rest.post(`/v1/agents/${agent}/disable`, { reason: 'for now' });
  return {
    path: `/v1/agents/${agent}/enable`,
    body: JSON.stringify({ reason: REASON }),
    meant: [REASON],
    async done() {
      const [row] = await world.query(
        `select detail ->> 'reason' as reason from audit where agent_id = $1 and type = 'agent_enabled'`,
        [agent],
      );
      return row && [row.reason];
    },
  };
}

async function storePolicy(): Promise<Deed> {
  const agent = unique('agent');
  return {
    path: `/v1/policies/${agent}`,
    body: JSON.stringify({ max_actions_per_hour: 7, max_spend_usd_per_day: 5 }),
    meant: { max_actions_per_hour: 7, max_spend_usd_per_day: 5 },
    async done() {
      const { status, body } = await world.rest.get(`/v1/policies/${agent}`);
      return status === 404 ? undefined : body.policy;
    },
  };
}

const deeds: Array<[string, () => Promise<Deed>]> = [
  ['deny', decide('deny', 'denied')],
  ['approve', decide('approve', 'approved')],
  ['disable', disable],
  ['enable', enable],
  ['policies', storePolicy],
];

const head = (path: string, fields: string, key = world.rest.key) =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\nContent-Type: application/json\r\n${fields}\r\n\r\n`;
const chunk = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;

/** How much of a request leaves before its client does: parts of it, sent one after the other. */
const halves: Array<[string, (deed: Deed) => string[]]> = [
  ['before any of its body has left', ({ path, body }) => [head(path, `Content-Length: ${body.length}`)]],
  ['in the middle of its body', ({ path, body }) => [head(path, `Content-Length: ${body.length}`) + body.slice(0, 9)]],
  [
    'in the middle of its body, sent apart from its head',
    ({ path, body }) => [head(path, `Content-Length: ${body.length}`), body.slice(0, 9)],
  ],
  ['one byte before the end', ({ path, body }) => [head(path, `Content-Length: ${body.length}`) + body.slice(0, -1)]],
  [
    'after what is a body by itself, but not all that it has announced',
    ({ path, body }) => [`${head(path, `Content-Length: ${body.length + 1}`)}${body}`],
  ],
  ['before the first chunk', ({ path }) => [head(path, 'Transfer-Encoding: chunked')]],
  [
    'before the last chunk',
    ({ path, body }) => [head(path, 'Transfer-Encoding: chunked') + chunk(body.slice(0, 9)) + chunk(body.slice(9))],
  ],
  [
    'in the middle of a chunk',
    ({ path, body }) => [head(path, 'Transfer-Encoding: chunked') + chunk(body).slice(0, -5)],
  ],
];

type Leaving = 'destroy' | 'reset' | 'end';

async function sendAndLeave(parts: readonly string[], leave: Leaving): Promise<void> {
  const socket = await open(world.rest.url);
  for (const part of parts) await new Promise<void>((sent) => socket.write(part, () => sent()));
  if (leave === 'reset') socket.resetAndDestroy();
  else if (leave === 'end') socket.end();
  else socket.destroy();
}

/** What was sent before this has been dealt with: the process answers, and its requests are over. */
async function quiet(): Promise<void> {
  for (let n = 0; n < 5; n += 1) {
    await world.rest.get('/v1/me');
    await sleep(20);
  }
}

describe.each(deeds)('a client of %s that hangs up', (_name, make) => {
  test.each(halves)('%s has done nothing', async (_when, parts) => {
    const sent = await Promise.all(
      (['destroy', 'reset', 'end'] as const).map(async (leave) => {
        const deed = await make();
        await sendAndLeave(parts(deed), leave);
        return deed;
      }),
    );
    await quiet();
    for (const { done } of sent) expect(await done()).toBeUndefined();
    // The same request is done where it arrives whole.
    for (const { path, body, done, meant } of sent) {
      expect((await world.rest.post(path, body)).status).toBe(200);
      expect(await done()).toEqual(meant);
    }
  });

  test('after all of it has done what it says, or nothing: never without its body', async () => {
    const sent = await Promise.all(
      Array.from({ length: 30 }, async (_, n) => {
        const deed = await make();
        const { path, body } = deed;
        // A key that the process has not seen yet takes it a moment to look up, in which the client is gone.
        const { key } = await world.key('default');
        const whole = head(path, `Content-Length: ${body.length}`, key) + body;
        const parts = n % 2 === 0 ? [whole] : [whole.slice(0, -9), whole.slice(-9)];
        await sendAndLeave(parts, (['destroy', 'reset', 'end'] as const)[n % 3] ?? 'end');
        return deed;
      }),
    );
    await quiet();
    for (const { done, meant } of sent) expect([undefined, meant]).toContainEqual(await done());
  });
});

test('many that hang up at once, at any byte and while others are served, have done what they say or nothing', async () => {
  const load = { on: true };
  const tool = await world.tool('charge', ok());
  const busy = Array.from({ length: 16 }, async (_, of) => {
    for (let n = 0; load.on; n += 1) {
      const answer = await world.run({ agent_id: unique('busy'), tool, args: { of, n } });
      expect(answer.status).toBe(200);
    }
  });
  const sent = await Promise.all(
    Array.from({ length: 120 }, async (_, n) => {
      const deed = await (deeds[n % deeds.length] as (typeof deeds)[number])[1]();
      return deed;
    }),
  );
  const short = await Promise.all(
    sent.map(async ({ path, body }, n) => {
      const isChunked = n % 4 === 0;
      const whole = isChunked
        ? `${head(path, 'Transfer-Encoding: chunked')}${chunk(body)}0\r\n\r\n`
        : head(path, `Content-Length: ${body.length}`) + body;
      // Every third request leaves whole, the others up to somewhere in their bodies.
      const isWhole = n % 3 === 0;
      const bytes = isWhole ? whole.length : whole.length - randomInt(1, body.length);
      await sendAndLeave([whole.slice(0, bytes)], (['destroy', 'reset', 'end'] as const)[n % 3] ?? 'end');
      return !isWhole;
    }),
  );
  load.on = false;
  await Promise.all(busy);
  await quiet();
  for (const [n, { done, meant, path }] of sent.entries()) {
    const now = await done();
    if (short[n]) expect([path, now]).toEqual([path, undefined]);
    else expect([undefined, meant]).toContainEqual(now);
  }
  expect(callsOf(world, tool).length).toBeGreaterThan(0);
});
