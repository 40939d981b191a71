import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Streamed } from './route.ts';
import { expectReading } from './server.ts';

/**
 * Sends an answer as it is made, no faster than the client reads. A client that hangs up ends its making, and so does one
 * that reads nothing for `patienceMs`; the making itself may take as long as it needs.
 *
 * @throws what the making throws; once a part has been sent the connection is broken with it, so that nobody takes the
 * part for the whole.
 */
export async function stream(
  { contentType, chunks, headers }: Streamed,
  response: ServerResponse,
  patienceMs: number,
): Promise<void> {
  const parts = chunks[Symbol.asyncIterator]();
  // Until the first part is there, a fault can still be an answer of its own.
  const first = await parts.next();
  response.statusCode = 200;
  response.setHeaders(new Map(Object.entries({ 'Content-Type': contentType, ...headers })));
  try {
    await pipeline(
      Readable.from(
        beginningWith(first, parts, (reads) => expectReading(response, reads ? patienceMs : 0)),
        { highWaterMark: 1 },
      ),
      response,
    );
  } catch (error) {
    if (!isHangUp(error)) throw error;
  }
}

async function* beginningWith(
  first: IteratorResult<string>,
  rest: AsyncIterator<string>,
  isReadersTurn: (is: boolean) => void,
): AsyncGenerator<string> {
  try {
    for (let part = first; !part.done; part = await rest.next()) {
      isReadersTurn(true);
      yield part.value;
      isReadersTurn(false);
    }
  } finally {
    await rest.return?.();
  }
}

const isHangUp = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'ERR_STREAM_PREMATURE_CLOSE';
