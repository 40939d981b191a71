import type { AgentLog, AgentMetrics, AgentStatus, DisableAnswer } from '../../contracts/agent.ts';
import { type OperationExamples, single } from './example.ts';
import { action_id, agent_id, args_hash, asked_at, tool } from './story.ts';

const reason = 'charged the wrong customers';

export const agents: OperationExamples = {
  'post /v1/agents/:agent_id/disable': {
    id: 'disableAgent',
    description:
      'The kill switch: calls are blocked with `agent_disabled`, and what waits or is to be tried again ends now. A call that is under way cannot be taken back.',
    parameters: { agent_id },
    body: single('With a reason', { reason }),
    answers: {
      200: single('Stopped', {
        agent_id,
        is_enabled: false,
        disabled_reason: reason,
        disabled_at: asked_at,
        stopped: 2,
        stopping: 0,
        in_flight: 1,
      } satisfies DisableAnswer),
    },
  },
  'post /v1/agents/:agent_id/enable': {
    id: 'enableAgent',
    description: 'What the kill switch has ended stays ended.',
    parameters: { agent_id },
    body: single('With a reason', { reason: 'its prompt was corrected' }),
    answers: {
      200: single('Enabled', {
        agent_id,
        is_enabled: true,
        disabled_reason: null,
        disabled_at: null,
      } satisfies AgentStatus),
    },
  },
  'get /v1/agents/:agent_id/logs': {
    id: 'getAgentLogs',
    parameters: { agent_id, limit: 100 },
    answers: {
      200: single('One call', [
        {
          ts: Date.parse(asked_at) / 1000,
          agent_id,
          action_id,
          tool,
          allowed: true,
          decision: 'executed',
          policy_reason: 'ok',
          policy_version: 3,
          risk_level: 'low',
          args_hash,
          spend_usd: 42,
        },
      ] satisfies AgentLog[]),
    },
  },
  'get /v1/agents/:agent_id/metrics': {
    id: 'getAgentMetrics',
    description: 'The window ends now. An agent that nobody knows has zeros.',
    parameters: { agent_id, period: 'day' },
    answers: {
      200: single('Of a day', {
        agent_id,
        period: 'day',
        total_actions: 48,
        blocked_actions: 3,
        total_spend_usd: 120,
        top_tools: [
          { tool, count: 40 },
          { tool: 'email.send', count: 8 },
        ],
      } satisfies AgentMetrics),
    },
  },
};
