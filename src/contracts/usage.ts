import { z } from 'zod';

/** `make` is check-lock, `ai` is leases and governed calls. */
export const MeterName = z.enum(['make', 'ai']);
export type MeterName = z.output<typeof MeterName>;

export const Meter = z
  .object({
    usage: z.int().meta({ description: 'make: duplicates blocked; ai: leases acquired and calls executed' }),
    limit: z.int().nullable().meta({ description: 'Null where there is none' }),
    requests_total_month: z.int(),
    blocked_total_month: z.int().meta({ description: 'Refused because of the plan limit' }),
    charged_total_month: z.int(),
    polling_total_month: z.int(),
  })
  .meta({ id: 'Meter' });
export type Meter = z.output<typeof Meter>;

const month = {
  plan: z.string(),
  month: z.string().meta({ description: 'YYYY-MM in UTC', example: '2026-11' }),
};

export const Usage = Meter.extend(month).meta({ id: 'Usage' });
export const UsageAll = z.object({ ...month, make: Meter, ai: Meter }).meta({ id: 'UsageAll' });
export type UsageAll = z.output<typeof UsageAll>;

const MAX_DAYS = 366;
const DAY_MS = 86_400_000;
const dayAt = (moment: number): string => new Date(moment).toISOString().slice(0, 10);

/** A day in UTC, from 1970 on. */
const Day = z.iso
  .date()
  .refine((day) => day >= '1970-01-01', { error: 'Day should not be before 1970' })
  .meta({ example: '2026-11-24' });

/** The last 30 days where nothing is said; both ends are included. */
export const DayRange = z
  .object({
    from_day: Day.default(() => dayAt(Date.now() - 29 * DAY_MS)),
    to_day: Day.default(() => dayAt(Date.now())),
  })
  .refine(({ from_day, to_day }) => from_day <= to_day, {
    error: 'to_day should not be before from_day',
    path: ['to_day'],
  })
  .refine(({ from_day, to_day }) => Date.parse(to_day) - Date.parse(from_day) < MAX_DAYS * DAY_MS, {
    error: `Range should have at most ${MAX_DAYS} days`,
    path: ['to_day'],
  });
export type DayRange = z.output<typeof DayRange>;

export const DayMetrics = z
  .object({
    day: z.string(),
    checks_total: z.int(),
    locks_created: z.int(),
    duplicates_blocked: z.int(),
    rate_limited: z.int(),
    ai_acquired: z.int(),
    ai_completed: z.int(),
    ai_failed: z.int().meta({ description: 'By their holder, or because their time ran out; canceled ones are not' }),
  })
  .meta({ id: 'DayMetrics' });
export type DayMetrics = z.output<typeof DayMetrics>;
