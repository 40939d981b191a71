// The entry of a thread that judges (threads.ts): it knows the domain and nothing else, and may be ended at any moment.
import { openSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import type { JsonObject } from '../contracts/common.ts';
import { SchemaError } from '../domain/arguments/fault.ts';
import { isSchemaCompiled, misfitOf, schemaOf } from '../domain/arguments/schema.ts';
import { compiledOf, findings, isCompiled } from '../domain/condition/condition.ts';
import { ConditionError } from '../domain/condition/expression.ts';
import type { Said } from '../domain/policy.ts';
import type { Answer, Asked, Fault, Job, Ready, SchemaFault } from './job.ts';
import { progressOn, SCHEMA } from './progress.ts';

/** How long expressions are compiled in one turn: those of a large policy are many, and a fresh thread knows none. */
const COMPILE_MS = 20;
/** How long calls are judged in one turn before those that are left have to wait for the next. */
const TURN_MS = 25;
/** Enough for V8 to optimise what every condition runs through. */
const WARM_UP_ROUNDS = 16;
/** Compiling one costs as much as a dozen expressions. */
const WARM_UP_SCHEMAS = 4;

/** A schema that compiles what most schemas are made of. */
const warmSchema = {
  type: 'object',
  properties: {
    l: {
      type: 'array',
      items: {
        type: 'object',
        properties: { n: { type: 'integer', minimum: 0 }, t: { type: 'string', pattern: '^a', maxLength: 9 } },
        required: ['n'],
        additionalProperties: false,
      },
    },
  },
  anyOf: [{ required: ['l'] }, { required: ['m'] }],
};

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
  if (job.kind === 'check_schema') return { kind: 'schema_checked', fault: schemaFaultOf(job.schema) };
  const { schema, conditions } = job;
  if (!compileAll(schema, conditions)) return { kind: 'again' };
  // The deadline is for the conditions of a call: neither for compiling them, which is kept, nor for bringing in its arguments.
  const [begin, following] = [performance.now(), { ...progress, ready: () => progress.begin(clock) }];
  const said: Said[] = [];
  for (const subject of job.subjects) {
    // A turn of many calls ends after one deadline; what is left has others.
    if (performance.now() - begin > TURN_MS) break;
    const misfit = schema === undefined ? undefined : misfitIn(schema, subject.args);
    said.push({ misfit, found: findings(conditions, subject, following) });
  }
  return { kind: 'found', said };
}

/** The same deadline is for the schema, before that of the conditions begins. */
function misfitIn(schema: string, args: JsonObject): string | undefined {
  progress.begin(clock);
  progress.begins(SCHEMA);
  return misfitOf(schema, args);
}

/** Whether all are compiled, as far as they can be; what cannot is told where it is evaluated. */
function compileAll(schema: string | undefined, conditions: readonly Asked[]): boolean {
  const begin = performance.now();
  if (schema !== undefined && !isSchemaCompiled(schema)) {
    progress.begin(clock);
    progress.begins(SCHEMA);
    schemaFaultOf(schema);
  }
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

function schemaFaultOf(schema: string): SchemaFault | undefined {
  try {
    schemaOf(schema);
    return undefined;
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    const { message, place } = error;
    return { message, place };
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
    if (n < WARM_UP_SCHEMAS) misfitOf(JSON.stringify({ ...warmSchema, $comment: String(n) }), subject.args);
  }
}
