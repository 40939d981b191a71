import type { Settings } from '../../contracts/settings.ts';
import { type OperationExamples, single } from './example.ts';

const held = { default_deny: true, approval_ttl_seconds: 3600 } satisfies Settings;

export const settings: OperationExamples = {
  'get /v1/settings': {
    id: 'getSettings',
    answers: { 200: single('What holds', held) },
  },
  'post /v1/settings': {
    id: 'saveSettings',
    description:
      'What is left out stays as it is. What this version does not know is named in the answer, and does nothing.',
    body: single('Agents without a policy may call nothing', { default_deny: true }),
    answers: { 200: single('What holds from now on', held) },
  },
};
