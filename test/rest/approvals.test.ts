import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ok } from '../../src/dev/behaviours.ts';
import { actionThatIs, callsOf, eventually, ledgerOf, temporalOf } from '../faults/scene.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld({ roles: ['api', 'worker'] });
});
afterAll(() => world.close());

async function scene(policy: object = {}) {
  const [agent, tool] = [unique('agent'), await world.tool('refund', ok())];
  const limits = { require_approval: [tool], max_spend_usd_per_day: 10, ...policy };
  await world.rest.post(`/v1/policies/${agent}`, limits);
  const call = { agent_id: agent, tool, args: { amount: 5 }, spend_usd: 5 };
  return { agent, tool, call, limits };
}
const approvals = async (status = '') =>
  (await world.rest.get(`/v1/approvals${status && `?status=${status}`}`)).body as Array<Record<string, string>>;
const approvalOf = async (action: string) => (await approvals()).find(({ action_id }) => action_id === action);
const decide = (id: string | undefined, how: 'approve' | 'deny', body?: object) =>
  world.rest.post(`/v1/approvals/${id}/${how}`, body);

async function waiting(policy: object = {}) {
  const { call, ...rest } = await scene(policy);
  const { status, body } = await world.run(call);
  expect([status, body.decision, body.policy_reason]).toEqual([202, 'pending', 'approval_required']);
  return { ...rest, call, action: body.action_id as string, approval: await approvalOf(body.action_id) };
}

