import { z } from 'zod';
import { DayMetrics, DayRange, MeterName, Usage, UsageAll } from '../../contracts/usage.ts';
import type { Plan } from '../../domain/plan.ts';
import { read } from '../../domain/usage.ts';
import { Reply, route } from '../route.ts';
import { following, watching } from '../scope.ts';

const tag = 'usage';

const limitOf = (plan: Plan, meter: MeterName): number | null =>
  meter === 'make' ? plan.monthlyLocks : plan.monthlyAi;

const usage = route({
  method: 'get',
  path: '/v1/usage',
  summary: 'What this month has used of one meter',
  tag,
  needs: following,
  bound: 'free',
  query: z.object({ kind: MeterName.default('make') }),
  answer: Usage,
  handle: async ({ tenant, plan, query: { kind } }, { stores }) => {
    const { month, counts } = await stores.usage.thisMonth(tenant);
    return { plan: plan.name, month, ...read(kind, counts, limitOf(plan, kind)) };
  },
});

const usageAll = route({
  method: 'get',
  path: '/v1/usage/all',
  summary: 'What this month has used of both meters',
  tag,
  needs: following,
  bound: 'free',
  answer: UsageAll,
  handle: async ({ tenant, plan }, { stores }) => {
    const { month, counts } = await stores.usage.thisMonth(tenant);
    const [make, ai] = [read('make', counts, limitOf(plan, 'make')), read('ai', counts, limitOf(plan, 'ai'))];
    const headers = { 'X-OnceOnly-Plan': plan.name, 'X-OnceOnly-Month': month };
    return new Reply({ plan: plan.name, month, make, ai }, { headers });
  },
});

const metrics = route({
  method: 'get',
  path: '/v1/metrics',
  summary: 'What was counted on each day, in UTC',
  tag,
  needs: watching,
  bound: 'free',
  query: DayRange,
  answer: z.array(DayMetrics),
  handle: ({ tenant, query }, { stores }) => stores.usage.days(tenant, query),
});

export const usages = [usage, usageAll, metrics];
