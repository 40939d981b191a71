import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';

/** What a name has: addresses, no record of the kind asked for, no such name, a server that fails, or no answer at all. */
export type Zone = Record<string, readonly string[] | 'fails' | 'hangs'>;

const KIND = { 1: 'A', 28: 'AAAA' } as Record<number, string>;

/** A name server on a free port of this machine; `asked` are the questions as they came, `name kind`. */
export async function startNameServer(zone: Zone, ttlSeconds: number) {
  const socket = createSocket('udp4');
  const asked: string[] = [];
  socket.on('message', (query, from) => {
    const [name, end] = questionOf(query);
    const kind = query.readUInt16BE(end);
    asked.push(`${name} ${KIND[kind]}`);
    const held = zone[name];
    if (held === 'hangs') return;
    const addresses = Array.isArray(held) ? held.filter((address) => isIPv6(address) === (kind === 28)) : [];
    const code = held === 'fails' ? 2 : held === undefined ? 3 : 0;
    const head = Buffer.alloc(12);
    query.copy(head, 0, 0, 2);
    head.writeUInt16BE(0x8180 | code, 2);
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(addresses.length, 6);
    const records = addresses.map((address) => recordOf(kind, ttlSeconds, address));
    socket.send(Buffer.concat([head, query.subarray(12, end + 4), ...records]), from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return {
    server: `127.0.0.1:${socket.address().port}`,
    asked,
    close: () => new Promise<void>((resolve) => socket.close(() => resolve())),
  };
}

function questionOf(query: Buffer): [name: string, end: number] {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += length + 1;
  }
  return [labels.join('.').toLowerCase(), at + 1];
}

function recordOf(kind: number, ttlSeconds: number, address: string): Buffer {
  const data = kind === 1 ? Buffer.from(address.split('.').map(Number)) : groupsOf(address);
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc00c, 0);
  head.writeUInt16BE(kind, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt32BE(ttlSeconds, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

/** Of an IPv6 address written with `::` once. */
function groupsOf(address: string): Buffer {
  const [left = [], right = []] = address.split('::').map((half) => half.split(':').filter(Boolean));
  const groups = [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
  return Buffer.from(groups.map((group) => group.padStart(4, '0')).join(''), 'hex');
}
