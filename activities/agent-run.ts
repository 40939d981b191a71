import type { ActionAnswer, ActionRequest } from '../src/contracts/action.ts';
import { AgentRunInput, type AgentRunResult, type RunStep } from '../src/contracts/agent-run.ts';
import type { LeaseEnding } from '../src/contracts/lease.ts';
import { DEFAULT_TENANT } from '../src/contracts/tenant.ts';
import { answerOf, isOpen } from '../src/domain/action.ts';
import { fingerprint } from '../src/domain/fingerprint.ts';
import { type LeaseRecord, resultOf } from '../src/domain/lease.ts';
import { grantedTtl, selfHosted } from '../src/domain/plan.ts';
import { rehearse } from '../src/domain/rehearsal.ts';
import { boundedAnswers } from '../src/domain/run-result.ts';
import { runActionWorkflowId } from '../src/domain/workflow-id.ts';
import type { Judge } from '../src/judge/judge.ts';
import type { createAdmissions } from '../src/store/admissions.ts';
import type { createLeases, Opened } from '../src/store/leases.ts';
import type { createRunEndings, FinishedRun, MadeAction } from '../src/store/run-endings.ts';
import type { createUsage } from '../src/store/usage.ts';
import { parseInput } from './faults.ts';
import { type FindableDeps, foundBy } from './found-by.ts';
import {
  type Invalid,
  invalid,
  isTooLate,
  type LeaseKey,
  type LeaseStanding,
  type MindingRun,
  type NotThere,
  notBegun,
  type OpenedLease,
  openedLease,
  standingOf,
  writtenRow,
} from './lease.ts';
import { rehearsedAnswer } from './rehearsal.ts';

export interface AgentRunDeps extends FindableDeps {
  readonly judge: Pick<Judge, 'judgement'>;
  readonly admissions: ReturnType<typeof createAdmissions>;
  readonly leases: ReturnType<typeof createLeases>;
  readonly runEndings: ReturnType<typeof createRunEndings>;
  readonly usage: ReturnType<typeof createUsage>;
}

/** One action of a run, ready to be started. */
export interface RunCall {
  readonly workflowId: string;
  readonly request: ActionRequest;
}

/** A run as it is opened: its lease, what it is to do, and how the key stands where the lease is not to be had. */
export interface OpenedRun extends OpenedLease {
  readonly run: FinishedRun['run'];
  readonly calls: readonly RunCall[];
  /** What its own record says that it has made already, from the first on. */
  readonly made: readonly RunStep[];
  /** Why it cannot go on behind that: the record has another call at a place. */
  readonly errorCode: 'idempotency_mismatch' | undefined;
  readonly dryRun: boolean;
  readonly found: AgentRunResult;
}

/** A run on its way to its end. */
export interface EndingRun extends LeaseKey {
  readonly leaseId: string;
  readonly actor: string | null;
  readonly run: FinishedRun['run'];
  readonly workflowRunId: string;
}

/** Why a run ends: all was done, or what stopped it. */
export type RunEnd = { readonly errorCode?: string; readonly canceled?: boolean };

