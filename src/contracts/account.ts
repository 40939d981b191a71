import { z } from 'zod';
import { Moment } from './common.ts';

export const Me = z
  .object({
    plan: z.string(),
    key_preview: z.string(),
    email: z.string().nullable(),
    is_active: z.boolean(),
    current_period_end: Moment.nullable(),
    requests_total_all_time: z.int(),
    blocked_total_all_time: z.int(),
    email_notifications_enabled: z.boolean(),
    tool_error_notifications_enabled: z.boolean(),
    run_failure_notifications_enabled: z.boolean(),
  })
  .meta({ id: 'Me' });
export type Me = z.output<typeof Me>;
