import { createHash } from 'node:crypto';
import { canonicalJson } from './fingerprint.ts';

/** SQL stores of Temporal keep workflow IDs in VARCHAR(255); 200 bytes leave room for what the server appends. */
const MAX_ID_BYTES = 200;

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Injective: a short clean key stands verbatim behind `k:`, any other is hashed behind `h:` (contract, section 13). */
function keyed(prefix: string, key: string, suffix = ''): string {
  const verbatim = `${prefix}k:${key}${suffix}`;
  const clean = !/\p{Cc}/u.test(key) && Buffer.byteLength(verbatim) <= MAX_ID_BYTES;
  return clean ? verbatim : `${prefix}h:${sha256(key)}${suffix}`;
}

export const lockWorkflowId = (tenant: string, key: string): string => keyed(`lock/${tenant}/`, key);
export const leaseWorkflowId = (tenant: string, key: string): string => keyed(`lease/${tenant}/`, key);
export const runWorkflowId = (tenant: string, key: string): string => keyed(`run/${tenant}/`, key);
export const actionWorkflowId = (tenant: string, key: string): string => keyed(`action/${tenant}/`, key);

/** The ID of a run's `n`-th action, counted from 1: outside of what any caller's key can spell (contract, section 14). */
export const runActionWorkflowId = (tenant: string, runKey: string, n: number): string =>
  keyed(`run-action/${tenant}/`, runKey, `/${n}`);

/** The ID of a call that names no key: the same call of the same agent is the same action. `args` are without `run_id`. */
export function derivedActionWorkflowId(
  tenant: string,
  call: { agent_id: string; tool: string; args: unknown },
): string {
  const { agent_id, tool, args } = call;
  return `action/${tenant}/d:${sha256(canonicalJson({ agent_id, args, tool }))}`;
}

/** What an action's workflow ID has to fit: its call, and its place in a run where it is one of several. */
export interface NamedCall {
  readonly agent_id: string;
  readonly tool: string;
  readonly args: unknown;
  readonly of_run?: { readonly key: string; readonly n: number } | undefined;
}

/** Whether an action may go by a workflow ID: one of ours has to be of its tenant and, where it is derived, of its call. */
export function mayBeAction(workflowId: string, tenant: string, { of_run, ...call }: NamedCall): boolean {
  if (of_run !== undefined) return workflowId === runActionWorkflowId(tenant, of_run.key, of_run.n);
  if (isDerivedActionWorkflowId(tenant, workflowId)) return workflowId === derivedActionWorkflowId(tenant, call);
  if (workflowId.startsWith('run-action/')) return false;
  return !workflowId.startsWith('action/') || workflowId.startsWith(`action/${tenant}/`);
}

/** Whether an action's workflow ID was derived from its call, so that the tool's own dedup window applies. */
export const isDerivedActionWorkflowId = (tenant: string, workflowId: string): boolean =>
  workflowId.startsWith(`action/${tenant}/d:`);
