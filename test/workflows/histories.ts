import { readdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import proto, { type temporal } from '@temporalio/proto';

const { History } = proto.temporal.api.history.v1;
const directory = fileURLToPath(new URL('../histories', import.meta.url));
const fileOf = (name: string) => `${directory}/${name}.json`;

/** The names of all recorded histories. */
export const recorded = async (): Promise<string[]> =>
  (await readdir(directory)).filter((file) => file.endsWith('.json')).map((file) => file.slice(0, -'.json'.length));

export const textOf = (name: string): Promise<string> => readFile(fileOf(name), 'utf8');

export const historyOf = async (name: string) => History.fromObject(JSON.parse(await textOf(name)));

/** Keeps a history without the traces of where it took place, which are nobody's business and no part of a replay. */
export async function keep(name: string, history: temporal.api.history.v1.IHistory): Promise<void> {
  const plain = History.toObject(History.fromObject(history), { bytes: String, longs: String, enums: String });
  await writeFile(fileOf(name), `${JSON.stringify(plain, withoutTraces, 1)}\n`);
}

function withoutTraces(name: string, value: unknown): unknown {
  if (name === 'stackTrace') return '';
  if (name === 'identity') return 'recorded';
  const isSticky = typeof value === 'object' && value !== null && 'normalName' in value && value.normalName !== '';
  return isSticky ? { ...value, name: 'sticky' } : value;
}
