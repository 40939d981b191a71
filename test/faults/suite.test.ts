import { randomInt } from 'node:crypto';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { violationsOf } from './suite/checker.ts';
import { type Episode, playEpisode } from './suite/episode.ts';
import type { Violation } from './suite/history.ts';
import { asMarkdown, reportOf } from './suite/report.ts';

/** `FAULT_SEED=… FAULT_MINUTES=… npm run test:faults` plays the same choices and the same faults again. */
const seed = Number(process.env.FAULT_SEED ?? randomInt(1e9));
const minutes = Number(process.env.FAULT_MINUTES ?? 0.75);
const again = `FAULT_SEED=${seed} FAULT_MINUTES=${minutes} npm run test:faults`;
/** Where an earlier episode was kept: it is judged anew, and none is played. */
const kept = process.env.FAULT_KEPT;
const page = new URL('../../docs/reliability.md', import.meta.url);
const SHOWN = 40;

const say = (line: string) => void process.stdout.write(`${line}\n`);

test(`whatever breaks, what was promised holds (${again})`, { timeout: minutes * 60_000 + 600_000 }, async () => {
  say(again);
  const episode = kept === undefined ? await playEpisode(seed, minutes, say) : await readEpisode(kept);
  const violations = violationsOf(episode.history);
  const report = asMarkdown(reportOf(episode.history, episode.faults, violations));
  say(`\n${report}\n`);
  if (process.env.FAULT_REPORT) await writeReport(report);
  if (violations.length > 0 && kept === undefined) await explain(episode, violations);
  expect(violations.slice(0, SHOWN)).toEqual([]);
});

async function explain(episode: Episode, violations: readonly Violation[]): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'onceonly-violations-'));
  const keep = (name: string, value: unknown) => writeFile(join(directory, name), JSON.stringify(value, null, 1));
  await Promise.all([
    keep('violations.json', violations),
    keep('history.json', episode.history),
    keep('faults.json', episode.faults),
    ...[...episode.logs].map(([name, log]) => writeFile(join(directory, `${name}.log`), log)),
  ]);
  say(`${violations.length} violations; what was seen and logged is in ${directory}. Again with\n${again}`);
}

async function readEpisode(directory: string): Promise<Episode> {
  const read = async (name: string) => JSON.parse(await readFile(join(directory, name), 'utf8'));
  return { history: await read('history.json'), faults: await read('faults.json'), logs: new Map() };
}

/** Renews the figures between the marks of the page. */
async function writeReport(report: string): Promise<void> {
  const text = await readFile(page, 'utf8');
  const measured = `Measured by \`${again}\` on ${new Date().toISOString().slice(0, 10)}.`;
  const renewed = text.replace(
    /(<!-- figures -->\n)[\s\S]*(<!-- end of figures -->)/,
    (_, begin: string, end: string) => `${begin}${measured}\n\n${report}\n${end}`,
  );
  await writeFile(fileURLToPath(page), renewed);
}
