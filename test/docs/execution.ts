import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import ts from 'typescript';
import { vi } from 'vitest';
import type { HttpRequest, ProgramLanguage, Sample, ShownAnswer } from './page.ts';
import { compared, filled, type Told } from './shown.ts';

/** Where the samples run, in place of where the page says that they do. */
export interface Place {
  readonly url: string;
  readonly key: string;
  /** What the page names, and what stands for it here. */
  readonly instead: Readonly<Record<string, string>>;
  /** Of the programs. */
  readonly env: NodeJS.ProcessEnv;
  /** The Python that has the official client. */
  readonly python: string | undefined;
}

type Answer = { readonly status: number; readonly headers: Headers; readonly text: string };

/** Executes a sample and holds its answer against the shown one; what has been told then. */
export async function execute(sample: Sample, place: Place, told: Told): Promise<Told> {
  if (sample.kind !== 'request') {
    const text = await printed(sample.kind, local(sample.source, place), place);
    return checked(sample.answer, { status: 200, headers: new Headers(), text }, told);
  }
  const ask = async () => checked(sample.answer, await send(sample.request, place, told), told);
  // What goes on by itself is read until it is as shown; what changes something is asked for once.
  return sample.request.method === 'GET' ? await vi.waitFor(ask, { timeout: 30_000, interval: 100 }) : await ask();
}

function checked({ status, headers, body }: ShownAnswer, answer: Answer, told: Told): Told {
  if (answer.status !== status) throw new Error(`the page shows ${status}, there is ${answer.status} ${answer.text}`);
  const known = compared(headers, Object.fromEntries(answer.headers), told, 'headers');
  if (body === undefined) return known;
  if ('text' in body) return compared(body.text, answer.text.replaceAll('\r\n', '\n').trimEnd(), known);
  return compared(body.json, JSON.parse(answer.text), known);
}

async function send({ method, path, headers, body }: HttpRequest, place: Place, told: Told): Promise<Answer> {
  const here = (text: string) => filled(local(text, place), told);
  const own = Object.entries(headers).map(([name, value]) => [name, here(value)]);
  const response = await fetch(place.url + here(path), {
    method,
    headers: {
      authorization: `Bearer ${place.key}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...Object.fromEntries(own),
    },
    ...(body !== undefined && { body: here(body) }),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

const local = (text: string, { instead }: Place): string =>
  Object.entries(instead).reduce((changed, [shown, here]) => changed.replaceAll(shown, here), text);

async function printed(language: ProgramLanguage, source: string, { env, python }: Place): Promise<string> {
  const [command, ...args] = commands[language](source, python);
  const { stdout } = await promisify(execFile)(command, args, { env, timeout: 60_000 });
  return stdout;
}

const commands: Record<ProgramLanguage, (source: string, python: string | undefined) => [string, ...string[]]> = {
  sh: (source) => ['bash', '-c', source],
  python: (source, python = 'python3') => [python, '-c', source],
  ts: (source) => [process.execPath, compiled(source)],
};

/** Written where the packages that it imports are found. */
function compiled(source: string): string {
  const directory = fileURLToPath(new URL('../../node_modules/.cache/api-page', import.meta.url));
  const options = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
  mkdirSync(directory, { recursive: true });
  writeFileSync(`${directory}/sample.mjs`, ts.transpileModule(source, { compilerOptions: options }).outputText);
  return `${directory}/sample.mjs`;
}
