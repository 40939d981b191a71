import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildWorld, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld({ roles: ['api'] });
});
afterAll(() => world.close());

const append = (body: object, rest = world.rest) => rest.post('/v1/events', { type: 'note', ...body });
const timeline = async (run: string) => (await world.rest.get(`/v1/runs/${run}`)).body;

test('ids are numbers and times whole seconds, as on the vendor’s wire', async () => {
  const run = unique('run');
  const { body } = await append({ run_id: run, ts: 1_764_288_000.75 });
  expect(body).toEqual({ ok: true, event_id: expect.toSatisfy(Number.isSafeInteger), run_id: run });
  expect((await timeline(run)).events).toMatchObject([{ id: body.event_id, ts: 1_764_288_000 }]);
  const { items } = (await world.rest.get(`/v1/runs?q=${run}`)).body;
  expect(items).toMatchObject([{ run_id: run, last_ts: 1_764_288_000 }]);
});

test.each<[unknown, number]>([
  [1_764_288_000, 1_764_288_000],
  [1_764_288_000_123, 1_764_288_000],
  [1_000_000_000_000, 1_000_000_000],
  [4_102_444_800, 4_102_444_800],
  [4_102_444_800_000, 4_102_444_800],
  [0, 0],
])('a ts of %j is %i s', async (ts, seconds) => {
  const run = unique('run');
  expect((await append({ run_id: run, ts })).status).toBe(200);
  expect((await timeline(run)).events[0].ts).toBe(seconds);
});

test.each([[-1], [4_102_444_801], [999_999_999_999], [4_102_444_800_001], ['1764288000'], [Number.MAX_SAFE_INTEGER]])(
  'a ts of %j is refused',
  async (ts) => {
    const { status, body } = await append({ run_id: unique('run'), ts });
    expect([status, body.detail[0].loc]).toEqual([422, ['body', 'ts']]);
  },
);

test('the same moment in seconds and in milliseconds is the same event', async () => {
  const run = unique('run');
  const ids = [await append({ run_id: run, ts: 1_764_288_000 }), await append({ run_id: run, ts: 1_764_288_000_000 })];
  expect(new Set(ids.map(({ body }) => body.event_id)).size).toBe(1);
});

test.each([
  [12.4, 12],
  [12.6, 13],
  [0.2, 0],
  [2_147_483_647, 2_147_483_647],
])('a duration of %d ms is kept as %i', async (duration_ms, kept) => {
  const run = unique('run');
  await append({ run_id: run, duration_ms });
  expect((await timeline(run)).events[0].duration_ms).toBe(kept);
});

test('what a client says beyond the fields is kept under data, whose own members go before', async () => {
  const run = unique('run');
  await append({ run_id: run, model: 'm-1', usage: { tokens: 5 }, step: null, both: 'outer', data: { both: 'own' } });
  expect((await timeline(run)).events).toMatchObject([
    { step: null, data: { model: 'm-1', usage: { tokens: 5 }, both: 'own' } },
  ]);
  const plain = unique('run');
  await append({ run_id: plain });
  expect((await timeline(plain)).events).toMatchObject([{ data: null }]);
});

describe('an event without a ts', () => {
  test('that the same key sends again within a minute is the same, however many at once', async () => {
    const run = unique('run');
    const answers = await Promise.all(Array.from({ length: 8 }, () => append({ run_id: run, message: 'once' })));
    answers.push(await append({ run_id: run, message: 'once' }));
    expect(new Set(answers.map(({ status, body }) => `${status} ${body.event_id}`)).size).toBe(1);
    expect((await timeline(run)).total).toBe(1);
  });

  test('that differs, or is another key’s, is another', async () => {
    const run = unique('run');
    await append({ run_id: run, message: 'one' });
    await append({ run_id: run, message: 'two' });
    await append({ run_id: run, message: 'one' }, await world.key('default'));
    expect((await timeline(run)).total).toBe(3);
  });

  test('is another after that minute, and recognised again', async () => {
    const run = unique('run');
    const first = (await append({ run_id: run })).body.event_id;
    await world.query(`update events set ts = ts - interval '61 seconds' where run_id = $1`, [run]);
    const second = await Promise.all([append({ run_id: run }), append({ run_id: run }), append({ run_id: run })]);
    const [id, ...others] = new Set(second.map(({ body }) => body.event_id));
    expect(others).toEqual([]);
    expect(id).not.toBe(first);
    expect((await timeline(run)).total).toBe(2);
  });
});

describe('what has to be done does not fail for its comment', () => {
  const long = `${'\u{1f642}'.repeat(600)}x`;

  test.each([
    ['fail', { error_code: long }, 128],
    ['cancel', { reason: long }, 512],
  ])('%s with a long text ends the lease, and the text is cut', async (how, said, length) => {
    const key = unique('lease');
    const { lease_id } = (await world.rest.post('/v1/ai/lease', { key, ttl: 60 })).body;
    const { status, body } = await world.rest.post(`/v1/ai/${how}`, { key, lease_id, ...said });
    expect([status, body.status]).toEqual([200, 'failed']);
    const again = await world.rest.post(`/v1/ai/${how}`, { key, lease_id, ...said });
    expect([again.status, again.body.error_code]).toEqual([200, body.error_code]);
    const cut = '\u{1f642}'.repeat(length);
    const [line] = await world.query(
      `select detail from audit where key = $1 and type in ('ai_failed', 'ai_canceled')`,
      [key],
    );
    expect(how === 'fail' ? body.error_code : JSON.stringify(line)).toContain(cut);
    expect(JSON.stringify([body, line])).not.toContain(`${cut}\u{1f642}`);
  });

  test('disable and kill stop all the same', async () => {
    const agent = unique('agent');
    const { status, body } = await world.rest.post(`/v1/agents/${agent}/disable`, { reason: long });
    expect([status, body.disabled_reason]).toEqual([200, '\u{1f642}'.repeat(512)]);
    const killed = await world.rest.post('/v1/kill', { scope: 'tenant', reason: long });
    expect(killed.status).toBe(200);
    await world.rest.post('/v1/unkill', { scope: 'tenant' });
  });
});
