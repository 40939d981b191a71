import { Action, ActionAnswer } from '../../contracts/action.ts';
import { PolicyAnswer } from '../../contracts/policy.ts';
import { EventAnswer } from '../../contracts/run.ts';
import { Tool } from '../../contracts/tool.ts';
import type { Request } from './rest.ts';
import { agent, type Scene, toolNames } from './scene.ts';

const dailyUsd = 150;

/** The operator says which tools there are, and what the agent may do with them. */
export async function registerToolsAndPolicy({ narrator, rest, tools }: Scene): Promise<void> {
  narrator.chapter('An operator registers three tools and a policy');
  const operator = rest.caller('operator');
  for (const name of Object.values(toolNames)) {
    const auth = { type: 'hmac_sha256', secret: tools.secret };
    const tool = await operator.call({
      method: 'POST',
      path: '/v1/tools',
      body: { name, url: tools.url(name), auth },
      meaning: `${name} at ${tools.url(name)}`,
      answer: Tool,
      show: ['name', 'enabled', 'secret_mask'],
    });
    narrator.expect('registered; the secret stays hidden', tool.secret_mask, `***${tools.secret.slice(-3)}`);
  }
  const policy = {
    allowed_tools: [toolNames.charge, toolNames.refund],
    blocked_tools: [toolNames.remove],
    max_spend_usd_per_day: dailyUsd,
  };
  const saved = await operator.call({
    method: 'POST',
    path: `/v1/policies/${agent.id}`,
    body: policy,
    meaning: `charge and refund, at most $${dailyUsd} a day, never ${toolNames.remove}`,
    answer: PolicyAnswer,
    show: ['agent_id', 'policy_version'],
  });
  narrator.expect('the policy is in force as version 1', saved, { agent_id: agent.id, policy, policy_version: 1 });
}

/** The connection breaks after the money has moved: the repeat must not move it again. */
export async function loseAnAnswer({ narrator, rest, tools }: Scene): Promise<Action> {
  narrator.chapter('The agent charges $100, loses the answer, and tries again');
  const billing = rest.caller(agent.id);
  await billing.lose(charge('789'), tools.charged);
  narrator.aside('The tool has done its work, and answers only now');
  tools.answerCharges();

  const again = await billing.call({ ...charge('789'), meaning: 'the same call once more' });
  const expected = { allowed: true, decision: 'dedup', result: { charge_id: 'ch_000001', args: chargeArgs('789') } };
  const outcomeOf = ({ allowed, decision, result }: ActionAnswer) => ({ allowed, decision, result });
  narrator.expect('the repeat reads the result of the first call', outcomeOf(again), expected);
  const later = await billing.call({ ...charge('789'), meaning: 'and once more, long after it is over' });
  narrator.expect('so does every later one', outcomeOf(later), expected);

  const calls = tools.callsOf(toolNames.charge);
  narrator.expect(
    'the tool was called ONCE, both signatures valid',
    calls.map(({ verified }) => verified),
    [true],
  );
  const action = await billing.call({
    method: 'GET',
    path: `/v1/actions/${again.action_id}`,
    meaning: 'what became of it?',
    answer: Action,
    show: ['status', 'spend_usd', 'fence', 'policy_version'],
  });
  const { status, spend_usd, attempts } = action;
  const seen = { status, spend_usd, attempts: attempts.map(({ http_status }) => http_status) };
  narrator.expect('executed in one attempt, $100 spent', seen, { status: 'executed', spend_usd: 100, attempts: [200] });
  return action;
}

/** What the policy blocks never reaches the tool. */
export async function tryABlockedTool({ narrator, rest, tools }: Scene): Promise<void> {
  narrator.chapter('The agent tries a tool that it must not use');
  const answer = await rest
    .caller(agent.id)
    .call(governed(toolNames.remove, { customer: 'acme' }, 'delete a customer'));
  expectBlocked(narrator, answer, 'tool_explicitly_blocked');
  narrator.expect('the tool heard nothing of it', tools.callsOf(toolNames.remove).length, 0);
}

/** The budget of the day binds whatever costs money, and nothing else. */
export async function spendTheBudget({ narrator, rest, tools }: Scene): Promise<void> {
  narrator.chapter(`The agent charges another $100, with $${dailyUsd - 100} left of today's $${dailyUsd}`);
  const billing = rest.caller(agent.id);
  expectBlocked(narrator, await billing.call(charge('790')), 'max_spend_usd_per_day_exceeded');
  narrator.expect('the tool still counts one charge', tools.callsOf(toolNames.charge).length, 1);

  const refund = await billing.call(governed(toolNames.refund, { charge: 'ch_000001' }, 'a refund costs nothing'));
  narrator.expect('what is free goes on', refund.decision, 'executed');
  await billing.call({
    method: 'POST',
    path: '/v1/events',
    body: { run_id: agent.run, type: 'note', agent_id: agent.id, message: 'invoice 790 waits for tomorrow' },
    meaning: 'a note on the timeline of its run',
    answer: EventAnswer,
    show: ['event_id', 'run_id'],
  });
}

function expectBlocked(narrator: Scene['narrator'], answer: ActionAnswer, reason: string): void {
  const { allowed, decision, policy_reason, result } = answer;
  narrator.expect(
    `blocked, and told why: ${reason}`,
    { allowed, decision, policy_reason, result },
    { allowed: false, decision: 'blocked', policy_reason: reason, result: null },
  );
}

const chargeArgs = (invoice: string) => ({ invoice, usd: 100 });

const charge = (invoice: string): GovernedRequest =>
  governed(toolNames.charge, chargeArgs(invoice), `charge $100 for invoice ${invoice}`, 100);

type GovernedRequest = Request<typeof ActionAnswer>;

function governed(tool: string, args: Record<string, unknown>, meaning: string, spendUsd?: number): GovernedRequest {
  const spend = spendUsd === undefined ? {} : { spend_usd: spendUsd };
  return {
    method: 'POST',
    path: '/v1/ai/run',
    body: { agent_id: agent.id, tool, args: { ...args, run_id: agent.run }, ...spend },
    meaning,
    answer: ActionAnswer,
    show: ['decision', 'policy_reason', 'result'],
  };
}
