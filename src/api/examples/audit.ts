import type { AuditItem, AuditList } from '../../contracts/audit.ts';
import { type OperationExamples, single } from './example.ts';
import { action_id, agent_id, args_hash, asked_at, cursorAfter, key, key_id, tool } from './story.ts';

const line = {
  seq: 1042,
  ts: asked_at,
  type: 'action_admitted',
  actor: key_id,
  claimed_actor: null,
  agent_id,
  tool,
  tool_version: 1,
  action_id,
  key,
  decision: 'executed',
  policy_reason: 'ok',
  policy_version: 3,
  spend_usd: 42,
  args_hash,
  reason: null,
  detail: null,
  prev_hash: 'a3f1b07ec9352d2ba93cbf4d6bf5a4d3b4ef0ec2d5f1b12f1a0f5a6b4f9d3c22',
  hash: 'b4e2c18fda463e3cba4dc05e7c06b5e4c5f01fd3e602c2302b106b7c50ae4d33',
} satisfies AuditItem;

export const audit: OperationExamples = {
  'get /v1/audit': {
    id: 'listAudit',
    description:
      'Pages are JSON: `cursor` is the `next_cursor` of the page before. `format` `ndjson` or `csv` streams everything that matches, however much it is.',
    parameters: {
      agent_id,
      tool,
      type: 'action_admitted',
      decision: 'executed',
      from: '2026-11-24T00:00:00Z',
      to: '2026-11-25T00:00:00Z',
      limit: 100,
      cursor: cursorAfter('1042'),
      format: 'json',
    },
    answers: { 200: single('The last page', { items: [line], next_cursor: null } satisfies AuditList) },
    streams: {
      'application/x-ndjson': `${JSON.stringify(line)}\n`,
      'text/csv': `${Object.keys(line).join(',')}\r\n${Object.values(line).join(',')}\r\n`,
    },
  },
};
