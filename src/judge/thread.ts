// The entry of a thread that judges (threads.ts): it knows the domain and nothing else, and may be ended at any moment.
import { openSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { compiledOf, findings, isCompiled } from '../domain/condition/condition.ts';
import { ConditionError } from '../domain/condition/expression.ts';
import type { Finding } from '../domain/condition/finding.ts';
import type { Answer, Asked, Fault, Job, Ready } from './job.ts';
import { progressOn } from './progress.ts';

/** How long expressions are compiled in one turn: those of a large policy are many, and a fresh thread knows none. */
const COMPILE_MS = 20;
/** How long calls are judged in one turn before those that are left have to wait for the next. */
const TURN_MS = 25;
/** Enough for V8 to optimise what every condition runs through. */
const WARM_UP_ROUNDS = 16;

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
  // The deadline is for the conditions of a call: neither for compiling them, which is kept, nor for bringing in its arguments.
  const [begin, following] = [performance.now(), { ...progress, ready: () => progress.begin(clock) }];
  const found: Array<readonly Finding[]> = [];
  for (const subject of job.subjects) {
    // A turn of many calls ends after one deadline; what is left has others.
    if (performance.now() - begin > TURN_MS) break;
    found.push(findings(job.conditions, subject, following));
  }
  return { kind: 'found', found };
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

/** What is slow the first time, such as the data of time zones and code that was never run, is not to be the time of a call. */
function warmUp(): void {
  const expressions = [
    'args.l.all(x, x.n >= 0 && x.t.startsWith("a") || x.t.contains("b") || x.n == 1.0) && args.l.exists(x, x.n > 148)',
    'args.l.all(x, x.t.matches("^[a-c]|.@[0-9]+[.]d$")) && !args.l.exists(x, x.t.matches("^[0-9]+@"))',
    'size(args.l.filter(x, x.n > 2 && x.t != "b")) > 1 && args.l.map(x, x.n * 2.0).all(n, n < 1000.0 && n in [1.0, n])',
    'has(args.l) && "aa".matches("^a+$") && time.getHours("Europe/Berlin") < 24 && (spend_usd < 1 || agent == tool)',
  ];
  const conditions = expressions.map((expression) => ({ name: 'warm', expression }));
  const l = Array.from({ length: 150 }, (_, n) => ({ n, t: `a${n}` }));
  const subject = { args: { l }, agent: 'a', tool: 't', spendUsd: 0, time: new Date() };
  for (let n = 0; n < WARM_UP_ROUNDS; n += 1) {
    faultOf(`${expressions[n % expressions.length]} && ${n} < 99`);
    findings(conditions, subject);
  }
}
