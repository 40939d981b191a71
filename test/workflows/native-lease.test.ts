import { type Client, WithStartWorkflowOperation } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Lease, LeaseCall, LeaseInput } from '../../src/contracts/lease.ts';
import { leaseWorkflowId } from '../../src/domain/workflow-id.ts';
import type { lease } from '../../workflows/lease.ts';
import { temporalOf, untilAnswered } from '../faults/scene.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';
import { failureOf } from './failure.ts';
import { written } from './written.ts';

let world: World;
let client: Client;
let taskQueue: string;
beforeAll(async () => {
  world = await buildWorld({ roles: ['api', 'worker'] });
  client = temporalOf(world);
  taskQueue = world.env.TEMPORAL_TASK_QUEUE;
});
afterAll(async () => {
  await client.connection.close();
  await world.close();
});

describe('a lease taken by a Temporal application', () => {
  const acquire = (input: LeaseInput, caller?: LeaseCall['acquire']) =>
    client.workflow.executeUpdateWithStart<typeof lease, Lease, [LeaseCall['acquire']?]>('acquire', {
      args: [caller],
      startWorkflowOperation: new WithStartWorkflowOperation<typeof lease>('lease', {
        workflowId: leaseWorkflowId('default', input.key),
        taskQueue,
        args: [input],
        workflowIdConflictPolicy: 'USE_EXISTING',
      }),
    });
  const workflowOf = (key: string) => client.workflow.getHandle(leaseWorkflowId('default', key));

  test('is the same lease as through REST, and either of the two may go on with it', async () => {
    const key = unique('key');
    const mine = await acquire({ key, ttl: 600, owner: 'me' }, { owner: 'me' });
    expect(mine).toMatchObject({ status: 'acquired', version: 1, fence: 1, ttl: 600 });
    expect((await world.rest.post('/v1/ai/lease', { key })).body).toMatchObject({ status: 'polling', lease_id: null });
    expect((await world.rest.post('/v1/ai/lease', { key, owner: 'me' })).body.lease_id).toBe(mine.lease_id);
    expect(await acquire({ key, ttl: 600 })).toMatchObject({ status: 'polling', lease_id: null });
    expect(await workflowOf(key).query('state')).toMatchObject({ leaseId: mine.lease_id, version: 1 });

    const { lease_id } = mine;
    const extended = await workflowOf(key).executeUpdate('extend', { args: [{ lease_id, ttl: 900 }] });
    expect(extended).toMatchObject({ status: 'extended', version: 2, ttl: 900 });
    const done = await world.rest.post('/v1/ai/complete', { key, lease_id, result: { answer: 42 } });
    expect(done.body.status).toBe('completed');
    expect(await workflowOf(key).result()).toMatchObject({ status: 'completed', lease_id, version: 2 });
    expect(await acquire({ key, ttl: 600 })).toMatchObject({ status: 'completed' });
  });

  test.each([
    ['fail', { error_code: 'broken' }, 'failed'],
    ['cancel', { reason: 'not needed' }, 'canceled'],
  ])('and ended by %s closes as such, and reads failed through REST', async (how, said, type) => {
    const key = unique('key');
    const { lease_id } = await acquire({ key, ttl: 600 });
    const handle = workflowOf(key);
    expect(await handle.executeUpdate(how, { args: [{ lease_id, ...said }] })).toMatchObject({ status: 'failed' });
    expect((await failureOf(handle.result())).type).toBe(type);
    const { body } = await world.rest.get(`/v1/ai/status?key=${key}`);
    expect(body).toMatchObject({ status: 'failed', error_code: type === 'failed' ? 'broken' : 'canceled' });
  });

  test('for an owner is not given to another that happens to ask for it first', async () => {
    const key = unique('key');
    // As an API leaves it that dies between its start and its answer, while no worker is there.
    await world.kill('worker', 'SIGKILL');
    const options = { workflowId: leaseWorkflowId('default', key), taskQueue, args: [{ key, ttl: 600, owner: 'me' }] };
    const { workflowId } = await client.workflow.start('lease', options);
    const other = untilAnswered(() => world.rest.post('/v1/ai/lease', { key, owner: 'other' }));
    await world.start('worker');
    expect((await other).body).toMatchObject({ status: 'polling', lease_id: null });
    const mine = await world.rest.post('/v1/ai/lease', { key, owner: 'me' });
    expect(mine.body).toMatchObject({ status: 'acquired', fence: 1 });
    expect(await client.workflow.getHandle(workflowId).query('state')).toMatchObject({ owner: 'me' });
  });

  test.each([{ owner: 'me' }, {}])(
    'that ended in the database alone, as its worker died, is not granted again (%j)',
    async (owner) => {
      const key = unique('key');
      const dead = (await world.rest.post('/v1/ai/lease', { key, ttl: 600, ...owner })).body;
      await world.query(`update leases set state = 'canceled', done_at = clock_timestamp() where key = $1`, [key]);
      const { body } = await world.rest.post('/v1/ai/lease', { key, ttl: 600, ...owner });
      expect(body).toMatchObject({ status: 'acquired', fence: 2 });
      expect(body.lease_id).not.toBe(dead.lease_id);
      expect((await world.rest.post('/v1/ai/complete', { key, lease_id: body.lease_id })).body.status).toBe(
        'completed',
      );
    },
  );

  test.each<[string, unknown]>([
    ['nothing at all', undefined],
    ['null', null],
    ['NaN, as Python writes it,', written('{"key":"key","ttl":NaN}')],
    ['no key', { ttl: 60 }],
    ['a time that is no number', { key: 'key', ttl: 'long' }],
    ['no time at all', { key: 'key', ttl: 0 }],
    ['a tenant that cannot be', { tenant: '', key: 'key', ttl: 60 }],
  ])('with %s fails at once, and says why', async (_what, input) => {
    const options = { workflowId: unique('malformed-lease'), taskQueue, args: [input] };
    const failure = await failureOf(client.workflow.execute('lease', options));
    expect(failure).toMatchObject({ type: 'validation_error', nonRetryable: true });
  });

  test.each<[string, string, unknown]>([
    ['extend', 'validation_error', undefined],
    ['extend', 'validation_error', { lease_id: 'mine', ttl: -1 }],
    ['complete', 'validation_error', null],
    ['complete', 'validation_error', { lease_id: 'mine', result: [1] }],
    ['complete', 'lease_mismatch', { lease_id: 'another' }],
    ['fail', 'validation_error', { lease_id: 'mine' }],
    ['cancel', 'validation_error', {}],
    ['complete', 'validation_error', written('{"result":{"usd":NaN}}')],
    ['acquire', 'validation_error', written('{"owner":"me","owner":"you"}')],
  ])('refuses to %s (%s) by %j, and goes on', async (how, type, said) => {
    const key = unique('key');
    const { lease_id } = await acquire({ key, ttl: 600 });
    const named = said !== null && typeof said === 'object' && 'lease_id' in said && said.lease_id === 'mine';
    const argument = named ? { ...said, lease_id } : said;
    const failure = await failureOf(workflowOf(key).executeUpdate(how, { args: [argument] }));
    expect(failure.type).toBe(type);
    const { body } = await world.rest.post('/v1/ai/complete', { key, lease_id });
    expect(body).toMatchObject({ status: 'completed', version: 1 });
  });
});
