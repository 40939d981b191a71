import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** An answer as it came over the wire. */
export interface RawAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Opens a connection to where `url` listens. */
export async function open(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  // A connection that the server resets is closed like any other; tests look at what came before.
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

/** Everything the server sends until it closes the connection. */
export async function untilClosed(socket: Socket): Promise<RawAnswer[]> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => void chunks.push(chunk));
  await once(socket, 'close');
  return answersIn(Buffer.concat(chunks).toString('latin1'));
}

/** Sends these packets, one after the other, and reads what comes back until the server closes the connection. */
export async function talk(url: string, ...packets: ReadonlyArray<string | Uint8Array>): Promise<RawAnswer[]> {
  const socket = await open(url);
  const answers = untilClosed(socket);
  for (const packet of packets) {
    if (socket.writable) await new Promise<void>((sent) => socket.write(packet, () => sent()));
  }
  return await answers;
}

/** Answers one behind the other, a character for a byte; each says its length. */
function answersIn(text: string): RawAnswer[] {
  const answers: RawAnswer[] = [];
  for (let rest = text; rest !== ''; ) {
    const headEnd = rest.indexOf('\r\n\r\n');
    const [first = '', ...lines] = rest.slice(0, headEnd).split('\r\n');
    const [, status] = /^HTTP\/1\.1 (\d{3}) /.exec(first) ?? [];
    if (status === undefined) throw new Error(`not an answer: ${rest.slice(0, 200)}`);
    const headers = Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
    );
    const end = headEnd + 4 + Number(headers['content-length'] ?? rest.length);
    answers.push({
      status: Number(status),
      headers,
      body: Buffer.from(rest.slice(headEnd + 4, end), 'latin1').toString(),
    });
    rest = rest.slice(end);
  }
  return answers;
}
