import { randomUUID } from 'node:crypto';
import { ApplicationFailure, Context } from '@temporalio/activity';
import { LRUCache } from 'lru-cache';
import type { ActionAnswer } from '../src/contracts/action.ts';
import type { Lanes } from '../src/dispatch/lanes.ts';
import type { Sender } from '../src/dispatch/send.ts';
import { type Abandon, canceled, impossible, type PastAttempt, refusedAtClaim } from '../src/domain/abandonment.ts';
import { type ActionRecord, answerOf } from '../src/domain/action.ts';
import { retryDelayMs, type Sight, sightOf } from '../src/domain/answer.ts';
import { type AttemptEffect, type Conclusion, conclude, mayHaveActed } from '../src/domain/attempts.ts';
import { type AttemptEnd, doubt, type Ending, endingOf } from '../src/domain/settlement.ts';
import type { Metrics } from '../src/metrics/metrics.ts';
import type { createAbandonments } from '../src/store/abandonments.ts';
import type { Claim, createClaims, Gate } from '../src/store/claims.ts';
import type { createSettlements, Settled } from '../src/store/settlements.ts';
import type { Telling } from './admission.ts';
import { whileAlive } from './alive.ts';
import { envelopeOf, headersOf } from './tool-request.ts';
import { isToBeRepeated } from './tries.ts';
import { windowSeconds } from './window.ts';

export interface ToolCallDeps {
  readonly claims: ReturnType<typeof createClaims>;
  readonly settlements: ReturnType<typeof createSettlements>;
  readonly abandonments: ReturnType<typeof createAbandonments>;
  readonly sender: Sender;
  readonly metrics: Pick<Metrics, 'toolAnswered'>;
  readonly outcomes: Telling;
  readonly lanes: Pick<Lanes, 'enter' | 'leaveLocal' | 'note'>;
}

/** An action under way. */
export interface Underway {
  readonly tenant: string;
  readonly actionId: string;
}

/** One attempt of an action; `n` counts from 1. */
export interface Attempt extends Underway {
  readonly n: number;
  /** By whose share it is made; absent in those of a version that had none. */
  readonly tool?: string;
  /** It asks an idempotent tool what became of an action in doubt, by the same key once more. */
  readonly asking?: boolean;
}

export type CallReport =
  | { readonly kind: 'settled'; readonly answer: ActionAnswer }
  /** `sent`: an attempt was made that has led to nothing. */
  | { readonly kind: 'in_doubt'; readonly answer: ActionAnswer; readonly sent?: boolean }
  | { readonly kind: 'retry'; readonly delayMs: number };

type Claimed = Claim & { kind: 'claimed' };

interface Seen {
  readonly claim: Claimed;
  readonly sight: Sight;
  readonly conclusion: Conclusion;
  readonly durationMs: number;
}

/** An attempt as this process makes it: what a repeated activity goes on from. */
interface Execution {
  /** What its claim is known by. */
  readonly token: string;
  /** How often it has failed, by its own doing. */
  failures: number;
  /** It is being made at this moment: who asks again waits with it. */
  making?: Promise<CallReport> | undefined;
  /** What came back, while the database was away. */
  seen?: Seen;
}

/** Attempts that have failed in the database are kept for their repetition; one that never comes is forgotten in the end. */
const MAX_EXECUTIONS = 10_000;

