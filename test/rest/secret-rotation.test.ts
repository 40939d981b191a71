import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ok } from '../../src/dev/behaviours.ts';
import { callsOf } from '../faults/scene.ts';
import { buildWorld, SECRET, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld();
});
afterAll(() => world.close());

const rotate = (tool: string, body?: object) => world.rest.post(`/v1/tools/${tool}/rotate-secret`, body);
/** How the tool was called, last. */
async function called(tool: string) {
  await world.run({ agent_id: unique('agent'), tool, args: { n: unique('n') } });
  const call = callsOf(world, tool).at(-1);
  const headers = call?.headers ?? {};
  const signed = (secret: string) => createHmac('sha256', secret).update(JSON.stringify(call?.body)).digest('hex');
  return { call, headers, signed, webhookSignatures: String(headers['webhook-signature']).split(' ') };
}

describe('a secret that rotates', () => {
  test('signs beside the one that receivers know, until the overlap ends', async () => {
    const tool = await world.tool('charge', ok());
    const { status, body, headers } = await rotate(tool, { overlap_seconds: 600 });
    expect(status).toBe(200);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(body).toMatchObject({ name: tool, scope_id: 'global', secret: expect.stringMatching(/^whsec_/) });
    expect(body.secret_mask).toBe(`***${body.secret.slice(-3)}`);
    expect(Date.parse(body.previous_valid_until)).toBeGreaterThan(Date.now() + 500_000);
    expect((await world.rest.get(`/v1/tools/${tool}`)).body).toMatchObject({ secret_id: body.secret_id });

    const during = await called(tool);
    expect(during.call?.verified).toBe(true);
    expect(during.headers['x-onceonly-signature']).toBe(during.signed(SECRET));
    expect(during.headers['x-onceonly-signature-next']).toBe(during.signed(body.secret));
    expect(during.webhookSignatures).toHaveLength(2);

    await world.query(`update tools set previous_until = now() where name = $1`, [tool]);
    const after = await called(tool);
    expect(after.headers['x-onceonly-signature']).toBe(after.signed(body.secret));
    expect(after.headers).not.toHaveProperty('x-onceonly-signature-next');
    expect(after.webhookSignatures).toHaveLength(1);
  });

  test('takes over at once without an overlap', async () => {
    const tool = await world.tool('charge', ok());
    const { body } = await rotate(tool, { secret: 'the-next-secret', overlap_seconds: 0 });
    expect(body).not.toHaveProperty('secret');
    const { headers, signed } = await called(tool);
    expect(headers['x-onceonly-signature']).toBe(signed('the-next-secret'));
    expect(headers).not.toHaveProperty('x-onceonly-signature-next');
  });

  test('rotated again keeps the one that receivers know', async () => {
    const tool = await world.tool('charge', ok());
    await rotate(tool, { secret: 'the-next-secret' });
    await rotate(tool, { secret: 'the-one-after-it' });
    const { call, headers, signed } = await called(tool);
    expect(call?.verified).toBe(true);
    expect(headers['x-onceonly-signature-next']).toBe(signed('the-one-after-it'));
  });

  test('that is set by registering the tool again leaves nothing to rotate', async () => {
    const tool = await world.tool('charge', ok());
    await rotate(tool);
    const url = world.receiver.endpoint(`/${tool}`, ok());
    await world.rest.post('/v1/tools', { name: tool, url, auth: { type: 'hmac_sha256', secret: SECRET } });
    const { call, headers } = await called(tool);
    expect(call?.verified).toBe(true);
    expect(headers).not.toHaveProperty('x-onceonly-signature-next');
  });

  test('is never shown again, and in no trail', async () => {
    const tool = await world.tool('charge', ok());
    const { secret } = (await rotate(tool)).body;
    const reads = await Promise.all(
      [`/v1/tools/${tool}`, '/v1/tools', '/v1/audit', '/v1/events'].map(
        async (path) => (await world.rest.get(path)).body,
      ),
    );
    expect(JSON.stringify(reads)).not.toContain(secret);
    expect(JSON.stringify(reads)).toContain('tool_secret_rotated');
  });

  test.each([{ secret: 'short' }, { overlap_seconds: -1 }, { overlap_seconds: 1.5 }, { secret: 5 }])(
    'is not %j',
    async (body) => {
      expect((await rotate(await world.tool('charge', ok()), body)).status).toBe(422);
    },
  );

  test('of no tool is 404', async () => {
    const { status, body } = await rotate('nobody.knows');
    expect([status, body.detail.error]).toEqual([404, 'tool_not_found']);
  });
});