/** The steps of the `agentRun` workflow. */
export function createAgentRunActivities({
  admissions,
  judge,
  leases,
  runEndings,
  usage,
  knowsAttributes,
}: AgentRunDeps) {
  async function end(ending: EndingRun, answers: readonly ActionAnswer[], { errorCode, canceled }: RunEnd) {
    const { tenant, key, leaseId, actor, run, workflowRunId } = ending;
    const result = { actions: boundedAnswers(answers) };
    const how: LeaseEnding = canceled
      ? { state: 'canceled', reason: null }
      : errorCode === undefined
        ? { state: 'completed', result, resultHash: null }
        : { state: 'failed', errorCode, errorHash: null, result };
    const change = await runEndings.finish({ tenant, held: { key, leaseId, actor }, run, workflowRunId }, how);
    if (change.kind === 'changed') return runResult(change.lease);
    // Ended by its holder, or lost to another while no worker was there to renew it.
    const lease = await leases.find(tenant, key);
    if (lease?.leaseId === leaseId) return runResult(lease);
    return { ...empty(key), status: 'failed' as const, error_code: 'expired', result, results: result.actions };
  }

  /** Acquires the key for a run that a Temporal application has started. */
  async function acquire(
    data: AgentRunInputParsed,
    run: FinishedRun['run'],
    minding: MindingRun,
  ): Promise<Exclude<Opened, { kind: 'run_closed' }> | Invalid | NotThere> {
    if (isTooLate(data, minding)) return notBegun;
    const opened = await leases.open({
      tenant: data.tenant,
      key: data.key,
      ttlSeconds: grantedTtl(data.ttl, selfHosted),
      owner: data.owner ?? null,
      metadata: null,
      retryFailed: data.retry_failed ?? false,
      actor: data.actor ?? null,
      run,
      workflowRunId: minding.runId,
      acquisition: `workflow:${minding.runId}`,
    });
    return opened.kind === 'run_closed' ? { kind: 'not_there' } : opened;
  }

  return {
    /** Acquires the key for a run, or finds that it is held or finished. */
    async openRun(input: unknown, minding: MindingRun): Promise<OpenedRun | Invalid | NotThere> {
      const { data, error } = parseInput(AgentRunInput, input);
      if (error !== undefined) return invalid(error);
      const run = { runId: data.run_id ?? data.key, agentId: data.agent_id ?? null };
      const opened = data.by_row ? await writtenRow(leases, data, minding) : await acquire(data, run, minding);
      if (!('lease' in opened)) return opened;
      const { lease } = opened;
      const calls = callsOf(data, run.runId, lease);
      return {
        ...openedLease(opened, minding, await usage.aiThisMonth(data.tenant)),
        ...foundBy({ knowsAttributes }, input, { tenant: data.tenant, ...(data.agent_id && { agent: data.agent_id }) }),
        run,
        calls,
        ...goingOn(calls, await runEndings.made(data.tenant, data.key, lease.begunFence)),
        dryRun: data.dry_run ?? false,
        found: runResult(lease),
      };
    },

    /**
     * What a run is told of an action that has been begun under an ID of its own: its outcome, where this very run has begun
     * it, or that it is in doubt; null where it is open, or has ended without being this run's.
     */
    async actionUnder(
      { tenant = DEFAULT_TENANT, of_run }: ActionRequest,
      workflowId: string,
    ): Promise<ActionAnswer | null> {
      const found = await runEndings.latest(tenant, workflowId);
      if (found === undefined) return null;
      const { action, leaseId } = found;
      const isOwn = leaseId === of_run?.lease_id;
      return action.status === 'in_doubt' || (isOwn && !isOpen(action.status)) ? answerOf(action) : null;
    },

    /** Gives the run's lease its whole time again; how it ended, where someone has ended it. */
    async renewLease({ tenant, key }: LeaseKey, leaseId: string): Promise<LeaseStanding> {
      return standingOf(await leases.renew(tenant, key, leaseId), leaseId);
    },

    /** Ends a run after the actions it has made. */
    async finishRun(ending: EndingRun, steps: readonly RunStep[], how: RunEnd): Promise<AgentRunResult> {
      return await end(ending, await runEndings.answers(ending.tenant, steps), how);
    },

    /** Decides a run's actions one after the other, calls nothing, and ends the run. */
    async rehearseRun(ending: EndingRun, calls: readonly RunCall[]): Promise<AgentRunResult> {
      const { tenant } = ending;
      const rehearsed = await Promise.all(
        calls.map(async ({ request: { agent_id: agentId, tool, args = {}, spend_usd: spendUsd } }) => {
          const asked = { agentId, tool, args, argsHash: fingerprint(args), spendUsd };
          const facts = await admissions.facts({ tenant, agentId, tool });
          return { asked, facts: { ...facts, judged: await judge.judgement(tenant, asked, facts) } };
        }),
      );
      const rulings = rehearse(rehearsed);
      const unknown = rulings.findIndex(({ kind }) => kind === 'unknown_tool');
      const decided = unknown < 0 ? rulings : rulings.slice(0, unknown);
      const answers = decided.map((ruling, n) => {
        const { workflowId } = calls[n] as RunCall;
        const { policyVersion } = (rehearsed[n] as (typeof rehearsed)[number]).facts;
        return rehearsedAnswer(ruling, { workflowId, runId: ending.run.runId, policyVersion, n: n + 1 });
      });
      return await end(ending, answers, unknown < 0 ? {} : { errorCode: 'tool_not_found' });
    },
  };
}

function callsOf(data: AgentRunInputParsed, runId: string, lease: LeaseRecord): RunCall[] {
  const { tenant, key, agent_id: agentId = '', actions = [], actor } = data;
  return actions.map(({ tool, args: { run_id: _named, ...args } = {}, spend_usd }, index) => {
    const n = index + 1;
    return {
      workflowId: runActionWorkflowId(tenant, key, n),
      request: {
        tenant,
        agent_id: agentId,
        tool,
        args,
        run_id: runId,
        of_run: { key, n, lease_id: lease.leaseId, fence: lease.fence },
        ...(spend_usd !== undefined && { spend_usd }),
        ...(actor !== undefined && { actor }),
      },
    };
  });
}

/** Behind which of its calls a run goes on, by its record. */
function goingOn(calls: readonly RunCall[], record: readonly MadeAction[]): Pick<OpenedRun, 'made' | 'errorCode'> {
  const made: RunStep[] = [];
  for (const { request } of calls) {
    const before = record.find(({ n }) => n === request.of_run?.n);
    if (before === undefined) break;
    const { agent_id, tool, args = {} } = request;
    const isSame = before.agentId === agent_id && before.tool === tool && before.argsHash === fingerprint(args);
    if (!isSame) return { made, errorCode: 'idempotency_mismatch' };
    // A doubt ends the run when it comes to it.
    if (before.status === 'in_doubt') break;
    made.push({ actionId: before.actionId, repeat: true });
  }
  return { made, errorCode: undefined };
}

type AgentRunInputParsed = ReturnType<typeof AgentRunInput.parse>;

const actionsIn = (lease: LeaseRecord): ActionAnswer[] =>
  Array.isArray(lease.result?.actions) ? (lease.result.actions as ActionAnswer[]) : [];

const runResult = (lease: LeaseRecord): AgentRunResult => ({ ...resultOf(lease), results: actionsIn(lease) });

const empty = (key: string) => ({ ok: false, key, result_hash: null, done_at: null });
