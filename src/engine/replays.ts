import type { SimulatedDays } from '../contracts/decision.ts';
import type { Policy } from '../contracts/policy.ts';
import { toUsd } from '../domain/money.ts';
import type { Said } from '../domain/policy.ts';
import { createReplay, type Replayed } from '../domain/replay.ts';
import { reconsider } from '../domain/ruled-on.ts';
import type { Judge } from '../judge/judge.ts';
import type { createDecisions as createDecisionStore, DecisionRecord } from '../store/decisions.ts';
import { madeOf, rulingOf } from './ruling-view.ts';

const PAGE = 1_000;
/** What one simulation looks at: some ten seconds of work where the policy has conditions. */
const MAX_REPLAYED = 100_000;
const MAX_CHANGES = 1_000;
/** Decisions whose conditions had to be given up, after which a replay ends: each has cost a deadline and a thread. */
const MAX_GIVEN_UP = 10;

interface ReplayDeps {
  readonly decisions: ReturnType<typeof createDecisionStore>;
  readonly judge: Pick<Judge, 'saidEach'>;
}

interface ReplayOf {
  /** UTC days before this one. */
  readonly days: number;
  readonly policy: Policy;
  /** Aborted where nobody waits for it any more. */
  readonly signal: AbortSignal;
}

/** Puts the decisions of the last days to a policy, as many as it may look at: what it did not come to is told by `complete`. */
export const createReplays =
  ({ decisions, judge }: ReplayDeps) =>
  async (tenant: string, agentId: string, { days, policy, signal }: ReplayOf): Promise<SimulatedDays> => {
    const put = createReplay(policy);
    const found: SimulatedDays = { agent_id: agentId, days, replayed: 0, complete: false, changed: 0, changes: [] };
    let givenUp = 0;
    for (let after: string | undefined; ; ) {
      const { page, isLast } = await decisions.since(tenant, agentId, days, after, PAGE);
      for await (const [decision, said] of judgedEach(page)) {
        add(found, decision, put(decision, said));
        if (said.found.some(({ gaveUp }) => gaveUp)) givenUp += 1;
        if (givenUp >= MAX_GIVEN_UP || signal.aborted) return found;
      }
      found.complete = isLast;
      after = page.at(-1)?.actionId;
      if (found.complete || found.replayed >= MAX_REPLAYED) return found;
    }

    async function* judgedEach(page: readonly DecisionRecord[]): AsyncGenerator<[DecisionRecord, Said]> {
      const considered = page.map((decision) => reconsider(decision, policy));
      let n = 0;
      for await (const said of judge.saidEach(tenant, considered)) {
        yield [page[n] as DecisionRecord, said];
        n += 1;
      }
    }
  };

function add(found: SimulatedDays, decision: DecisionRecord, replayed: Replayed): void {
  found.replayed += 1;
  const change = changeOf(decision, replayed);
  if (change === undefined) return;
  found.changed += 1;
  if (found.changes.length < MAX_CHANGES) found.changes.push(change);
}

function changeOf(decision: DecisionRecord, { verdict, spendMicros }: Replayed) {
  const { risk_level: _risk, ...after } = rulingOf(verdict);
  const before = madeOf(decision);
  const isSame = before.policy_reason === after.policy_reason && decision.condition === (after.condition ?? null);
  if (isSame) return undefined;
  return {
    action_id: decision.actionId,
    ts: decision.at.toISOString(),
    tool: decision.tool,
    args_hash: decision.argsHash,
    spend_usd: toUsd(spendMicros),
    before,
    after,
  };
}
