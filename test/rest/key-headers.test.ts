import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ok } from '../../src/dev/behaviours.ts';
import { callsOf } from '../faults/scene.ts';
import { talk } from '../stack/raw-http.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

let world: World;
let tool: string;
beforeAll(async () => {
  world = await buildWorld();
  tool = await world.tool('charge', ok());
});
afterAll(() => world.close());

/** As a client sends it: header lines one by one, a byte for a character. */
async function send(path: string, body: object, ...lines: string[]) {
  const text = JSON.stringify(body);
  const head = [
    `POST ${path} HTTP/1.1`,
    'Host: x',
    'Connection: close',
    'Content-Type: application/json',
    `Authorization: Bearer ${world.rest.key}`,
    `Content-Length: ${Buffer.byteLength(text)}`,
    ...lines,
  ];
  const [answer] = await talk(world.rest.url, Buffer.from(`${head.join('\r\n')}\r\n\r\n${text}`, 'latin1'));
  return { status: answer?.status, body: JSON.parse(answer?.body ?? 'null') };
}

/** What names no one key, with `K` for it. */
const unusable: Array<[string, string[]]> = [
  ['two', ['Name: K', 'Name: L']],
  ['two that are the same', ['Name: K', 'Name: K']],
  ['two strings', ['Name: "K"', 'Name: "K"']],
  ['two whose joint would be a string', ['Name: "K', 'Name: L"']],
  ['two, in another case', ['Name: K', 'NAME: K']],
  ['two that a proxy has joined', ['Name: K, K']],
  ['two strings that a proxy has joined', ['Name: "K", "K"']],
  ['two joined without space', ['Name: K,K']],
  ['nothing', ['Name:']],
  ['an empty string', ['Name: ""']],
  ['a string that does not end', ['Name: "K']],
  ['a string with something behind it', ['Name: "K"x']],
  ['a string with parameters', ['Name: "K";a=1']],
  ['an escape that is none', ['Name: "K\\n"']],
  ['a bare one with space', ['Name: K L']],
  ['a bare one with a quote', ['Name: K"L']],
  ['a bare one with a tab', ['Name: K\tL']],
  ['bytes beyond ASCII', ['Name: caf\xe9']],
  ['bytes beyond ASCII in a string', ['Name: "caf\xc3\xa9"']],
  ['what is too long', [`Name: ${'x'.repeat(257)}`]],
];

const named = (name: string, lines: readonly string[]) => lines.map((line) => line.replace(/^name/i, name));

describe.each<[string, string, () => object]>([
  ['Idempotency-Key', '/v1/ai/run', () => ({ agent_id: 'a', tool, args: { of: unique('call') } })],
  ['Idempotency-Key', '/v1/events', () => ({ run_id: unique('run'), type: 'note' })],
  ['Idempotency-Key', '/v1/keys', () => ({ name: unique('key') })],
  ['Idempotency-Key', '/v1/tenants', () => ({ tenant: unique('t') })],
  ['X-OnceOnly-Owner', '/v1/check-lock', () => ({ key: unique('key') })],
  ['X-OnceOnly-Owner', '/v1/ai/lease', () => ({ key: unique('key') })],
  ['X-OnceOnly-Owner', '/v1/ai/run', () => ({ key: unique('key'), metadata: {} })],
])('%s of %s', (name, path, bodyOf) => {
  test.each(unusable)('that is %s is refused, and nothing is done', async (_what, lines) => {
    const { status, body } = await send(path, bodyOf(), ...named(name, lines));
    expect([status, body.detail[0].loc]).toEqual([422, ['header', name]]);
    expect(callsOf(world, tool)).toHaveLength(0);
  });
});

describe('an Idempotency-Key', () => {
  /** The bare form, the string of RFC 8941, and the key itself. */
  test.each<[string, string | undefined, string, string]>([
    ['bare and in quotes', 'K:1/x', '"K:1/x"', 'K:1/x'],
    ['with a backslash', 'a\\b', '"a\\\\b"', 'a\\b'],
    ['with a quote', undefined, '"say \\"K\\""', 'say "K"'],
    ['with a comma', undefined, '"a, b"', 'a, b'],
  ])('%s is one key, in the body too', async (_what, bare, quoted, key) => {
    const mark = unique('mark');
    const call = { agent_id: unique('a'), tool, args: { mark } };
    const ofBody = { ...call, idempotency_key: `${mark}${key}` };
    const line = `Idempotency-Key: "${mark}${quoted.slice(1)}`;
    const answers = [
      await send('/v1/ai/run', call, line),
      await send('/v1/ai/run', call, bare === undefined ? line : `idempotency-key: ${mark}${bare}`),
      await send('/v1/ai/run', ofBody),
      await send('/v1/ai/run', ofBody, line),
    ];
    expect(answers.map(({ body }) => body.decision)).toEqual(['executed', 'dedup', 'dedup', 'dedup']);
    expect(callsOf(world, tool).filter(({ body }) => Object(body.args).mark === mark)).toHaveLength(1);
  });

  test('and another in the body are refused', async () => {
    const call = { agent_id: 'a', tool, args: {}, idempotency_key: 'K' };
    expect((await send('/v1/ai/run', call, 'Idempotency-Key: L')).status).toBe(422);
  });
});

