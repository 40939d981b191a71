import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ok } from '../../src/dev/behaviours.ts';
import { eventually } from '../faults/scene.ts';
import { parseExposition } from '../stack/exposition.ts';
import { open, type RawAnswer, untilClosed } from '../stack/raw-http.ts';
import { buildWorld, type World } from '../stack/world.ts';

const metric = async (world: World, name: string, labels: Record<string, string> = {}) => {
  const text = await (await fetch(`${world.rest.url}/metrics`)).text();
  const found = parseExposition(text).find(
    (sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  );
  return found?.value ?? 0;
};

describe('a client that is slow', () => {
  let world: World;
  const sockets: Socket[] = [];
  beforeAll(async () => {
    world = await buildWorld({ roles: ['api'], env: { CLIENT_TIMEOUT_SECONDS: '1' } });
  });
  afterAll(async () => {
    for (const socket of sockets) socket.destroy();
    await world.close();
  });

  const connected = async () => {
    const socket = await open(world.rest.url);
    sockets.push(socket);
    return socket;
  };
  const expectTimeout = (answers: readonly RawAnswer[]) => {
    expect(answers.map(({ status, headers }) => [status, headers.connection])).toEqual([[408, 'close']]);
    expect(JSON.parse(answers[0]?.body ?? '').detail.error).toBe('request_timeout');
  };

  test('with its headers is refused, though it never stops sending', async () => {
    const socket = await connected();
    socket.write('GET /v1/me HTTP/1.1\r\nHost: x\r\nX-Drip: ');
    const drip = setInterval(() => socket.write('x'), 50);
    try {
      expectTimeout(await untilClosed(socket));
    } finally {
      clearInterval(drip);
    }
  });

  test('with its body is refused', async () => {
    const socket = await connected();
    const fields = `Authorization: Bearer ${world.rest.key}\r\nContent-Type: application/json\r\nContent-Length: 100`;
    socket.write(`POST /v1/check-lock HTTP/1.1\r\nHost: x\r\n${fields}\r\n\r\n{"key":`);
    expectTimeout(await untilClosed(socket));
  });

  test('and has said nothing yet is hung up on', async () => {
    expect(await untilClosed(await connected())).toEqual([]);
  });

  test('to read an export holds nothing: its answer is broken off', async () => {
    await world.query(
      `insert into audit (tenant, type, key) select 'default', 'locked', repeat('x', 900) from generate_series(1, 40000)`,
    );
    const socket = await connected();
    socket.pause();
    const aborted = () =>
      metric(world, 'onceonly_http_request_duration_seconds_count', { route: '/v1/audit', status: 'aborted' });
    expect(await aborted()).toBe(0);
    socket.write(`GET /v1/audit?format=ndjson HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${world.rest.key}\r\n\r\n`);
    await eventually(async () => expect(await aborted()).toBe(1));

    // Whoever reads gets it whole.
    const response = await fetch(`${world.rest.url}/v1/audit?format=ndjson`, {
      headers: { authorization: `Bearer ${world.rest.key}` },
    });
    expect((await response.text()).split('\n').filter((line) => line !== '')).toHaveLength(40_000);
  });

  test('is not one that waits for its answer', async () => {
    const tool = {
      name: 'none',
      url: `${world.receiver.endpoint('/none', ok())}`,
      auth: { type: 'hmac_sha256', secret: 'x'.repeat(8) },
    };
    expect((await world.rest.post('/v1/tools', tool)).status).toBe(200);
    // No worker is there: it waits for as long as it says, longer than a client may be slow.
    const answer = await world.run({ agent_id: 'patient', tool: 'none', args: {}, wait: 3 });
    expect([answer.status, answer.body.decision]).toEqual([202, 'pending']);
  });
});

describe('many connections', () => {
  let world: World;
  const sockets: Socket[] = [];
  afterAll(async () => {
    for (const socket of sockets) socket.destroy();
    await world?.close();
  });

  const openMany = async (many: number) => {
    while (sockets.length < many) {
      const missing = Math.min(250, many - sockets.length);
      sockets.push(...(await Promise.all(Array.from({ length: missing }, () => open(world.rest.url)))));
    }
  };

  test('ten thousand of them that say nothing keep nobody from being answered', async () => {
    world = await buildWorld({ roles: ['api'], env: { CLIENT_TIMEOUT_SECONDS: '300' } });
    await openMany(10_000);
    await eventually(async () => expect(await metric(world, 'process_open_fds')).toBeGreaterThan(10_000));
    for (const path of ['/v1/me', '/v1/runs', '/v1/actions']) expect((await world.rest.get(path)).status).toBe(200);
    expect((await world.rest.post('/v1/check-lock', { key: 'crowded' })).status).toBe(200);
    expect(sockets.filter(({ closed }) => closed)).toEqual([]);
  });
});

test('connections above MAX_CONNECTIONS are closed, and those below go on', async () => {
  const world = await buildWorld({ roles: ['api'], env: { MAX_CONNECTIONS: '8', CLIENT_TIMEOUT_SECONDS: '300' } });
  const held: Socket[] = [];
  try {
    while (held.every(({ closed }) => !closed) && held.length < 100) held.push(await open(world.rest.url));
    await eventually(async () => expect(held.some(({ closed }) => closed)).toBe(true));
    const [first] = held;
    const answers = untilClosed(first as Socket);
    first?.write('GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    expect((await answers).map(({ status }) => status)).toEqual([200]);
  } finally {
    for (const socket of held) socket.destroy();
    await world.close();
  }
});