describe('a call of a tool that needs approval', () => {
  test('is told to be pending at once, holds nothing, and is listed with what it would do', async () => {
    const { agent, tool, action, approval } = await waiting();
    expect(approval).toMatchObject({
      id: action.replace('act_', 'apr_'),
      action_id: action,
      agent_id: agent,
      tool,
      args: { amount: 5 },
      digest: expect.stringMatching(/^[0-9a-f]{64}$/),
      status: 'pending',
      decided_by: null,
      reason: null,
    });
    expect(Date.parse(approval?.expires_at ?? '') - Date.parse(approval?.requested_at ?? '')).toBeCloseTo(
      86_400_000,
      -3,
    );
    expect((await world.rest.get(`/v1/actions/${action}`)).body).toMatchObject({
      status: 'waiting_approval',
      decision: 'pending',
      policy_reason: 'approval_required',
      attempts: [],
      done_at: null,
    });
    expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 0 });
    expect(callsOf(world, tool)).toEqual([]);
    expect(await approvals('pending')).toContainEqual(approval);
    expect((await approvals('approved')).map(({ id }) => id)).not.toContain(approval?.id);
  });

  test('is made once it is approved, and the caller finds its outcome', async () => {
    const { agent, tool, call, action, approval } = await waiting();
    const decided = await decide(approval?.id, 'approve', { reason: 'looks right', actor: 'ada@example.com' });
    expect(decided.body).toEqual({
      ...approval,
      status: 'approved',
      decided_by: expect.stringMatching(/^key/),
      claimed_actor: 'ada@example.com',
      reason: 'looks right',
    });
    expect(await actionThatIs(world, action, 'executed')).toMatchObject({ spend_usd: 5, policy_reason: 'ok' });
    expect((await world.run(call)).body).toMatchObject({
      decision: 'dedup',
      action_id: action,
      result: { args: { amount: 5 } },
    });
    expect(callsOf(world, tool)).toHaveLength(1);
    expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 5 });
    const { body } = await world.rest.get(`/v1/audit?agent_id=${agent}`);
    expect(
      body.items.map(({ type, actor }: { type: string; actor: string }) => [type, actor]).slice(0, 4),
    ).toMatchObject([
      ['action_dedup', expect.anything()],
      ['action_executed', expect.anything()],
      ['action_admitted', expect.anything()],
      ['approval_approved', decided.body.decided_by],
    ]);
  });

  test('is not made where it is denied, nor by a repeat, which asks anew', async () => {
    const { tool, call, action, approval } = await waiting();
    expect((await decide(approval?.id, 'deny', { reason: 'too much' })).body).toMatchObject({ status: 'denied' });
    expect(await actionThatIs(world, action, 'blocked')).toMatchObject({
      decision: 'blocked',
      policy_reason: 'approval_denied',
      spend_usd: 0,
    });
    const again = await world.run(call);
    expect(again.body).toMatchObject({ decision: 'pending', policy_reason: 'approval_required' });
    expect(again.body.action_id).not.toBe(action);
    expect(callsOf(world, tool)).toEqual([]);
  });

  test('gives its outcome to who waits for it', async () => {
    const { call } = await scene();
    const first = world.run({ ...call, wait: 30 });
    const approval = await eventually(async () => {
      const [open] = (await approvals('pending')).filter(({ tool }) => tool === call.tool);
      expect(open).toBeDefined();
      return open;
    });
    expect((await world.run(call)).body).toMatchObject({ decision: 'pending', action_id: approval?.action_id });
    const second = world.run({ ...call, wait: 30 });
    await decide(approval?.id, 'approve');
    expect((await first).body).toMatchObject({ decision: 'executed' });
    expect((await second).body).toMatchObject({ decision: 'dedup' });
  });

  test('is decided once', async () => {
    const { approval } = await waiting();
    const both = await Promise.all([decide(approval?.id, 'approve'), decide(approval?.id, 'deny')]);
    const late = await decide(approval?.id, 'approve');
    expect([...both, late].map(({ status }) => status).sort()).toEqual([200, 409, 409]);
    expect(late.body.detail.error).toBe('approval_decided');
    const unknown = await decide('apr_none', 'approve');
    expect([unknown.status, unknown.body.detail.error]).toEqual([404, 'approval_not_found']);
  });

  test('is looked at again when it is approved: limits and policy may have changed', async () => {
    const { agent, tool, action, approval, limits } = await waiting();
    await world.rest.post(`/v1/policies/${agent}`, { ...limits, max_spend_usd_per_day: 1 });
    await decide(approval?.id, 'approve');
    expect(await actionThatIs(world, action, 'blocked')).toMatchObject({
      policy_reason: 'max_spend_usd_per_day_exceeded',
      policy_version: 2,
    });
    expect(callsOf(world, tool)).toEqual([]);
    expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 0 });
  });

  test('is refused at once where it would be refused anyway', async () => {
    const { call } = await scene({ max_spend_usd_per_day: 1 });
    const { status, body } = await world.run(call);
    expect([status, body.decision, body.policy_reason]).toEqual([200, 'blocked', 'max_spend_usd_per_day_exceeded']);
  });

  test('stops waiting when its agent is disabled', async () => {
    const { agent, action, approval } = await waiting();
    const { body } = await world.rest.post(`/v1/agents/${agent}/disable`, {});
    expect(body).toMatchObject({ stopped: 1, in_flight: 0 });
    expect(await actionThatIs(world, action, 'blocked')).toMatchObject({ policy_reason: 'agent_disabled' });
    expect(await approvalOf(action)).toMatchObject({ status: 'expired' });
    expect((await decide(approval?.id, 'approve')).status).toBe(409);
    expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 0 });
  });

  test('waits through restarts of every process', async () => {
    const { tool, action, approval } = await waiting();
    await world.kill('worker', 'SIGKILL');
    await world.start('worker');
    await decide(approval?.id, 'approve');
    await actionThatIs(world, action, 'executed');
    expect(callsOf(world, tool)).toHaveLength(1);
  });

  test('is approved by a Temporal application through the workflow itself', async () => {
    const client = temporalOf(world);
    const { call, action } = await waiting();
    const { workflow_id } = (await world.rest.get(`/v1/actions/${action}`)).body;
    const handle = client.workflow.getHandle(workflow_id);
    expect(await handle.query('state')).toMatchObject({ step: 'waiting_approval' });
    await expect(handle.executeUpdate('approve', { args: [{}] })).rejects.toThrow();
    expect(await handle.executeUpdate('approve', { args: [{ actor: 'grace' }] })).toMatchObject({ status: 'approved' });
    expect(await handle.result()).toMatchObject({ decision: 'executed' });
    expect(await approvalOf(action)).toMatchObject({ decided_by: 'temporal', claimed_actor: 'grace' });
    expect((await world.run(call)).body.decision).toBe('dedup');
    await client.connection.close();
  });

  test('in a run holds the run, which goes on with the approval', async () => {
    const { agent, tool } = await scene();
    const key = unique('run');
    await world.rest.post('/v1/ai/run', { key, metadata: { agent_id: agent, actions: [{ tool }, { tool }] } });
    for (const n of [1, 2]) {
      const open = await eventually(async () => {
        const found = (await approvals('pending')).filter(({ agent_id }) => agent_id === agent);
        expect(found).toHaveLength(1);
        expect(callsOf(world, tool)).toHaveLength(n - 1);
        return found[0];
      });
      await decide(open?.id, 'approve');
    }
    await eventually(async () =>
      expect((await world.rest.get(`/v1/ai/result?key=${key}`)).body).toMatchObject({ status: 'completed' }),
    );
  });

  test('is pending in a dry run and in a simulation, and explained as such', async () => {
    const { agent, tool, action } = await waiting();
    const { body } = await world.rest.post(`/v1/policies/${agent}/simulate`, { call: { tool } });
    expect(body).toMatchObject({ decision: 'pending', policy_reason: 'approval_required' });
    expect((await world.rest.get(`/v1/decisions/${action}/explain`)).body).toMatchObject({
      decision: 'pending',
      policy_reason: 'approval_required',
      outcome: 'waiting_approval',
    });
  });
});

