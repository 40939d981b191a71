import { cursorOf } from '../../contracts/page.ts';

/** The names that all examples share: one agent of one tenant charges one invoice. */
export const tenant = 'acme';
export const agent_id = 'billing-agent';
export const tool = 'stripe.charge';
export const key = 'charge:invoice-789';
export const run_id = 'run-2026-11-24';
export const args = { amount: 4200, currency: 'usd', invoice: 'invoice-789' };
export const args_hash = '61d2e07ec9352d2ba93cbf4d6bf5a4d3b4ef0ec2d5f1b12f1a0f5a6b4f9d3c11';
export const result = { charge: 'ch_789', status: 'succeeded' };
export const lease_id = 'lease_8Qm2vXo4Zt1bKc9dLs5eRw7y';
export const action_id = 'act_0199a4c27f3e7b8d9c1d2e3f4a5b6c7d';
export const workflow_id = `action/${tenant}/k:${key}`;
export const temporal_url = `https://temporal.example.com/namespaces/default/workflows/${encodeURIComponent(workflow_id)}`;
export const key_id = 'key_0123456789abcdef';

export const asked_at = '2026-11-24T09:30:00.000Z';
export const done_at = '2026-11-24T09:30:01.250Z';

/** Of a page that ended with an item of this id, made at `asked_at`. */
export const cursorAfter = (id: string): string => cursorOf({ micros: Date.parse(asked_at) * 1000, id });
