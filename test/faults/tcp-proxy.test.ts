import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually } from './scene.ts';
import { startTcpProxy, type TcpProxy } from './suite/tcp-proxy.ts';

/** A server that remembers what it reads and answers each packet with `re:` and the packet. */
let seen: string;
let server: ReturnType<typeof createServer>;
let proxy: TcpProxy;
const clients: Socket[] = [];

beforeEach(async () => {
  seen = '';
  server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      seen += bytes;
      socket.write(`re:${bytes}`);
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  proxy = await startTcpProxy(server.address() as AddressInfo);
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await proxy.close();
  server.close();
});

async function dial() {
  const socket = connect(proxy.port, '127.0.0.1');
  clients.push(socket);
  const heard = { text: '', ended: false };
  socket.on('data', (bytes) => {
    heard.text += bytes;
  });
  socket
    .on('error', () => undefined)
    .once('close', () => {
      heard.ended = true;
    });
  await once(socket, 'connect');
  return { heard, say: (text: string) => void socket.write(text) };
}

test('passes bytes both ways', async () => {
  const { heard, say } = await dial();
  say('one');
  await eventually(() => expect(heard.text).toBe('re:one'));
  expect(proxy.connections()).toBe(1);
});

test('cuts behind a request: it arrives, its answer does not, and the next connection works', async () => {
  const { heard, say } = await dial();
  proxy.cutAfterRequest(1);
  say('lost');
  await eventually(() => expect(heard.ended).toBe(true));
  await eventually(() => expect(seen).toBe('lost'));
  expect(heard.text).toBe('');
  const next = await dial();
  next.say('two');
  await eventually(() => expect(next.heard.text).toBe('re:two'));
});

test('drops answers while connections stay open, and cuts those it dropped some of when it heals', async () => {
  const [used, idle] = [await dial(), await dial()];
  proxy.dropAnswers();
  used.say('asked');
  await eventually(() => expect(seen).toBe('asked'));
  await sleep(50);
  expect(used.heard).toEqual({ text: '', ended: false });
  await proxy.heal();
  await eventually(() => expect(used.heard.ended).toBe(true));
  idle.say('again');
  await eventually(() => expect(idle.heard.text).toBe('re:again'));
});

test('stalls: nothing is lost, it comes later', async () => {
  const { heard, say } = await dial();
  proxy.stall();
  const late = await dial();
  say('patience');
  late.say('too');
  await sleep(50);
  expect([heard.text, late.heard.text]).toEqual(['', '']);
  await proxy.heal();
  await eventually(() => expect([heard.text, late.heard.text]).toEqual(['re:patience', 're:too']));
});

test('refuses connections, cuts those that are open, and listens on the same port again', async () => {
  const { heard } = await dial();
  await proxy.refuse();
  await eventually(() => expect(heard.ended).toBe(true));
  await expect(dial()).rejects.toThrow('ECONNREFUSED');
  await proxy.heal();
  const next = await dial();
  next.say('back');
  await eventually(() => expect(next.heard.text).toBe('re:back'));
});

test('delays each packet and keeps their order', async () => {
  const { heard, say } = await dial();
  proxy.delay(60);
  const asked = Date.now();
  say('a');
  await sleep(20);
  say('b');
  await eventually(() => expect(heard.text).toBe('re:are:b'));
  expect(Date.now() - asked).toBeGreaterThanOrEqual(120);
});

test('ends a connection when either side does, and takes it away when its server is gone', async () => {
  const { heard } = await dial();
  await eventually(() => expect(proxy.connections()).toBe(1));
  clients.at(-1)?.end();
  await eventually(() => expect(heard.ended).toBe(true));
  await eventually(() => expect(proxy.connections()).toBe(0));
});
