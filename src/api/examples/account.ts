import type { Me, Notifications, NotificationsRequest } from '../../contracts/account.ts';
import { type OperationExamples, single } from './example.ts';

const notifications = {
  email_notifications_enabled: true,
  tool_error_notifications_enabled: true,
  run_failure_notifications_enabled: false,
} satisfies Notifications;

export const account: OperationExamples = {
  'get /v1/me': {
    id: 'getMe',
    description: 'The plan, the counts of all time, and the beginning and end of the key that asks.',
    answers: {
      200: single('A self-hosted tenant', {
        plan: 'self_hosted',
        key_preview: 'once_live_…9f3a',
        email: null,
        is_active: true,
        current_period_end: null,
        requests_total_all_time: 1204,
        blocked_total_all_time: 31,
        ...notifications,
      } satisfies Me),
    },
  },
  'post /v1/me/notifications': {
    id: 'setNotifications',
    description: 'What is left out stays as it is. The answer has all three.',
    body: single('No mail about failed runs', {
      run_failure_notifications_enabled: false,
    } satisfies NotificationsRequest),
    answers: { 200: single('As they are now', notifications) },
  },
};
