import { createHash, randomBytes } from 'node:crypto';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, constants as zlib } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bodyOf } from '../../src/dispatch/encoded-body.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

const gzip = (content: Buffer) => gzipSync(content);
const deflate = (content: Buffer) => deflateSync(content);
const br = (content: Buffer) => brotliCompressSync(content, { params: { [zlib.BROTLI_PARAM_QUALITY]: 4 } });

/** What is read of a body that comes in these pieces; undefined is a broken one. */
async function read(header: string | string[], pieces: Buffer[], success = true): Promise<unknown> {
  const body = bodyOf(success, header);
  for (const piece of pieces) if (body.add(piece)) break;
  return body.read();
}

const CHARGE = { charge_id: 'ch_1', note: 'größer 😀' };
const charge = Buffer.from(JSON.stringify(CHARGE));
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const described = (bytes: Buffer) => ({ bytes: bytes.length, sha256: sha256(bytes) });

describe.each([
  ['gzip', gzip],
  ['deflate', deflate],
  ['deflate', (content: Buffer) => deflateRawSync(content)],
  ['br', br],
])('%s (%#)', (coding, encode) => {
  test('is taken off, however the body was cut', async () => {
    const encoded = encode(charge);
    const cuts = fc.array(fc.nat(encoded.length));
    await fc.assert(
      fc.asyncProperty(cuts, async (places) => {
        const ends = [...places.sort((a, b) => a - b), encoded.length];
        const pieces = ends.map((end, i) => encoded.subarray(ends[i - 1] ?? 0, end));
        expect(await read(coding, pieces)).toEqual(CHARGE);
      }),
    );
  });

  test('that breaks off is broken, wherever', async () => {
    const encoded = encode(charge);
    for (let length = 1; length < encoded.length; length += 1) {
      expect(await read(coding, [encoded.subarray(0, length)])).toBeUndefined();
    }
  });

  test.each(['x', '\0', '\x1f\x8b', '{}'])('with %j behind its end is broken', async (behind) => {
    expect(await read(coding, [encode(charge), Buffer.from(behind, 'latin1')])).toBeUndefined();
  });

  test('of nothing is nothing, and so is a body of no bytes', async () => {
    expect(await read(coding, [encode(Buffer.alloc(0))])).toEqual({});
    expect(await read(coding, [])).toEqual({});
  });

  test('of 1 MiB is kept, of one byte more its content is counted and hashed', async () => {
    const [kept, longer] = [Buffer.alloc(MIB, 'x'), Buffer.alloc(MIB + 1, 'x')];
    expect(await read(coding, [encode(kept)])).toEqual({ value: kept.toString() });
    expect(await read(coding, [encode(longer)])).toEqual({ truncated: true, ...described(longer) });
  });

  test('of more than 16 MiB is not decoded to its end, and described as it came', async () => {
    const [most, bomb] = [Buffer.alloc(16 * MIB), encode(Buffer.alloc(16 * MIB + 1))];
    expect(await read(coding, [encode(most)])).toEqual({ truncated: true, ...described(most) });
    expect(await read(coding, [bomb])).toEqual({ truncated: true, content_encoding: coding, ...described(bomb) });
  });

  test('of more than 2 MiB is not decoded, and described as it came', async () => {
    const long = encode(randomBytes(2 * MIB));
    const result = { truncated: true, content_encoding: coding, ...described(long) };
    expect(await read(coding, [long.subarray(0, MIB), long.subarray(MIB)])).toEqual(result);
  });

  test('of a failure is read up to 64 KiB', async () => {
    const text = 'x'.repeat(64 * KIB);
    expect(await read(coding, [encode(charge)], false)).toEqual(CHARGE);
    expect(await read(coding, [encode(Buffer.from(text))], false)).toEqual({ value: text });
    expect(await read(coding, [encode(Buffer.alloc(20 * MIB, 'x'))], false)).toEqual({ value: text, truncated: true });
    expect(await read(coding, [encode(charge).subarray(1)], false)).toBeUndefined();
  });
});

