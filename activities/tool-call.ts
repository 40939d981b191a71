import type { ActionAnswer } from '../src/contracts/action.ts';
import type { Sender } from '../src/dispatch/send.ts';
import { type Abandon, canceled, refused, toolDeleted } from '../src/domain/abandonment.ts';
import { type ActionRecord, answerOf } from '../src/domain/action.ts';
import { judgeAnswer, type Outcome, retryDelayMs } from '../src/domain/answer.ts';
import { type AttemptEnd, doubt, type Ending, endingOf } from '../src/domain/settlement.ts';
import type { Metrics } from '../src/metrics/metrics.ts';
import type { createAbandonments } from '../src/store/abandonments.ts';
import type { Claim, createClaims } from '../src/store/claims.ts';
import type { createSettlements, Settled } from '../src/store/settlements.ts';
import { whileAlive } from './alive.ts';
import { envelopeOf, headersOf } from './tool-request.ts';
import { windowSeconds } from './window.ts';

export interface ToolCallDeps {
  readonly claims: ReturnType<typeof createClaims>;
  readonly settlements: ReturnType<typeof createSettlements>;
  readonly abandonments: ReturnType<typeof createAbandonments>;
  readonly sender: Sender;
  readonly metrics: Pick<Metrics, 'decided' | 'toolAnswered'>;
}

/** An action under way. */
export interface Underway {
  readonly tenant: string;
  readonly actionId: string;
}

/** One attempt of an action; `n` counts from 1. */
export interface Attempt extends Underway {
  readonly n: number;
}

export type CallReport =
  | { readonly kind: 'settled'; readonly answer: ActionAnswer }
  | { readonly kind: 'in_doubt'; readonly answer: ActionAnswer }
  | { readonly kind: 'retry'; readonly delayMs: number };

type Claimed = Claim & { kind: 'claimed' };

interface Seen {
  readonly claim: Claimed;
  readonly outcome: Outcome;
  readonly durationMs: number;
}

/** The steps that call the tool, and that give the call up. */
export function createToolCallActivities({ claims, settlements, abandonments, sender, metrics }: ToolCallDeps) {
  // What a tool answered while the database was away: the repeated activity finds it here instead of doubting.
  const unsaved = new Map<string, Seen>();

  function noted({ action, settled }: Settled): CallReport {
    if (settled) metrics.decided(answerOf(action).decision, action.policyReason);
    return reportOf(action);
  }

  async function end(tenant: string, action: ActionRecord, ending: Ending): Promise<CallReport> {
    return noted(await settlements.settle(tenant, action, ending));
  }

  async function giveUp({ tenant, actionId }: Underway, decide: Abandon): Promise<CallReport> {
    return noted(await abandonments.abandon(tenant, actionId, decide));
  }

  async function save(made: Attempt, { claim, outcome, durationMs }: Seen): Promise<CallReport> {
    const { tenant, n } = made;
    const { action, tool } = claim;
    const attempt = { n, durationMs, ...attemptOf(outcome) };
    if (outcome.kind !== 'retry') {
      return await end(tenant, action, endingOf(outcome, attempt, windowSeconds(tenant, action, tool.dedupTtl)));
    }
    const goesOn = await settlements.endAttempt(tenant, action, attempt, outcome.mayHaveActed);
    if (!goesOn) return await giveUp(made, refused);
    return { kind: 'retry', delayMs: retryDelayMs(n, outcome.afterSeconds, Math.random) };
  }

  /** What a claim that sends nothing means. */
  async function without(attempt: Attempt, claim: Exclude<Claim, Claimed>): Promise<CallReport> {
    const { tenant, n } = attempt;
    switch (claim.kind) {
      case 'over':
        return reportOf(claim.action);
      case 'ended':
        return { kind: 'retry', delayMs: retryDelayMs(n, null, Math.random) };
      case 'stopped':
        return await giveUp(attempt, refused);
      case 'tool_gone':
        return await giveUp(attempt, toolDeleted);
      case 'doubtful':
        return await end(tenant, claim.action, { ...doubt('worker_lost'), attempt: lostAttempt(n) });
    }
  }

  async function make(attempt: Attempt): Promise<CallReport> {
    const slot = `${attempt.actionId}/${attempt.n}`;
    let seen = unsaved.get(slot);
    if (seen === undefined) {
      const claim = await claims.claim(attempt.tenant, attempt.actionId, attempt.n);
      if (claim.kind !== 'claimed') return await without(attempt, claim);
      seen = await send(sender, claim, attempt.n);
      metrics.toolAnswered(seen.outcome.kind, seen.durationMs);
      unsaved.set(slot, seen);
    }
    const report = await save(attempt, seen);
    unsaved.delete(slot);
    return report;
  }

  return {
    /**
     * Makes one attempt: claims it, sends the signed call, and settles the action by what came back. Run again after a
     * crash, it sends again only what is safe to repeat; anything else is in doubt.
     */
    callTool: (attempt: Attempt): Promise<CallReport> => whileAlive(() => make(attempt)),

    /** Gives up an action whose workflow was canceled between two attempts. */
    abandonAction: (action: Underway): Promise<CallReport> => giveUp(action, canceled),
  };
}

async function send(sender: Sender, claim: Claimed, n: number): Promise<Seen> {
  const { action, args, tool } = claim;
  const body = JSON.stringify(envelopeOf(action, args));
  const startedAt = Date.now();
  const answer = await sender.send({
    url: tool.url,
    timeoutMs: tool.timeoutMs,
    body,
    headers: headersOf(action, tool, body),
    freshConnection: !tool.idempotent,
  });
  return { claim, outcome: judgeAnswer(answer, tool, n), durationMs: Date.now() - startedAt };
}

const reportOf = (action: ActionRecord): CallReport => ({
  kind: action.status === 'in_doubt' ? 'in_doubt' : 'settled',
  answer: answerOf(action),
});

const attemptOf = (outcome: Outcome): Pick<AttemptEnd, 'outcome' | 'httpStatus' | 'error'> => ({
  outcome: outcome.kind,
  httpStatus: outcome.httpStatus,
  error: outcome.kind === 'executed' ? null : outcome.error,
});

const lostAttempt = (n: number): AttemptEnd => ({
  n,
  outcome: 'in_doubt',
  httpStatus: null,
  error: 'worker_lost',
  durationMs: 0,
});
