/** Where it says why an input could not be read. */
const WHY = 'onceonly_unreadable';

/** What stands for an input of a workflow that could not be read: its first step refuses it, and says why. */
export const unreadable = (why: string) => ({ [WHY]: why });

/** Why an input could not be read; undefined of any other. */
export function whyUnreadable(input: unknown): string | undefined {
  if (typeof input !== 'object' || input === null || !(WHY in input)) return undefined;
  return String(input[WHY]);
}
