import { type Asked, consider, type Facts, type Judgement } from '../domain/admission.ts';
import type { Finding } from '../domain/condition/finding.ts';
import { type Considered, questionOf } from '../domain/policy.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Fault, Job } from './job.ts';
import type { Threads } from './threads.ts';
import { DEADLINE_MS } from './worker-thread.ts';

/** Calls that are judged in one turn; where that takes longer than one deadline, each has a turn of its own. */
const BATCH = 20;

export interface JudgeDeps {
  readonly threads: Threads;
  readonly metrics: Pick<Metrics, 'judged'>;
}

export type Judge = ReturnType<typeof createJudge>;

type Question = ReturnType<typeof questionOf>;

/**
 * Says what conditions say, within a bound of time: in a thread that is ended when its deadline has passed, in turn with other
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

  async function one(tenant: string, { conditions, subject }: Question): Promise<readonly Finding[]> {
    if (conditions.length === 0) return [];
    const answer = await ask(tenant, jobOf(conditions, [subject]));
    if (answer.kind === 'found') return answer.found[0] ?? [];
    return answer.kind === 'gaveUp' && answer.found.length > 0 ? answer.found : conditions.map(notJudged);
  }

  /** What is said of the first of these, of as many as one turn is enough for. */
  async function batch(tenant: string, questions: readonly Question[]): Promise<ReadonlyArray<readonly Finding[]>> {
    const conditions = questions[0]?.conditions ?? [];
    if (conditions.length === 0) return questions.map(() => []);
    const subjects = questions.map(({ subject }) => subject);
    const answer = await ask(tenant, jobOf(conditions, subjects));
    if (answer.kind === 'found') return answer.found;
    const found: Array<readonly Finding[]> = [];
    for (const question of questions) found.push(await one(tenant, question));
    return found;
  }

  return {
    /** What the conditions of a policy say of a call, in their order. */
    found: (tenant: string, considered: Considered): Promise<readonly Finding[]> => one(tenant, questionOf(considered)),

    /** The same of many calls under one policy, one after the other: each part has its turn like anybody else's call. */
    async *foundEach(tenant: string, considered: readonly Considered[]): AsyncGenerator<readonly Finding[]> {
      const questions = considered.map(questionOf);
      for (let from = 0; from < questions.length; ) {
        const isAlike = ({ subject }: Question) => subject.tool === questions[from]?.subject.tool;
        const to = questions.findIndex((question, n) => n > from && (n === from + BATCH || !isAlike(question)));
        const part = questions.slice(from, to < 0 ? undefined : to);
        const found = await batch(tenant, part);
        yield* found;
        from += found.length;
      }
    },

    /** A judgement of what is asked over these facts; none, where the tool is unknown. */
    async judgement(tenant: string, asked: Asked, facts: Facts): Promise<Judgement | undefined> {
      const considered = consider(asked, facts);
      if (considered === undefined) return undefined;
      const { spendMicros, time } = considered.call;
      return {
        policyVersion: facts.policyVersion,
        spendMicros,
        at: time,
        found: await one(tenant, questionOf(considered)),
      };
    },

    /** What is wrong with an expression, if anything is: also that it takes too long to read. */
    async fault(tenant: string, expression: string): Promise<Fault | undefined> {
      const answer = await ask(tenant, { kind: 'check', expression });
      if (answer.kind === 'checked') return answer.fault;
      const message = `takes longer than ${DEADLINE_MS} ms to compile`;
      return { kind: 'cel_cost', message, position: { offset: 0, line: 1, column: 1 } };
    },

    close: (): void => threads.close(),
  };
}

const jobOf = (conditions: Question['conditions'], subjects: ReadonlyArray<Question['subject']>): Job => ({
  kind: 'judge',
  conditions: conditions.map(({ name, expression }) => ({ name, expression })),
  subjects,
});

const notJudged = ({ name }: { readonly name: string }): Finding => ({
  name,
  holds: false,
  error: `could not be compiled within its time`,
  gaveUp: true,
});
