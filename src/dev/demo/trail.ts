import { z } from 'zod';
import { AgentLog } from '../../contracts/agent.ts';
import { RunTimeline } from '../../contracts/run.ts';
import { agent, type Scene, toolNames } from './scene.ts';

const Logs = z.array(AgentLog);

/** All of it can be read afterwards. */
export async function readTheTrail({ narrator, rest, tools }: Scene): Promise<void> {
  narrator.chapter('An auditor asks what the agent did');
  const auditor = rest.caller('auditor');
  const logs = await auditor.call({
    method: 'GET',
    path: `/v1/agents/${agent.id}/logs`,
    meaning: 'every decision, the latest first',
    answer: Logs,
    show: ['length'],
  });
  narrator.table(logs.map(decisionRow));
  narrator.expect('each decision is there with its reason', new Set(logs.map(decisionOf)), new Set(decisions));
  const spent = logs.reduce((sum, { spend_usd }) => sum + spend_usd, 0);
  narrator.expect('$100 were spent, once', spent, 100);

  const timeline = await auditor.call({
    method: 'GET',
    path: `/v1/runs/${agent.run}`,
    meaning: 'the timeline of the run',
    answer: RunTimeline,
    show: ['run_id', 'total'],
  });
  narrator.table(timeline.events.map(eventRow));
  const reached = timeline.events.filter(({ type }) => type === 'tool_call').map(({ tool }) => tool);
  narrator.expect('it tells which calls went out', reached, [toolNames.charge, toolNames.refund]);
  narrator.expect('and the note of the agent', timeline.events.at(-1)?.message, 'invoice 790 waits for tomorrow');
  const { calls, problems, effects } = tools;
  narrator.expect(
    'the receiver agrees: two calls, each signed right, each done once',
    { calls: calls(), problems: problems(), effects: effects() },
    { calls: 2, problems: [], effects: [1, 1] },
  );
}

const decisions = [
  `${toolNames.charge} executed ok`,
  `${toolNames.charge} dedup tool_idempotency`,
  `${toolNames.remove} blocked tool_explicitly_blocked`,
  `${toolNames.charge} blocked max_spend_usd_per_day_exceeded`,
  `${toolNames.refund} executed ok`,
];

const decisionOf = ({ tool, decision, policy_reason }: AgentLog): string => `${tool} ${decision} ${policy_reason}`;

const decisionRow = (log: AgentLog): Record<string, string> => ({
  time: new Date(log.ts * 1000).toISOString().slice(11, 19),
  tool: log.tool ?? '',
  decision: log.decision,
  reason: log.policy_reason ?? '',
  risk: log.risk_level,
  policy: `v${log.policy_version ?? '-'}`,
  spent: `$${log.spend_usd}`,
});

const eventRow = (event: RunTimeline['events'][number]): Record<string, string> => ({
  time: new Date(event.ts * 1000).toISOString().slice(11, 23),
  event: event.type,
  tool: event.tool ?? '',
  status: event.status ?? '',
  took: event.duration_ms === null ? '' : `${event.duration_ms} ms`,
  message: event.message ?? '',
});
