import { z } from 'zod';
import { ActionAnswer } from './action.ts';
import {
  Actor,
  AgentId,
  boundedObject,
  JsonObject,
  Key,
  Owner,
  optional,
  ownerInMetadata,
  RunId,
  Tenant,
  ToolName,
  Ttl,
  Usd,
} from './common.ts';
import { LeaseResult, type LeaseResume } from './lease.ts';

/** Actions a run takes; what a list holds beyond is left out (contract, section 5). */
export const MAX_RUN_ACTIONS = 50;

export const RunAction = z.object({
  tool: ToolName,
  /** A `run_id` in it is left out: the run's own names the timeline. */
  args: optional(JsonObject),
  spend_usd: optional(Usd),
});
export interface RunAction {
  readonly tool: string;
  readonly args?: JsonObject | undefined;
  readonly spend_usd?: number | undefined;
}

const firstOf = (value: unknown): unknown => (Array.isArray(value) ? value.slice(0, MAX_RUN_ACTIONS) : value);

const plan = {
  agent_id: optional(AgentId),
  run_id: optional(RunId),
  actions: optional(z.preprocess(firstOf, z.array(RunAction))),
  dry_run: optional(z.boolean()),
};

const hasAgent = ({ agent_id, actions = [] }: { agent_id?: string | undefined; actions?: RunAction[] | undefined }) =>
  actions.length === 0 || agent_id !== undefined;
const needsAgent = { path: ['agent_id'], error: 'Actions need an agent_id' };

const MAX_METADATA_BYTES = 64 * 1024;

/** What a run is to do, beside whatever else a client keeps in the metadata of its lease; at most 64 KiB as JSON. */
const RunMetadata = boundedObject(MAX_METADATA_BYTES)
  .pipe(z.looseObject({ ...plan, ...ownerInMetadata }).refine(hasAgent, needsAgent))
  .meta({ id: 'RunMetadata' });

const oneMode = (field: string) => z.never({ error: `A request has one mode: either key or ${field}` });

/** Mode A of `POST /v1/ai/run`: several governed actions under one lease. */
export const AgentRunRequest = z
  .object({
    key: Key,
    ttl: optional(Ttl),
    metadata: optional(RunMetadata),
    owner: optional(Owner),
    retry_failed: optional(z.boolean()),
    agent_id: optional(oneMode('agent_id')),
    tool: optional(oneMode('tool')),
  })
  .meta({ id: 'AgentRunRequest' });
export type AgentRunRequest = z.output<typeof AgentRunRequest>;

/** Input of the `agentRun` workflow (contract, section 13): anybody may start it, so its first step parses it. */
export const AgentRunInput = z
  .object({
    tenant: Tenant,
    key: Key,
    ttl: optional(Ttl),
    owner: optional(Owner),
    retry_failed: optional(z.boolean()),
    actor: optional(Actor),
    begin_before: optional(z.number()),
    by_row: optional(z.boolean()),
    ...plan,
  })
  .refine(hasAgent, needsAgent);
export interface AgentRunInput {
  readonly tenant?: string;
  readonly key: string;
  readonly agent_id?: string;
  /** Names the timeline; the key where absent. */
  readonly run_id?: string;
  readonly actions?: readonly RunAction[];
  /** Decide, and call nothing. */
  readonly dry_run?: boolean;
  /** Seconds; the run renews its lease, so this only says how soon one that is lost is noticed. */
  readonly ttl?: number;
  readonly owner?: string;
  readonly retry_failed?: boolean;
  readonly actor?: string;
  /** Unix milliseconds by Temporal's clock: started later, it was refused already and does nothing. */
  readonly begin_before?: number;
  /** Whoever starts it acquires the key in its row by itself, as REST does. */
  readonly by_row?: boolean;
  /** Set by the workflow itself when it continues as new; never by a caller. */
  readonly resume?: LeaseResume & { readonly steps: readonly RunStep[] };
}

/** An action that a run has made: its row, and whether another call had made it before. */
export interface RunStep {
  readonly actionId: string;
  readonly repeat: boolean;
}

/** What the `agentRun` workflow returns: the body of `/v1/ai/result`, and its actions once more by the name of section 13. */
export const AgentRunResult = LeaseResult.extend({ results: z.array(ActionAnswer) });
export type AgentRunResult = z.output<typeof AgentRunResult>;
