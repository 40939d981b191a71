import { randomUUID } from 'node:crypto';
import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { type RefusalCode, refusals } from '../contracts/errors.ts';
import { detailOf } from './errors.ts';
import { MAX_URL } from './sound-request.ts';

/** How long a client that was told what is wrong may take to hang up. */
const LINGER_MS = 2_000;

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/**
 * Answers what is no HTTP request, or is too large or too slow to become one, in the shape of every other refusal, and then
 * closes the connection: nobody can tell where the next request would begin. Answers keep the order of their requests, and
 * one that has begun is broken off rather than mixed with another.
 */
export function answerBrokenRequests(server: Server): void {
  const exchanges = new WeakMap<Duplex, Exchange[]>();
  const refused = new WeakSet<Duplex>();
  const openOn = (socket: Duplex) =>
    (exchanges.get(socket) ?? []).filter(({ request, response }) => !(request.complete && response.closed));

  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    exchanges.set(request.socket, [...openOn(request.socket), { request, response }]);
  });

  server.on('clientError', (error: NodeJS.ErrnoException & { rawPacket?: Buffer }, socket) => {
    // What a client still sends after its refusal is no request either.
    if (refused.has(socket)) return;
    refused.add(socket);
    const code = refusalOf(error);
    if (code === undefined || !socket.writable || isSilent(socket)) return void socket.destroy();
    const open = openOn(socket);
    const broken = open.find(({ request }) => !request.complete);
    const last = open.at(-1);
    if (broken?.response.headersSent) return void socket.destroy();
    if (broken !== undefined) return refuse(broken.response, code, socket);
    if (last === undefined) return end(socket, rawAnswer(code));
    last.response.once('close', () => end(socket, rawAnswer(code)));
  });
}

/** The parser's own codes (https://github.com/nodejs/llhttp) and Node's; any other fault is the connection's. */
function refusalOf({ code, rawPacket }: NodeJS.ErrnoException & { rawPacket?: Buffer }): RefusalCode | undefined {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'request_timeout';
  if (code === 'HPE_HEADER_OVERFLOW') return isLongLine(rawPacket) ? 'uri_too_long' : 'headers_too_large';
  if (code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW') return 'payload_too_large';
  return code?.startsWith('HPE_') ? 'bad_request' : undefined;
}

/** Whether it was the request line that did not end, as far as one packet shows. */
function isLongLine(packet: Buffer = Buffer.alloc(0)): boolean {
  const end = packet.indexOf('\n');
  return /^[A-Z]+ \//.test(packet.toString('latin1', 0, 32)) && (end === -1 || end > MAX_URL);
}

/** A connection that was only opened, ahead of need, is closed without a word. */
const isSilent = (socket: Duplex): boolean => 'bytesRead' in socket && socket.bytesRead === 0;

const bodyOf = (code: RefusalCode): string => JSON.stringify({ detail: detailOf(code) });

const headersOf = (body: string) => ({
  'Content-Type': 'application/json; charset=utf-8',
  'Content-Length': Buffer.byteLength(body),
  Connection: 'close',
});

/** The request has reached its handler, and the rest of its body will never come. */
function refuse(response: ServerResponse, code: RefusalCode, socket: Duplex): void {
  response.once('close', () => end(socket, ''));
  const body = bodyOf(code);
  response.writeHead(refusals[code].status, headersOf(body)).end(body);
}

function rawAnswer(code: RefusalCode): string {
  const [{ status }, body] = [refusals[code], bodyOf(code)];
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `X-Request-Id: ${randomUUID()}`,
    ...Object.entries(headersOf(body)).map(([name, value]) => `${name}: ${value}`),
    '',
    body,
  ].join('\r\n');
}

/** A connection closed at once, with bytes unread, would be reset, and the answer lost on its way. */
function end(socket: Duplex, text: string): void {
  if (socket.destroyed) return;
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => clearTimeout(timer));
  socket.end(text);
}
