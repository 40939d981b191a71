// The entry of a thread that judges (threads.ts): it knows the domain and nothing else, and may be ended at any moment.
import { openSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { compiledOf, findings, isCompiled } from '../domain/condition/condition.ts';
import { ConditionError } from '../domain/condition/expression.ts';
import type { Answer, Asked, Fault, Job, Ready } from './job.ts';
import { progressOn } from './progress.ts';

/** How long expressions are compiled in one turn: those of a large policy are many, and a fresh thread knows none. */
const COMPILE_MS = 20;

const progress = progressOn(workerData.progress);
const clock = openClock();

warmUp();
parentPort?.on('message', (job: Job) => {
  progress.begin(clock);
  const answer = answerTo(job);
  progress.end();
  parentPort?.postMessage(answer);
});
parentPort?.postMessage({ kind: 'ready', clock } satisfies Ready);

function answerTo(job: Job): Answer {
  if (job.kind === 'check') return { kind: 'checked', fault: faultOf(job.expression) };
  if (!compileAll(job.conditions)) return { kind: 'again' };
  // The deadline is for the call; what was compiled for it is kept for the next.
  progress.begin(clock);
  return { kind: 'found', found: job.subjects.map((subject) => findings(job.conditions, subject, progress)) };
}

/** Whether all are compiled, as far as they can be; what cannot is told where it is evaluated. */
function compileAll(conditions: readonly Asked[]): boolean {
  const begin = performance.now();
  for (const [n, { expression }] of conditions.entries()) {
    if (isCompiled(expression)) continue;
    if (performance.now() - begin > COMPILE_MS) return false;
    progress.begin(clock);
    progress.begins(n);
    faultOf(expression);
  }
  return true;
}

function faultOf(expression: string): Fault | undefined {
  try {
    compiledOf(expression);
    return undefined;
  } catch (error) {
    if (!(error instanceof ConditionError)) throw error;
    const { kind, message, position } = error;
    return { kind, message, position };
  }
}

/** The file stays open, and can be read by every thread of the process: it is about this one. */
function openClock(): number | undefined {
  try {
    return openSync('/proc/thread-self/schedstat', 'r');
  } catch {
    return undefined;
  }
}

/** What is slow the first time, such as the data of time zones, is not to be the time of a call. */
function warmUp(): void {
  const expression = `args.l.all(x, x.n < 3 && x.t.matches("^a+$")) && time.getHours("Europe/Berlin") < 24 && spend_usd < 1`;
  const subject = { args: { l: [{ n: 1, t: 'a' }] }, agent: 'a', tool: 't', spendUsd: 0, time: new Date() };
  for (let n = 0; n < 20; n += 1) {
    faultOf(`${expression} && ${n} < 20`);
    findings([{ name: 'warm', expression }], subject);
  }
}
