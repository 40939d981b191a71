import type { KillAnswer, KillState, KillStatus } from '../../contracts/kill.ts';
import { type OperationExamples, single } from './example.ts';
import { asked_at, tool } from './story.ts';

const killed = { scope: 'tool', tool, is_killed: true, reason: 'pays twice', killed_at: asked_at } as const;

export const kill: OperationExamples = {
  'post /v1/kill': {
    id: 'kill',
    description:
      'The row is what stops: it holds while Temporal or every worker is away, and also for agents and scopes that come later. A killed tool stays killed when it is registered anew. What is under way cannot be taken back; it is counted.',
    body: {
      tenant: { summary: 'Every agent', value: { scope: 'tenant', reason: 'an incident' } },
      tool: { summary: 'One tool', value: { scope: 'tool', tool, reason: 'pays twice' } },
    },
    answers: { 200: single('Killed', { ...killed, stopped: 2, stopping: 0, in_flight: 1 } satisfies KillAnswer) },
  },
  'post /v1/unkill': {
    id: 'unkill',
    description: 'Agents that are disabled by themselves stay so.',
    body: single('One tool', { scope: 'tool', tool }),
    answers: {
      200: single('Goes on', { ...killed, is_killed: false, reason: null, killed_at: null } satisfies KillStatus),
    },
  },
  'get /v1/kill': {
    id: 'getKill',
    answers: {
      200: single('One tool', {
        tenant: null,
        tools: [{ tool, killed_at: asked_at, reason: null }],
      } satisfies KillState),
    },
  },
};