describe('Content-Encoding', () => {
  test.each<[string | string[], Buffer]>([
    ['x-gzip', gzip(charge)],
    ['GZip', gzip(charge)],
    ['X-GZIP', gzip(charge)],
    ['BR', br(charge)],
    ['identity', charge],
    ['', charge],
    [' , ', charge],
    ['gzip, identity', gzip(charge)],
    ['gzip, br', br(gzip(charge))],
    [['gzip', 'br'], br(gzip(charge))],
    ['deflate ,br,GZIP', gzip(br(deflate(charge)))],
    ['br, gzip', gzip(Buffer.alloc(0))],
    ['gzip', Buffer.concat([gzip(charge.subarray(0, 9)), gzip(charge.subarray(9))])], // RFC 1952, section 2.2
  ])('%j is understood', async (header, bytes) => {
    expect(await read(header, [bytes])).toEqual(bytes.length < 30 ? {} : CHARGE);
  });

  test.each<[string, Buffer]>([
    ['gzip', charge],
    ['gzip', deflate(charge)],
    ['deflate', gzip(charge)],
    ['br', gzip(charge)],
    ['gzip, br', gzip(br(charge))],
    ['gzip, br', br(gzip(charge).subarray(0, 20))],
  ])('%s that the body does not have is a broken body', async (header, bytes) => {
    expect(await read(header, [bytes])).toBeUndefined();
  });

  test('of several layers is bounded in each', async () => {
    const result = { truncated: true, content_encoding: 'gzip, br' };
    for (const inner of [gzip(Buffer.alloc(20 * MIB)), gzip(randomBytes(2 * MIB)), Buffer.alloc(64 * MIB)]) {
      const bytes = br(inner);
      expect(await read('gzip, br', [bytes])).toEqual({ ...result, ...described(bytes) });
    }
  });

  test.each([
    ['zstd', 'zstd'],
    ['gzip, zstd', 'gzip, zstd'],
    ['gzip, gzip, gzip, gzip', 'gzip, gzip, gzip, gzip'],
    ['hasOwnProperty', 'hasownproperty'],
    [`${'é'.repeat(100)}`, '?'.repeat(64)],
  ])('%s is not understood, and the body described', async (header, name) => {
    const bytes = Buffer.from('28b52ffd0400110000', 'hex');
    expect(await read(header, [bytes])).toEqual({ undecoded: true, content_encoding: name, ...described(bytes) });
    expect(await read(header, [bytes], false)).toEqual({
      undecoded: true,
      content_encoding: name,
      ...described(bytes),
    });
  });

  test.each(['utf-8', 'none', 'aws-chunked'])('%s is no coding where the body is text all the same', async (header) => {
    expect(await read(header, [charge])).toEqual(CHARGE);
    expect(await read(header, [Buffer.from('done')])).toEqual({ value: 'done' });
    expect(await read(header, [])).toEqual({});
  });

  test('that is not understood does not lift the bounds', async () => {
    const long = Buffer.alloc(2 * MIB + 1, 'x');
    const result = { undecoded: true, content_encoding: 'zstd' };
    expect(await read('zstd', [long])).toEqual({ ...result, ...described(long) });
    expect(await read('zstd', [long], false)).toEqual(result);
    expect(await read('zstd', [long.subarray(0, MIB + 1)])).toEqual({
      truncated: true,
      ...described(long.subarray(0, MIB + 1)),
    });
  });

  test('of a failure stops it after 128 KiB, decoded or not', async () => {
    const body = bodyOf(false, 'gzip');
    expect(body.add(Buffer.alloc(128 * KIB))).toBe(false);
    expect(body.add(Buffer.alloc(1))).toBe(true);
    expect(await body.read()).toEqual({ truncated: true, content_encoding: 'gzip' });
  });
});
