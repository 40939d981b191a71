import type { ActionAnswer } from '../src/contracts/action.ts';
import type { JsonObject } from '../src/contracts/common.ts';
import type { Sender } from '../src/dispatch/send.ts';
import { signedHeaders } from '../src/dispatch/sign.ts';
import { type ActionRecord, answerOf } from '../src/domain/action.ts';
import { type Answer, judgeAnswer, type Outcome, retryDelayMs } from '../src/domain/answer.ts';
import { type AttemptEnd, doubt, type Ending, endingOf, failure, stopped } from '../src/domain/settlement.ts';
import type { CallableTool, Claim, createClaims } from '../src/store/claims.ts';
import type { createSettlements } from '../src/store/settlements.ts';
import { windowSeconds } from './window.ts';

export interface ToolCallDeps {
  readonly claims: ReturnType<typeof createClaims>;
  readonly settlements: ReturnType<typeof createSettlements>;
  readonly sender: Sender;
}

/** One attempt of an action; `n` counts from 1. */
export interface Attempt {
  readonly tenant: string;
  readonly actionId: string;
  readonly n: number;
}

export type CallReport =
  | { readonly kind: 'settled'; readonly answer: ActionAnswer }
  | { readonly kind: 'in_doubt'; readonly answer: ActionAnswer }
  | { readonly kind: 'retry'; readonly delayMs: number };

type Claimed = Claim & { kind: 'claimed' };

interface Seen {
  readonly claim: Claimed;
  readonly answer: Answer;
  readonly durationMs: number;
}

/** The step that calls the tool. */
export function createToolCallActivities({ claims, settlements, sender }: ToolCallDeps) {
  // What a tool answered while the database was away: the repeated activity finds it here instead of doubting.
  const unsaved = new Map<string, Seen>();

  async function end(tenant: string, action: ActionRecord, ending: Ending): Promise<CallReport> {
    const settled = await settlements.settle(tenant, action, ending);
    return { kind: settled.status === 'in_doubt' ? 'in_doubt' : 'settled', answer: answerOf(settled) };
  }

  async function save({ tenant, actionId, n }: Attempt, { claim, answer, durationMs }: Seen): Promise<CallReport> {
    const { action, tool } = claim;
    const outcome = judgeAnswer(answer, tool, n);
    const attempt = { n, durationMs, ...attemptOf(outcome) };
    if (outcome.kind !== 'retry') {
      return await end(tenant, action, endingOf(outcome, attempt, windowSeconds(tenant, action, tool.dedupTtl)));
    }
    await settlements.endAttempt(actionId, attempt);
    return { kind: 'retry', delayMs: retryDelayMs(n, outcome.afterSeconds, Math.random) };
  }

  /** What a claim that sends nothing means. */
  async function without(attempt: Attempt, claim: Exclude<Claim, Claimed>): Promise<CallReport> {
    const { tenant, n } = attempt;
    switch (claim.kind) {
      case 'over':
        return { kind: claim.action.status === 'in_doubt' ? 'in_doubt' : 'settled', answer: answerOf(claim.action) };
      case 'ended':
        return { kind: 'retry', delayMs: retryDelayMs(n, null, Math.random) };
      case 'stopped':
        return await end(tenant, claim.action, stopped);
      case 'tool_gone':
        return await end(tenant, claim.action, failure('tool_deleted'));
      case 'doubtful':
        return await end(tenant, claim.action, { ...doubt('worker_lost'), attempt: lostAttempt(n) });
    }
  }

  return {
    /**
     * Makes one attempt: claims it, sends the signed call, and settles the action by what came back. Run again after a
     * crash, it sends again only what is safe to repeat; anything else is in doubt.
     */
    async callTool(attempt: Attempt): Promise<CallReport> {
      const slot = `${attempt.actionId}/${attempt.n}`;
      let seen = unsaved.get(slot);
      if (seen === undefined) {
        const claim = await claims.claim(attempt.tenant, attempt.actionId, attempt.n);
        if (claim.kind !== 'claimed') return await without(attempt, claim);
        seen = await send(sender, claim);
        unsaved.set(slot, seen);
      }
      const report = await save(attempt, seen);
      unsaved.delete(slot);
      return report;
    },
  };
}

async function send(sender: Sender, claim: Claimed): Promise<Seen> {
  const { action, args, tool } = claim;
  const body = JSON.stringify(envelopeOf(action, args));
  const startedAt = Date.now();
  const answer = await sender.send({
    url: tool.url,
    timeoutMs: tool.timeoutMs,
    body,
    headers: headersOf(action, tool, body),
  });
  return { claim, answer, durationMs: Date.now() - startedAt };
}

/** What a tool receives (contract, section 11). */
const envelopeOf = (action: ActionRecord, args: JsonObject) => ({
  args,
  tool: action.tool,
  agent_id: action.agentId,
  action_id: action.actionId,
  run_id: action.runId,
});

/**
 * The action, not the caller's key, is what a tool recognises: it is constant over every attempt, unique over tenants,
 * and new once a key may act again.
 */
export const headersOf = (action: ActionRecord, tool: CallableTool, body: string): Record<string, string> =>
  signedHeaders({
    body,
    webhookId: action.actionId,
    idempotencyKey: action.actionId,
    fence: action.fence ?? 0,
    secret: tool.secret,
    nowSeconds: Math.floor(Date.now() / 1000),
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
