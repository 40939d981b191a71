import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { createTargetGuard } from '../../src/dispatch/guard.ts';
import { createAddressLookup } from '../../src/dispatch/names.ts';
import { createSender } from '../../src/dispatch/send.ts';
import { startNameServer, type Zone } from './name-server.ts';
import { wireServer } from './wire.ts';

const zone: Zone = {
  'tool.example': ['93.184.216.34', '2606:2800::1'],
  'one-kind.example': ['93.184.216.35'],
  'no-address.example': [],
  'broken.example': 'fails',
  'hangs.example': 'hangs',
  'billing.cluster.test': ['10.0.0.7'],
  'inner.example': ['127.0.0.1'],
};

let paths: { hosts: string; resolv: string };
let time: number;
beforeEach(async () => {
  const directory = await mkdtemp(join(tmpdir(), 'onceonly-names-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  paths = { hosts: join(directory, 'hosts'), resolv: join(directory, 'resolv.conf') };
  await writeFile(
    paths.hosts,
    '127.0.0.1 localhost\n# comment\n192.0.2.7\tTool-Box toolbox.test # behind\n::2 toolbox.test\n',
  );
  await writeFile(paths.resolv, 'search other.test cluster.test\noptions edns0 ndots:2\n');
  time = 1_000;
});

async function scene({ ttl = 60, deadlineMs = 5_000 } = {}) {
  const names = await startNameServer(zone, ttl);
  onTestFinished(() => names.close());
  const lookup = createAddressLookup({ servers: [names.server], files: paths, deadlineMs, now: () => time });
  const addresses = async (name: string) => (await lookup(name)).map(({ address }) => address);
  return { ...names, lookup, addresses };
}

test('a name has all its addresses, of both kinds or of one', async () => {
  const { lookup, addresses } = await scene();
  expect(await lookup('tool.example')).toEqual([
    { address: '93.184.216.34', family: 4 },
    { address: '2606:2800::1', family: 6 },
  ]);
  expect(await addresses('one-kind.example')).toEqual(['93.184.216.35']);
});

test.each([
  ['unknown.example', 'ENOTFOUND'],
  ['no-address.example', 'ENOTFOUND'],
  ['broken.example', 'EAI_AGAIN'],
])('%s has none: %s', async (name, code) => {
  const { lookup } = await scene();
  await expect(lookup(name)).rejects.toMatchObject({ code });
});

test('the hosts file comes first, in any case of letters, and as it is now', async () => {
  const { addresses, asked } = await scene();
  expect(await addresses('toolbox.test')).toEqual(['192.0.2.7', '::2']);
  expect(await addresses('TOOL-BOX')).toEqual(['192.0.2.7']);
  await writeFile(paths.hosts, '192.0.2.8 toolbox.test\n');
  time += 5_000;
  expect(await addresses('toolbox.test')).toEqual(['192.0.2.8']);
  expect(await addresses('localhost')).toEqual(['127.0.0.1', '::1']);
  expect(await addresses('any.localhost')).toEqual(['127.0.0.1', '::1']);
  expect(asked).toEqual([]);
});

test('a name that is not whole is looked for in the search list, as the system does', async () => {
  const { addresses, asked } = await scene();
  expect(await addresses('billing')).toEqual(['10.0.0.7']);
  expect(asked.filter((question) => question.endsWith(' A'))).toEqual([
    'billing.other.test A',
    'billing.cluster.test A',
  ]);
  await expect(addresses('billing.')).rejects.toMatchObject({ code: 'ENOTFOUND' });
  expect(asked.at(-1)).toMatch(/^billing A/);
});

test('a domain of the search list whose server fails hides no name of another', async () => {
  await writeFile(paths.resolv, 'search broken.test cluster.test\n');
  zone['billing.broken.test'] = 'fails';
  zone['nothing.broken.test'] = 'fails';
  const { lookup, addresses } = await scene();
  expect(await addresses('billing')).toEqual(['10.0.0.7']);
  await expect(lookup('nothing')).rejects.toMatchObject({ code: 'EAI_AGAIN' });
});

test('it is asked once for all who ask at once, and again when its time is over', async () => {
  const { addresses, asked } = await scene({ ttl: 10 });
  await Promise.all([1, 2, 3].map(() => addresses('tool.example.')));
  time += 9_999;
  await addresses('tool.example.');
  expect(asked.sort()).toEqual(['tool.example A', 'tool.example AAAA']);
  time += 2;
  await addresses('tool.example.');
  expect(asked).toHaveLength(4);
});

test.each([
  [0, 1],
  [86_400, 30_001],
])('what lives for %d s is asked for again after %d ms', async (ttl, ms) => {
  const { addresses, asked } = await scene({ ttl });
  await addresses('tool.example.');
  time += ms;
  await addresses('tool.example.');
  expect(asked).toHaveLength(4);
});

test('names whose server does not answer hold nobody up, and are given up', async () => {
  const { lookup, addresses } = await scene({ deadlineMs: 500 });
  let isOver = false;
  // One name is asked once: these are more than there are threads for files and look-ups.
  const hanging = Array.from({ length: 20 }, (_, n) => {
    zone[`hangs-${n}.example`] = 'hangs';
    return lookup(`hangs-${n}.example.`).catch((error: { code: string }) => error.code);
  });
  const over = Promise.all(hanging).then((codes) => {
    isOver = true;
    return codes;
  });
  expect(await addresses('tool.example.')).toHaveLength(2);
  expect(isOver).toBe(false);
  expect(new Set(await over)).toEqual(new Set(['EAI_AGAIN']));
});

test('a call goes to what was found and checked, and to nothing that is forbidden, remembered or not', async () => {
  const { lookup } = await scene();
  const server = await wireServer((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}'));
  onTestFinished(() => server.close());
  const call = { url: `https://inner.example:${server.port}/`, timeoutMs: 20_000, body: '{}', headers: {} };
  const strict = createSender({ guard: createTargetGuard([]), lookup });
  const lenient = createSender({ guard: createTargetGuard(['inner.example']), lookup });
  onTestFinished(async () => void (await Promise.all([strict.close(), lenient.close()])));
  for (const _ of [1, 2]) {
    expect(await strict.send(call)).toEqual({ kind: 'target_refused', error: 'address_not_allowed' });
  }
  const allowed = { ...call, url: call.url.replace('https', 'http') };
  expect(await lenient.send(allowed)).toMatchObject({ kind: 'response', httpStatus: 200 });
  expect(await lenient.send({ ...call, url: 'https://hangs.example/', timeoutMs: 300 })).toEqual({
    kind: 'not_sent',
    error: 'connect_timeout',
  });
});
