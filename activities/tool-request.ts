import type { JsonObject } from '../src/contracts/common.ts';
import { signedHeaders } from '../src/dispatch/sign.ts';
import type { ActionRecord } from '../src/domain/action.ts';
import type { CallableTool } from '../src/store/claims.ts';

/** What a tool receives (contract, section 11). */
export const envelopeOf = (action: ActionRecord, args: JsonObject) => ({
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
export const headersOf = (action: ActionRecord, tool: CallableTool, body: string): Record<string, string> => ({
  // By their names in small letters, so that one that is said twice is said once.
  ...Object.fromEntries(Object.entries(tool.headers).map(([name, value]) => [name.toLowerCase(), value])),
  ...signedHeaders({
    body,
    webhookId: action.actionId,
    idempotencyKey: action.actionId,
    fence: action.fence ?? 0,
    secret: tool.secret,
    ...(tool.nextSecret !== undefined && { nextSecret: tool.nextSecret }),
    nowSeconds: Math.floor(Date.now() / 1000),
  }),
});
