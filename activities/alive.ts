import { Context } from '@temporalio/activity';

/** Well within the time after which Temporal takes a silent worker for lost (workflows/steps.ts). */
const BEAT_MS = 2_000;

/** Makes a step that may take long and lets Temporal see that it is alive; a local step is watched by its workflow task. */
export async function whileAlive<T>(step: () => Promise<T>): Promise<T> {
  const context = Context.current();
  if (context.info.isLocal) return await step();
  const beat = setInterval(() => context.heartbeat(), BEAT_MS);
  try {
    return await step();
  } finally {
    clearInterval(beat);
  }
}
