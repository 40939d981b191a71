import { z } from 'zod';
import { Moment, optional } from './common.ts';

const notifications = {
  email_notifications_enabled: z.boolean(),
  tool_error_notifications_enabled: z.boolean(),
  run_failure_notifications_enabled: z.boolean(),
};

export const Me = z
  .object({
    plan: z.string(),
    key_preview: z.string(),
    email: z.string().nullable(),
    is_active: z.boolean(),
    current_period_end: Moment.nullable(),
    requests_total_all_time: z.int(),
    blocked_total_all_time: z.int(),
    ...notifications,
  })
  .meta({ id: 'Me' });
export type Me = z.output<typeof Me>;

export const Notifications = z.object(notifications).meta({ id: 'Notifications' });
export type Notifications = z.output<typeof Notifications>;

/** The ones to change; the others stay as they are. */
export const NotificationsRequest = z
  .object({
    email_notifications_enabled: optional(z.boolean()),
    tool_error_notifications_enabled: optional(z.boolean()),
    run_failure_notifications_enabled: optional(z.boolean()),
  })
  .meta({ id: 'NotificationsRequest' });
export type NotificationsRequest = z.output<typeof NotificationsRequest>;