describe('what is approved is what was shown', () => {
  const toolNow = async (name: string) => (await world.rest.get(`/v1/tools/${name}`)).body;

  test('the approval names the tool as it is, where the call goes, and what it costs', async () => {
    const { tool, approval } = await waiting();
    const { url } = await toolNow(tool);
    expect(approval).toMatchObject({
      tool_version: 1,
      target: url,
      spend_usd: 5,
      policy_version: 1,
      rule: 'require_approval',
      claimed_actor: null,
    });
    expect((await world.rest.get(`/v1/approvals/${approval?.id}`)).body).toEqual(approval);
    expect((await world.rest.get('/v1/approvals/apr_none')).body.detail.error).toBe('approval_not_found');
  });

  test.each([
    ['address', (elsewhere: string) => ({ url: elsewhere })],
    ['price', (_: string, url: string) => ({ url, price_usd: 9 })],
    ['declaration', (_: string, url: string) => ({ url, idempotent: true })],
  ])('another %s of the tool by then is asked about anew', async (_what, change) => {
    const { tool, action, approval } = await waiting();
    const elsewhere = world.receiver.endpoint(`/${unique('elsewhere')}`, ok());
    const { url } = await toolNow(tool);
    await world.rest.post('/v1/tools', { name: tool, ...change(elsewhere, url) });
    const approved = await decide(approval?.id, 'approve', { actor: 'ada' });
    expect([approved.status, approved.body.detail.error]).toEqual([409, 'approval_superseded']);
    expect((await world.rest.get(`/v1/approvals/${approval?.id}`)).body.status).toBe('superseded');
    const anew = await eventually(async () => {
      const [open] = (await approvals('pending')).filter(({ action_id }) => action_id === action);
      expect(open).toBeDefined();
      return open;
    });
    expect(anew?.id).not.toBe(approval?.id);
    expect(anew).toMatchObject({ tool_version: 2, digest: approval?.digest });
    expect(world.receiver.calls.filter(({ path }) => elsewhere.endsWith(path))).toEqual([]);
    expect(callsOf(world, tool)).toEqual([]);
    expect((await decide(anew?.id, 'approve')).status).toBe(200);
    await actionThatIs(world, action, 'executed');
  });

  test('another price by the policy is found out when the call is ruled on again', async () => {
    const { agent, tool, action, approval, limits } = await waiting();
    await world.rest.post(`/v1/policies/${agent}`, { ...limits, pricing_rules: [{ tool, price_usd: 9 }] });
    expect((await decide(approval?.id, 'approve')).status).toBe(200);
    const anew = await eventually(async () => {
      const [open] = (await approvals('pending')).filter(({ action_id }) => action_id === action);
      expect(open).toMatchObject({ spend_usd: 9 });
      return open;
    });
    expect((await world.rest.get(`/v1/approvals/${approval?.id}`)).body.status).toBe('superseded');
    expect(callsOf(world, tool)).toEqual([]);
    await decide(anew?.id, 'approve');
    expect(await actionThatIs(world, action, 'executed')).toMatchObject({ spend_usd: 9 });
    const { items } = (await world.rest.get(`/v1/audit?agent_id=${agent}`)).body;
    expect(items.map(({ type }: { type: string }) => type).toReversed()).toEqual([
      'policy_set',
      'approval_requested',
      'policy_set',
      'approval_approved',
      'approval_superseded',
      'approval_requested',
      'approval_approved',
      'action_admitted',
      'action_executed',
    ]);
  });

  test('a decision that is late does not meet the call that has taken the key since', async () => {
    const { agent, tool, limits } = await scene({ max_spend_usd_per_day: 10_000 });
    await world.rest.post(`/v1/policies/${agent}`, { ...limits, max_spend_usd_per_day: 10_000 });
    const key = unique('key');
    const small = await world.run({ agent_id: agent, tool, args: { usd: 1 }, spend_usd: 1, idempotency_key: key });
    const shown = await approvalOf(small.body.action_id);
    await decide(shown?.id, 'deny');
    const large = await eventually(async () => {
      const { body } = await world.run({
        agent_id: agent,
        tool,
        args: { usd: 9_000 },
        spend_usd: 9_000,
        idempotency_key: key,
      });
      expect(body.decision).toBe('pending');
      expect(body.action_id).not.toBe(small.body.action_id);
      return body;
    });
    const late = await decide(shown?.id, 'approve');
    expect([late.status, late.body.detail.error]).toEqual([409, 'approval_decided']);
    expect(await approvalOf(large.action_id)).toMatchObject({ status: 'pending', spend_usd: 9_000 });
    expect(callsOf(world, tool)).toEqual([]);
  });

  test('a doubt is resolved for the action that is named, not for the one that has its key by now', async () => {
    const tool = await world.tool('wire', (call, n) => (n === 1 ? { hangUp: 'before_answer' } : ok()(call, n)));
    const call = { agent_id: unique('agent'), tool, args: {}, idempotency_key: unique('key') };
    const first = (await world.run(call)).body;
    await world.rest.post(`/v1/actions/${first.action_id}/resolve`, {
      outcome: 'not_executed',
      reason: 'looked it up',
    });
    const second = await eventually(async () => {
      const { body } = await world.run(call);
      expect(body.decision).toBe('executed');
      return body;
    });
    const late = await world.rest.post(`/v1/actions/${first.action_id}/resolve`, { outcome: 'executed' });
    expect([late.status, late.body.detail.error]).toEqual([409, 'action_not_in_doubt']);
    expect((await world.rest.get(`/v1/actions/${second.action_id}`)).body.status).toBe('executed');
  });
});

test('the list begins with the oldest that waits, has a cursor, and can be narrowed', async () => {
  const { agent, tool, call } = await scene();
  const ids: string[] = [];
  for (let n = 0; n < 5; n += 1) ids.push((await world.run({ ...call, args: { n } })).body.action_id);
  const path = `/v1/approvals?agent_id=${agent}&tool=${tool}`;
  await decide((await approvalOf(ids[0] as string))?.id, 'deny');
  const seen: string[] = [];
  for (let cursor = ''; ; ) {
    const { body, headers } = await world.rest.get(`${path}&limit=2${cursor && `&cursor=${cursor}`}`);
    seen.push(...body.map(({ action_id }: { action_id: string }) => action_id));
    cursor = headers.get('x-next-cursor') ?? '';
    if (cursor === '') break;
  }
  // What waits first, the oldest before the others; then what is decided.
  expect(seen).toEqual([...ids.slice(1), ids[0]]);
  expect((await world.rest.get(`${path}&status=denied`)).body).toHaveLength(1);
  for (const wrong of ['limit=0', 'limit=1001', 'cursor=nowhere', 'status=unheard'])
    expect((await world.rest.get(`/v1/approvals?${wrong}`)).status).toBe(422);
});
