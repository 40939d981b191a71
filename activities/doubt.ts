import { z } from 'zod';
import { type ActionAnswer, Resolution } from '../src/contracts/action.ts';
import { JsonObject, optional } from '../src/contracts/common.ts';
import type { Lanes } from '../src/dispatch/lanes.ts';
import type { Sender } from '../src/dispatch/send.ts';
import { type ActionRecord, answerOf } from '../src/domain/action.ts';
import { NATIVE_ACTOR } from '../src/domain/actor.ts';
import { type Ending, resolved } from '../src/domain/settlement.ts';
import type { createActions } from '../src/store/actions.ts';
import type { createClaims } from '../src/store/claims.ts';
import type { createSettlements, Settled } from '../src/store/settlements.ts';
import type { Telling } from './admission.ts';
import { parseInput } from './faults.ts';
import { headersOf } from './tool-request.ts';
import { windowSeconds } from './window.ts';

/** What a tool's `status_url` answers (contract, section 11). */
const StatusAnswer = z.object({
  status: z.enum(['executed', 'not_executed', 'unknown']),
  result: optional(JsonObject),
});

/** Why an action in doubt cannot be called not executed just now. */
const UNDER_WAY = 'an attempt is under way, whose answer will be proof';

/** A resolution by the tool's own word is not an operator's. */
const BY_STATUS_URL = 'status_url';

export interface DoubtDeps {
  readonly claims: ReturnType<typeof createClaims>;
  readonly settlements: ReturnType<typeof createSettlements>;
  readonly actions: ReturnType<typeof createActions>;
  readonly sender: Sender;
  readonly outcomes: Telling;
  readonly lanes: Pick<Lanes, 'enter'>;
}

export interface InDoubt {
  readonly tenant: string;
  readonly actionId: string;
}

export type Resolved =
  /** `settled`: by this very word; else somebody was quicker. */
  | { readonly kind: 'resolved'; readonly settled: boolean; readonly answer: ActionAnswer }
  | {
      readonly kind: 'refused';
      readonly code: 'validation_error' | 'action_not_in_doubt';
      readonly message: string;
      /** An attempt is out at this moment: the same may be said when it has ended. */
      readonly underWay?: true;
    };

/** The steps of an action whose outcome is not known. */
export function createDoubtActivities({ claims, settlements, actions, sender, outcomes, lanes }: DoubtDeps) {
  const find = async ({ tenant, actionId }: InDoubt) => {
    const action = await actions.find(tenant, actionId);
    if (action === undefined) throw new Error(`action ${actionId} is not in the store`);
    return action;
  };

  async function ask(inDoubt: InDoubt, action: ActionRecord): Promise<Resolution | undefined> {
    const tool = await claims.toolOf(inDoubt.tenant, action);
    if (tool === undefined || tool.statusUrl === null) return undefined;
    const url = new URL(tool.statusUrl);
    url.searchParams.set('idempotency_key', inDoubt.actionId);
    const headers = headersOf(action, tool, '');
    const giveBack = await lanes.enter(inDoubt.tenant, action.tool);
    // Others are ahead: it is asked at the next look.
    if (giveBack === undefined) return undefined;
    const request = { url: url.href, method: 'GET', timeoutMs: tool.timeoutMs, body: '', headers } as const;
    const answer = await sender.send(request).finally(giveBack);
    if (answer.kind !== 'response' || answer.httpStatus !== 200) return undefined;
    const { data } = StatusAnswer.safeParse(answer.body);
    if (data === undefined || data.status === 'unknown') return undefined;
    return {
      outcome: data.status,
      actor: BY_STATUS_URL,
      ...(data.result === undefined ? {} : { result: data.result }),
    };
  }

  /** Undefined where it cannot be called not executed at this moment, since an attempt is out. */
  async function resolve(
    { tenant }: InDoubt,
    action: ActionRecord,
    resolution: Resolution & Pick<Ending, 'claimedActor'>,
  ): Promise<Settled | undefined> {
    const tool = await claims.toolOf(tenant, action);
    const ending = resolved(resolution, windowSeconds(tenant, action, tool?.dedupTtl ?? 0));
    const settle = resolution.outcome === 'executed' ? settlements.settle : settlements.giveFree;
    const end = await settle(tenant, action, ending);
    if (end?.settled) outcomes.ended(end.action);
    return end;
  }

  return {
    /**
     * Settles an action in doubt as someone has said; an action that has ended stays as it is. `by` is who was authenticated;
     * whoever says it to the workflow itself was not, and is on the trail as the one they named.
     */
    async resolveAction(inDoubt: InDoubt, said: unknown, by?: string): Promise<Resolved> {
      const { data, error } = parseInput(Resolution, said);
      if (error !== undefined) return { kind: 'refused', code: 'validation_error', message: error };
      const action = await find(inDoubt);
      if (action.status !== 'in_doubt') return { kind: 'refused', code: 'action_not_in_doubt', message: action.status };
      const who = by === undefined ? { actor: NATIVE_ACTOR, claimedActor: data.actor } : { actor: by };
      const end = await resolve(inDoubt, action, { ...data, ...who });
      if (end === undefined)
        return { kind: 'refused', code: 'action_not_in_doubt', message: UNDER_WAY, underWay: true };
      return { kind: 'resolved', settled: end.settled, answer: answerOf(end.action) };
    },

    /** Looks whether the doubt is over: by a word that was said, a late answer, or by what the tool's `status_url` says. */
    async checkDoubt(inDoubt: InDoubt): Promise<ActionAnswer> {
      const action = await find(inDoubt);
      const resolution = action.status === 'in_doubt' ? await ask(inDoubt, action) : undefined;
      const end = resolution && (await resolve(inDoubt, action, resolution));
      return answerOf(end?.action ?? action);
    },

    /** How the action stands, for a workflow that was told that its row has changed. */
    async lookAtAction(inDoubt: InDoubt): Promise<ActionAnswer> {
      return answerOf(await find(inDoubt));
    },
  };
}
