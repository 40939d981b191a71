import { type Check, groupBy, type Received, type Violation } from '../history.ts';

/** An intent is done once, whatever was repeated, by whichever action: what failed and is tried anew has done nothing. */
export const singleEffects: Check = ({ received }) => {
  const effects = received.filter(({ did }) => did === 'effect');
  return [...groupBy(effects, ({ intent }) => intent)]
    .filter(([, done]) => done.length > 1)
    .map(([intent, done]) => ({
      invariant: 'effect at most once',
      subject: intent,
      what: `${done[0]?.tool} did it ${done.length} times, for ${done.map(({ actionId }) => actionId).join(' and ')}`,
    }));
};

/** An action is known to its tool by one key, and no key by two actions; all its attempts have one fence. */
export const oneKeyPerAction: Check = ({ received }) => {
  const of = (calls: readonly Received[], what: (call: Received) => string | number) => new Set(calls.map(what));
  const byAction = [...groupBy(received, ({ actionId }) => actionId)].flatMap(([subject, calls]) => {
    const keys = of(calls, ({ idempotencyKey }) => idempotencyKey);
    const ids = of(calls, ({ webhookId }) => webhookId);
    return keys.size > 1 || ids.size > 1 ? [told(subject, `called under ${[...keys, ...ids].join(', ')}`)] : [];
  });
  const byKey = [...groupBy(received, ({ idempotencyKey }) => idempotencyKey)].flatMap(([subject, calls]) => {
    const actions = of(calls, ({ actionId }) => actionId);
    return actions.size > 1 ? [told(subject, `stands for ${[...actions].join(', ')}`)] : [];
  });
  return [...byAction, ...byKey];
};

const told = (subject: string, what: string): Violation => ({
  invariant: 'one Idempotency-Key for each action',
  subject,
  what,
});