/** Each way in which a client can say who asks. */
const ways: Array<[string, (owner: string, body: object) => [object, ...string[]]]> = [
  ['owner', (owner, body) => [{ ...body, owner }]],
  ['X-OnceOnly-Owner', (owner, body) => [body, `X-OnceOnly-Owner: ${owner}`]],
  ['X-OnceOnly-Owner in quotes', (owner, body) => [body, `X-OnceOnly-Owner: "${owner}"`]],
  ['metadata.onceonly_owner', (owner, body) => [{ ...body, metadata: { onceonly_owner: owner } }]],
];

const owned: Array<[string, string, string[]]> = [
  ['a lock', '/v1/check-lock', ['locked', 'duplicate']],
  ['a lease', '/v1/ai/lease', ['acquired', 'polling']],
];

describe.each(owned)('%s', (_what, path, [granted, taken]) => {
  test.each(ways)('whose answer was lost is had again by its owner, named by %s', async (_way, say) => {
    const body = { key: unique('key'), ttl: 60 };
    const first = await send(path, ...say('me', body));
    const again = await send(path, ...say('me', body));
    const other = await send(path, ...say('you', body));
    expect([first, again, other].map((answer) => answer.body.status)).toEqual([granted, granted, taken]);
    expect(again.body.lease_id).toBe(first.body.lease_id);
    expect(other.body.lease_id ?? null).toBeNull();
    // However it is said, it is the same owner.
    for (const [, other] of ways) expect((await send(path, ...other('me', body))).body.status).toBe(granted);
  });

  test('that names two owners is refused, and not taken', async () => {
    const body = { key: unique('key') };
    const both = { ...body, owner: 'me', metadata: { onceonly_owner: 'you' } };
    expect((await send(path, both)).body.detail[0].loc).toEqual(['body', 'owner']);
    expect((await send(path, { ...body, owner: 'me' }, 'X-OnceOnly-Owner: you')).status).toBe(422);
    expect((await send(path, { ...both, owner: 'you' }, 'X-OnceOnly-Owner: you')).body.status).toBe(granted);
  });

  test.each([[5], [''], ['x'.repeat(129)], [['me']]])('whose metadata names %j as owner is refused', async (owner) => {
    const { status, body } = await send(path, { key: unique('key'), metadata: { onceonly_owner: owner } });
    expect([status, body.detail[0].loc]).toEqual([422, ['body', 'metadata', 'onceonly_owner']]);
  });

  test('is kept without the owner in its metadata: whoever reads the trail could take it', async () => {
    const key = unique('key');
    await send(path, { key, metadata: { onceonly_owner: 'my-secret', of: 'mine' } });
    const rows = await world.query('select * from audit where key = $1', [key]);
    const leases = await world.query('select metadata from leases where key = $1', [key]);
    expect(JSON.stringify([rows, leases])).toContain('mine');
    expect(JSON.stringify([rows, leases])).not.toContain('my-secret');
  });
});

test.each(ways)('a run whose answer was lost is had again by its owner, named by %s', async (_way, say) => {
  const [key, mark] = [unique('run'), unique('mark')];
  const slow = await world.tool('slow', async (...asked) => {
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    return ok()(...asked);
  });
  const metadata = { agent_id: unique('a'), actions: [{ tool: slow, args: { mark } }] };
  const run = (owner: string) => {
    const [body, ...lines] = say(owner, { key });
    return send('/v1/ai/run', { ...body, metadata: { ...metadata, ...Object(body).metadata } }, ...lines);
  };
  const first = await run('me');
  const [again, other] = [await run('me'), await run('you')];
  expect([first, again, other].map(({ body }) => body.status)).toEqual(['acquired', 'acquired', 'polling']);
  expect(again.body.lease_id).toBe(first.body.lease_id);
  await expect
    .poll(async () => (await world.rest.get(`/v1/ai/status?key=${key}`)).body.status, { timeout: 30_000 })
    .toBe('completed');
  expect(callsOf(world, slow)).toHaveLength(1);
});