/** The steps that call the tool, and that give the call up. */
export function createToolCallActivities(deps: ToolCallDeps) {
  const { claims, settlements, abandonments, sender, metrics, outcomes, lanes } = deps;
  const executions = new LRUCache<string, Execution>({ max: MAX_EXECUTIONS });

  function noted({ action, settled }: Settled): CallReport {
    if (settled) outcomes.ended(action);
    return reportOf(action);
  }

  const end = async (tenant: string, action: ActionRecord, ending: Ending): Promise<CallReport> =>
    noted(await settlements.settle(tenant, action, ending));

  const giveUp = async ({ tenant, actionId }: Underway, decide: Abandon): Promise<CallReport> =>
    noted(await abandonments.abandon(tenant, actionId, decide));

  async function save(made: Attempt, { claim, sight, conclusion, durationMs }: Seen): Promise<CallReport> {
    const { tenant, n, asking = false } = made;
    const { action, tool } = claim;
    const attempt = attemptOf(n, sight, conclusion.kind, durationMs);
    const isOver = asking ? conclusion.kind === 'executed' : conclusion.kind !== 'retry';
    if (isOver) {
      const window = windowSeconds(tenant, action, tool.dedupTtl);
      return await end(tenant, action, endingOf(conclusion, sight, attempt, window));
    }
    const stoppedBy = await settlements.endAttempt(tenant, action, attempt);
    if (asking) return { kind: 'in_doubt', answer: answerOf(action), sent: true };
    if (stoppedBy !== undefined) return await giveUp(made, refusedAtClaim(stoppedBy));
    const afterSeconds = sight.effect === 'executed' ? null : sight.afterSeconds;
    return { kind: 'retry', delayMs: retryDelayMs(n, afterSeconds, Math.random) };
  }

  /** What a claim that sends nothing means. */
  async function without(attempt: Attempt, claim: Exclude<Claim, Claimed>): Promise<CallReport> {
    const { tenant, n, asking } = attempt;
    // A question that may not be put leaves the doubt as it is.
    if (asking || claim.kind === 'over') return reportOf(claim.action);
    switch (claim.kind) {
      case 'ended':
        return { kind: 'retry', delayMs: retryDelayMs(n, null, Math.random) };
      case 'refused':
        return await giveUp(attempt, refusalBy(claim.gate));
      case 'lost':
        return await end(tenant, claim.action, { ...doubt('worker_lost'), attempt: lostAttempt(n) });
      case 'doubtful':
        return await giveUp(attempt, impossible('not_repeatable'));
    }
  }

  async function make(attempt: Attempt, execution: Execution): Promise<CallReport> {
    const { tenant, actionId, n, asking = false } = attempt;
    if (execution.seen === undefined) {
      const claim = await claims.claim({ tenant, actionId, n, token: execution.token, asking });
      if (claim.kind !== 'claimed') return await without(attempt, claim);
      execution.seen = await send(sender, claim);
      const { conclusion, durationMs } = execution.seen;
      metrics.toolAnswered(conclusion.kind, durationMs);
      lanes.note(tenant, claim.action.tool, durationMs);
    }
    return await save(attempt, execution.seen);
  }

  async function attemptOnce(attempt: Attempt, execution: Execution): Promise<CallReport> {
    execution.making ??= within(attempt, () => make(attempt, execution)).finally(() => {
      execution.making = undefined;
    });
    return await execution.making;
  }

  /** Makes a call in its lane: beside what decides it has its place already, on the queue of calls it waits for its share. */
  async function within<T>({ tenant, actionId, tool = '' }: Attempt, call: () => Promise<T>): Promise<T> {
    if (Context.current().info.isLocal) return await call().finally(() => lanes.leaveLocal(actionId));
    const giveBack = await lanes.enter(tenant, tool);
    if (giveBack === undefined) throw noShare();
    return await call().finally(giveBack);
  }

  return {
    /**
     * Makes one attempt: claims it, sends the signed call, and settles the action by what came back. Run again after a
     * crash, it sends again only what is safe to repeat; anything else is in doubt. What cannot be done, however often it is
     * tried, ends the action on the record.
     */
    callTool: (attempt: Attempt): Promise<CallReport> =>
      whileAlive(async () => {
        const slot = slotOf(attempt);
        const execution: Execution = executions.get(slot) ?? { token: randomUUID(), failures: 0 };
        executions.set(slot, execution);
        try {
          const report = await attemptOnce(attempt, execution);
          executions.delete(slot);
          return report;
        } catch (error) {
          if (isNoShare(error)) throw error;
          execution.failures += 1;
          if (isToBeRepeated(error, execution.failures)) throw error;
          executions.delete(slot);
          return await giveUp(attempt, impossible('step_failed'));
        }
      }),

    /** Gives up an action whose workflow was canceled between two attempts. */
    abandonAction: (action: Underway): Promise<CallReport> => giveUp(action, canceled),
  };
}

/** Of calls that have waited for their share in vain. They come again, later each time, and have no part in the tries of a step. */
const NO_SHARE = 'no_share';
const LONGEST_RETURN_MS = 60_000;

function noShare(): ApplicationFailure {
  const { attempt } = Context.current().info;
  const pause = Math.min(LONGEST_RETURN_MS, 2_000 * 2 ** Math.min(attempt - 1, 5));
  // Scattered, so that those who came together do not return together.
  const nextRetryDelay = pause * (0.5 + Math.random() / 2);
  return ApplicationFailure.create({ type: NO_SHARE, message: 'others are ahead', nextRetryDelay });
}
const isNoShare = (error: unknown): boolean => error instanceof ApplicationFailure && error.type === NO_SHARE;

const slotOf = ({ actionId, n }: Attempt): string => `${actionId}/${n}`;

async function send(sender: Sender, claim: Claimed): Promise<Seen> {
  const { action, args, tool, earlier } = claim;
  const body = JSON.stringify(envelopeOf(action, args));
  const startedAt = Date.now();
  const answer = await sender.send({
    url: tool.url,
    timeoutMs: tool.timeoutMs,
    body,
    headers: headersOf(action, tool, body),
    freshConnection: !tool.idempotent,
  });
  const sight = sightOf(answer);
  const conclusion = conclude([...earlier.map(effectOf), sight.effect], tool);
  return { claim, sight, conclusion, durationMs: Date.now() - startedAt };
}

const reportOf = (action: ActionRecord): CallReport => ({
  kind: action.status === 'in_doubt' ? 'in_doubt' : 'settled',
  answer: answerOf(action),
});

const effectOf = ({ ended, mayHaveActed: acted }: PastAttempt): AttemptEffect =>
  ended ? (acted ? 'unknown' : 'none') : 'open';

const attemptOf = (n: number, sight: Sight, outcome: Conclusion['kind'], durationMs: number): AttemptEnd => ({
  n,
  outcome,
  mayHaveActed: mayHaveActed(sight.effect),
  httpStatus: sight.httpStatus,
  error: sight.effect === 'executed' ? null : sight.error,
  durationMs,
});

const lostAttempt = (n: number): AttemptEnd => ({
  n,
  outcome: 'in_doubt',
  mayHaveActed: true,
  httpStatus: null,
  error: 'worker_lost',
  durationMs: 0,
});

/** How an action ends whose next attempt may not be made. */
function refusalBy(gate: Gate): Abandon {
  switch (gate.kind) {
    case 'killed':
    case 'agent_disabled':
    case 'tool_disabled':
      return refusedAtClaim(gate.kind);
    case 'list':
      return refusedAtClaim(gate.verdict.reason);
    case 'superseded':
      return refusedAtClaim('approval_required', 'approval_superseded');
    case 'tool_deleted':
    case 'run_over':
      return impossible(gate.kind);
  }
}
