import type { JsonObject } from '../contracts/common.ts';
import { type Asked, consider, type Facts, type Judgement } from '../domain/admission.ts';
import type { Finding } from '../domain/condition/finding.ts';
import { type Considered, type Question, questionOf, type Said } from '../domain/policy.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Fault, Job, SchemaFault } from './job.ts';
import type { Threads } from './threads.ts';
import { DEADLINE_MS } from './worker-thread.ts';

/** Calls that are judged in one turn; where that takes longer than one deadline, each has a turn of its own. */
const BATCH = 20;

export interface JudgeDeps {
  readonly threads: Threads;
  readonly metrics: Pick<Metrics, 'judged'>;
}

export type Judge = ReturnType<typeof createJudge>;

/**
 * Says what schemas and conditions say, within a bound of time: in a thread that is ended when its deadline has passed, in turn with other
 * tenants (docs/adr/0018). What could not be judged in time is a finding too, which denies. Nothing here holds a connection.
 *
 * Every method throws a {@link Refusal} `unavailable` where too many jobs of the tenant wait already.
 */
export function createJudge({ threads, metrics }: JudgeDeps) {
  async function ask(tenant: string, job: Job) {
    const answer = await threads.ask(tenant, job).catch((error: unknown) => {
      metrics.judged('refused');
      throw error;
    });
    metrics.judged(answer.kind === 'gaveUp' ? 'gave_up' : 'judged');
    return answer;
  }

  async function one(tenant: string, { schema, conditions, subject }: Question): Promise<Said> {
    if (schema === undefined && conditions.length === 0) return nothing;
    const answer = await ask(tenant, jobOf(schema, conditions, [subject]));
    if (answer.kind === 'found') return answer.said[0] ?? nothing;
    if (answer.kind !== 'gaveUp' || (answer.misfit === undefined && answer.found.length === 0))
      return { misfit: undefined, found: conditions.map(notJudged) };
    return { misfit: answer.misfit, found: answer.found };
  }

  /** What is said of the first of these, of as many as one turn is enough for. */
  async function batch(tenant: string, questions: readonly Question[]): Promise<readonly Said[]> {
    const { schema, conditions = [] } = questions[0] ?? {};
    if (schema === undefined && conditions.length === 0) return questions.map(() => nothing);
    const subjects = questions.map(({ subject }) => subject);
    const answer = await ask(tenant, jobOf(schema, conditions, subjects));
    if (answer.kind === 'found') return answer.said;
    const said: Said[] = [];
    for (const question of questions) said.push(await one(tenant, question));
    return said;
  }

  const saidOf = async (tenant: string, considered: Considered): Promise<Said> =>
    withKnown(considered, await one(tenant, questionOf(considered)));

  return {
    /** What the schema of a tool and the conditions of a policy say of a call; of the schema also what was known before. */
    said: (tenant: string, considered: Considered): Promise<Said> => saidOf(tenant, considered),

    /** The same of many calls under one policy, one after the other: each part has its turn like anybody else's call. */
    async *saidEach(tenant: string, considered: readonly Considered[]): AsyncGenerator<Said> {
      const questions = considered.map(questionOf);
      for (let from = 0; from < questions.length; ) {
        const isAlike = ({ subject }: Question) => subject.tool === questions[from]?.subject.tool;
        const to = questions.findIndex((question, n) => n > from && (n === from + BATCH || !isAlike(question)));
        const part = questions.slice(from, to < 0 ? undefined : to);
        const said = await batch(tenant, part);
        for (const [n, one] of said.entries()) yield withKnown(considered[from + n], one);
        from += said.length;
      }
    },

    /** A judgement of what is asked over these facts; none, where the tool is unknown. */
    async judgement(tenant: string, asked: Asked, facts: Facts): Promise<Judgement | undefined> {
      const considered = consider(asked, facts);
      if (considered === undefined) return undefined;
      const { spendMicros, time } = considered.call;
      const { policyVersion, tool } = facts;
      const said = await one(tenant, questionOf(considered));
      return {
        policyVersion,
        toolScope: considered.toolScope,
        toolVersion: tool?.version ?? 0,
        spendMicros,
        at: time,
        ...said,
      };
    },

    /** What is wrong with an expression, if anything is: also that it takes too long to read. */
    async fault(tenant: string, expression: string): Promise<Fault | undefined> {
      const answer = await ask(tenant, { kind: 'check', expression });
      if (answer.kind === 'checked') return answer.fault;
      const message = `takes longer than ${DEADLINE_MS} ms to compile`;
      return { kind: 'cel_cost', message, position: { offset: 0, line: 1, column: 1 } };
    },

    /** What is wrong with a JSON Schema, if anything is: also that it takes too long to read. */
    async schemaFault(tenant: string, schema: JsonObject): Promise<SchemaFault | undefined> {
      const answer = await ask(tenant, { kind: 'check_schema', schema: JSON.stringify(schema) });
      if (answer.kind === 'schema_checked') return answer.fault;
      return { message: `takes longer than ${DEADLINE_MS} ms to compile`, place: [] };
    },

    close: (): void => threads.close(),
  };
}

const nothing: Said = { misfit: undefined, found: [] };

/** What was said of the arguments when a decision was made is not asked again. */
const withKnown = (considered: Considered | undefined, said: Said): Said =>
  considered?.schema === undefined ? { ...said, misfit: considered?.misfit } : said;

const jobOf = (
  schema: string | undefined,
  conditions: Question['conditions'],
  subjects: ReadonlyArray<Question['subject']>,
): Job => ({
  kind: 'judge',
  schema,
  conditions: conditions.map(({ name, expression }) => ({ name, expression })),
  subjects,
});

const notJudged = ({ name }: { readonly name: string }): Finding => ({
  name,
  holds: false,
  error: `could not be compiled within its time`,
  gaveUp: true,
});
