import type { DayMetrics, Meter, UsageAll } from '../../contracts/usage.ts';
import { type OperationExamples, single } from './example.ts';

const month = { plan: 'self_hosted', month: '2026-11' };
const make = {
  usage: 31,
  limit: null,
  requests_total_month: 640,
  blocked_total_month: 0,
  charged_total_month: 609,
  polling_total_month: 0,
} satisfies Meter;
const ai = {
  usage: 412,
  limit: null,
  requests_total_month: 564,
  blocked_total_month: 0,
  charged_total_month: 412,
  polling_total_month: 152,
} satisfies Meter;

export const usage: OperationExamples = {
  'get /v1/usage': {
    id: 'getUsage',
    description: 'Months are those of UTC. `make` is check-lock, `ai` is leases and governed calls.',
    parameters: { kind: 'ai' },
    answers: { 200: single('Of leases and governed calls', { ...month, ...ai }) },
  },
  'get /v1/usage/all': {
    id: 'getAllUsage',
    description: 'Months are those of UTC. `make` is check-lock, `ai` is leases and governed calls.',
    answers: { 200: single('Of both', { ...month, make, ai } satisfies UsageAll) },
  },
  'get /v1/metrics': {
    id: 'getDayMetrics',
    description: 'Both days are included, at most 366 of them; the last 30 where nothing is said.',
    parameters: { from_day: '2026-11-01', to_day: '2026-11-24' },
    answers: {
      200: single('One day', [
        {
          day: '2026-11-24',
          checks_total: 58,
          locks_created: 55,
          duplicates_blocked: 3,
          rate_limited: 0,
          ai_acquired: 48,
          ai_completed: 46,
          ai_failed: 2,
        },
      ] satisfies DayMetrics[]),
    },
  },
};
