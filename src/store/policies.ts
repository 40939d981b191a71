import { sql } from 'kysely';
import { LeftOut } from '../contracts/page.ts';
import { type ListedPolicy, Policy, type PolicyAnswer, toolsNamedIn } from '../contracts/policy.ts';
import { fingerprint } from '../domain/fingerprint.ts';
import type { Queries } from './database.ts';
import { all, ofAgents, shown } from './pages.ts';
import type { Pools } from './pools.ts';
import { missingTools } from './tools.ts';
import { appendAudit } from './trail.ts';
import { ofAgent } from './turns.ts';

export type SavedPolicy =
  | { readonly kind: 'saved'; readonly answer: PolicyAnswer }
  /** None in force: null. */
  | { readonly kind: 'version_mismatch'; readonly version: number | null }
  | { readonly kind: 'unknown_tools'; readonly tools: readonly string[] };

/** Which versions a change may follow, any of them; `any`: there has to be one. */
export type Expected = 'any' | readonly number[];

interface Row {
  agent_id: string;
  version: number;
  policy: unknown;
}

const toWire = (row: Row): PolicyAnswer => ({
  agent_id: row.agent_id,
  policy: Policy.parse(row.policy),
  policy_version: row.version,
});

export const createPolicies = ({ writes, reads }: Pick<Pools, 'writes' | 'reads'>) => ({
  /**
   * Stores the next version, unless a tool it names is unknown, or it is the version in force: a repeat makes none.
   * Earlier versions stay: decisions name theirs. With `expected` it follows one of these versions, or nothing is changed; the
   * version that follows one of them and is as asked for is a repeat's.
   */
  save(tenant: string, agentId: string, policy: Policy, actor: string, expected?: Expected): Promise<SavedPolicy> {
    return writes.transact(ofAgent(tenant, agentId), async (tx) => {
      await sql`select pg_advisory_xact_lock(hashtextextended(${`policy/${tenant}/${agentId}`}, 0))`.execute(tx);
      const before = await inForce(tx, tenant, agentId);
      const isAsAsked = before !== undefined && printOf(before.policy) === printOf(policy);
      if (!follows(before, expected) && !(isAsAsked && isRepeat(before, expected)))
        return { kind: 'version_mismatch', version: before?.policy_version ?? null };
      const tools = await unknownTools(tx, tenant, agentId, policy);
      if (tools.length > 0) return { kind: 'unknown_tools', tools };
      if (isAsAsked) return { kind: 'saved', answer: before };
      const { rows } = await sql<Row>`
        insert into policies (tenant, agent_id, version, policy)
        select ${tenant}, ${agentId}, coalesce(max(version), 0) + 1, ${JSON.stringify(policy)}::json
        from policies where tenant = ${tenant} and agent_id = ${agentId}
        returning agent_id, version, policy
      `.execute(tx);
      const answer = toWire(rows[0] as Row);
      // Last, and only now locked: claims that are about to be made wait for this row, and see the new version with it.
      await sql`
        insert into agents as g (tenant, agent_id, policy_version) values (${tenant}, ${agentId}, ${answer.policy_version})
        on conflict (tenant, agent_id) do update set policy_version = excluded.policy_version
      `.execute(tx);
      const { policy_version: policyVersion } = answer;
      const detail = { before: before?.policy ?? null, after: answer.policy };
      await appendAudit([{ tenant, type: 'policy_set', actor, agentId, policyVersion, detail }]).execute(tx);
      return { kind: 'saved', answer };
    });
  },

  /** The tools a policy names that its agent does not have. */
  unknownTools: (tenant: string, agentId: string, policy: Policy): Promise<string[]> =>
    unknownTools(reads, tenant, agentId, policy),

  /** The version in force of every agent that has one, and may be seen. */
  async list(tenant: string, agents: readonly string[] | null): Promise<ListedPolicy[]> {
    const { rows } = await sql<Row>`
      with in_force as (
        select distinct on (agent_id) agent_id, version, policy from policies
        where ${all([sql`tenant = ${tenant}`, ofAgents(sql`agent_id`, agents)])} order by agent_id, version desc
      )
      select agent_id, version, ${shown(sql`policy`, sql`agent_id`)} as policy from in_force order by agent_id
    `.execute(reads);
    return rows.map((row) => {
      const leftOut = LeftOut.safeParse(row.policy);
      return leftOut.success ? { ...toWire({ ...row, policy: {} }), policy: leftOut.data } : toWire(row);
    });
  },

  /** The version in force, or none. */
  get: (tenant: string, agentId: string): Promise<PolicyAnswer | undefined> => inForce(reads, tenant, agentId),
});

const follows = (before: PolicyAnswer | undefined, expected: Expected | undefined): boolean => {
  if (expected === undefined) return true;
  return before !== undefined && (expected === 'any' || expected.includes(before.policy_version));
};

/** Whether it may have been made by the same request before, whose answer was lost. */
const isRepeat = ({ policy_version: version }: PolicyAnswer, expected: Expected | undefined): boolean =>
  Array.isArray(expected) && expected.includes(version - 1);

const unknownTools = (db: Queries, tenant: string, agentId: string, policy: Policy) =>
  missingTools(db, tenant, agentId, toolsNamedIn(policy));

/** Of what is stored: a field that is there and undefined is not. */
const printOf = (policy: Policy): string => fingerprint(JSON.parse(JSON.stringify(policy)));

async function inForce(db: Queries, tenant: string, agentId: string): Promise<PolicyAnswer | undefined> {
  const { rows } = await sql<Row>`
    select agent_id, version, policy from policies
    where tenant = ${tenant} and agent_id = ${agentId} order by version desc limit 1
  `.execute(db);
  return rows[0] && toWire(rows[0]);
}
