import { afterAll, beforeAll, expect, test } from 'vitest';
import { ok } from '../../src/dev/behaviours.ts';
import { eventually } from '../faults/scene.ts';
import { buildWorld, SECRET, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld();
});
afterAll(() => world.close());

test('begin as the contract says, change one by one, on the record, and tell what was not understood', async () => {
  const rest = await world.tenant('settings');
  expect((await rest.get('/v1/settings')).body).toEqual({ default_deny: false, approval_ttl_seconds: 86_400 });
  const saved = await rest.post('/v1/settings', { approval_ttl_seconds: 60, colour: 'red', default_deny: null });
  expect([saved.status, saved.body]).toEqual([
    200,
    { default_deny: false, approval_ttl_seconds: 60, ignored_fields: ['colour'] },
  ]);
  await rest.post('/v1/settings', { default_deny: true });
  await rest.post('/v1/settings', { default_deny: true });
  expect((await rest.get('/v1/settings')).body).toEqual({ default_deny: true, approval_ttl_seconds: 60 });
  expect((await rest.get('/v1/events')).body).toMatchObject([
    { type: 'settings_changed', data: { default_deny: true } },
    { type: 'settings_changed', data: { approval_ttl_seconds: 60 } },
  ]);
  expect((await world.rest.get('/v1/settings')).body.approval_ttl_seconds).toBe(86_400);
});

test.each([
  [{ default_deny: 'yes' }],
  [{ approval_ttl_seconds: 59 }],
  [{ approval_ttl_seconds: 2_592_001 }],
  [{ approval_ttl_seconds: 60.5 }],
  [[]],
])('are refused with %j, all of them', async (body) => {
  const before = (await world.rest.get('/v1/settings')).body;
  expect((await world.rest.post('/v1/settings', body)).status).toBe(422);
  expect((await world.rest.get('/v1/settings')).body).toEqual(before);
});

test('default_deny: an agent without a policy may call nothing, one that has one goes on', async () => {
  const rest = await world.tenant('deny');
  const [agent, tool] = [unique('agent'), unique('tool')];
  const url = world.receiver.endpoint(`/${tool}`, ok());
  await rest.post('/v1/tools', { name: tool, url, auth: { type: 'hmac_sha256', secret: SECRET } });
  await rest.post('/v1/settings', { default_deny: true });
  const call = { agent_id: agent, tool, args: {} };
  expect((await rest.post('/v1/ai/run', call)).body).toMatchObject({ decision: 'blocked', policy_reason: 'no_policy' });
  await rest.post(`/v1/policies/${agent}`, { max_actions_per_hour: 5 });
  expect((await rest.post('/v1/ai/run', call)).body.decision).toBe('executed');
});

test('an approval waits as long as its policy says, else the tenant', async () => {
  const rest = await world.tenant('waiting');
  const tool = unique('tool');
  const url = world.receiver.endpoint(`/${tool}`, ok());
  await rest.post('/v1/tools', { name: tool, url, auth: { type: 'hmac_sha256', secret: SECRET } });
  await rest.post('/v1/settings', { approval_ttl_seconds: 600 });
  const waitsFor = async (policy: object) => {
    const agent = unique('agent');
    await rest.post(`/v1/policies/${agent}`, { require_approval: [tool], ...policy });
    await rest.post('/v1/ai/run', { agent_id: agent, tool, args: {}, wait: 0 });
    return await eventually(async () => {
      const [approval] = (await rest.get(`/v1/approvals?agent_id=${agent}`)).body;
      expect(approval).toBeDefined();
      return Math.round((Date.parse(approval.expires_at) - Date.parse(approval.requested_at)) / 1000);
    });
  };
  expect([await waitsFor({}), await waitsFor({ approval_ttl_seconds: 120 })]).toEqual([600, 120]);
});
