import { createBrotliDecompress, createGunzip, createInflate, createInflateRaw } from 'node:zlib';

const DECODERS = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  // The zlib format it should be (RFC 9110, section 8.4.1.2), or the bare stream that some servers send: a zlib header
  // begins with compression method 8 (RFC 1950, section 2.2).
  deflate: (options: { chunkSize: number }, bytes: Buffer) =>
    ((bytes[0] ?? 0) & 0x0f) === 8 ? createInflate(options) : createInflateRaw(options),
  br: createBrotliDecompress,
} as const;

/** A content coding that can be taken off. */
export type Coding = keyof typeof DECODERS;

/** Longer lists are no server's doing. */
const MOST_CODINGS = 3;
const PIECE_BYTES = 64 * 1024;

/**
 * The names in a Content-Encoding header in lower case, in the order in which they were applied (RFC 9110, section 8.4).
 * `identity` is none.
 */
export function codingNames(header: string | string[] | undefined): string[] {
  const names = [header ?? []].flat().join(',').toLowerCase().split(',');
  return names.map((name) => name.trim()).filter((name) => name !== '' && name !== 'identity');
}

/** Whether each can be taken off, and there are at most 3. */
export function areKnown(names: string[]): names is Coding[] {
  return names.length <= MOST_CODINGS && names.every((name) => Object.hasOwn(DECODERS, name));
}

/**
 * Takes one coding off `bytes`. `take` gets the content in pieces of at most 64 KiB and says when it has enough; then
 * the rest is not looked at: `stopped`. `broken`: the bytes are not what the coding's name says, break off, or go on
 * behind its end (an error to browsers, too: https://compression.spec.whatwg.org/). Never rejects.
 */
export function decode(
  coding: Coding,
  bytes: Buffer,
  take: (piece: Buffer) => boolean,
): Promise<'whole' | 'broken' | 'stopped'> {
  const decoder = DECODERS[coding]({ chunkSize: PIECE_BYTES }, bytes);
  return new Promise((settle) => {
    const finish = (how: 'whole' | 'broken' | 'stopped') => {
      settle(how);
      decoder.destroy();
    };
    decoder.on('data', (piece: Buffer) => {
      if (!decoder.destroyed && take(piece)) finish('stopped');
    });
    decoder.on('end', () => finish(decoder.bytesWritten === bytes.length ? 'whole' : 'broken'));
    decoder.on('error', () => finish('broken'));
    decoder.end(bytes);
  });
}
