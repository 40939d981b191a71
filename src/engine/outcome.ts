import type { Client } from '@temporalio/client';
import { defaultPayloadConverter } from '@temporalio/common';
import type { ActionAnswer } from '../contracts/action.ts';
import { asUnavailable, isTemporalUnavailable } from './faults.ts';
import { enums, type temporal } from './proto.ts';

const { HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT } = enums.HistoryEventFilterType;

/** The server answers a long poll after about 20 s with nothing; a call is given a little more. */
const LONG_POLL_MS = 25_000;

/** How a run of `governedAction` closed. */
export type Closing =
  | { readonly kind: 'completed'; readonly answer: ActionAnswer }
  | { readonly kind: 'failed'; readonly type: string }
  /** It goes on in a new run: what is known so far stands in the action's row. */
  | { readonly kind: 'continued' }
  /** Terminated, canceled or timed out from outside. */
  | { readonly kind: 'ended' };

/**
 * Waits until a run closes, by long polls for its close event alone.
 *
 * @param deadline Unix milliseconds; after it the answer is undefined and the run goes on.
 * @throws {Refusal} `unavailable` when Temporal cannot be reached.
 */
export async function waitForClosing(
  client: Client,
  execution: { workflowId: string; runId: string },
  deadline: number,
): Promise<Closing | undefined> {
  let nextPageToken: Uint8Array | undefined;
  while (Date.now() < deadline) {
    const until = Math.min(deadline, Date.now() + LONG_POLL_MS);
    try {
      const page = await client.connection.withDeadline(until, () =>
        client.workflowService.getWorkflowExecutionHistory({
          namespace: client.options.namespace,
          execution,
          waitNewEvent: true,
          historyEventFilterType: HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT,
          ...(nextPageToken && { nextPageToken }),
        }),
      );
      const event = page.history?.events?.[0];
      if (event) return closingOf(event);
      nextPageToken = page.nextPageToken;
    } catch (error) {
      if (Date.now() >= deadline && isTemporalUnavailable(error)) return undefined;
      throw asUnavailable(error);
    }
  }
  return undefined;
}

function closingOf(event: temporal.api.history.v1.IHistoryEvent): Closing {
  const completed = event.workflowExecutionCompletedEventAttributes;
  if (completed) {
    const [payload] = completed.result?.payloads ?? [];
    if (payload) return { kind: 'completed', answer: defaultPayloadConverter.fromPayload<ActionAnswer>(payload) };
  }
  if (event.workflowExecutionContinuedAsNewEventAttributes) return { kind: 'continued' };
  const failed = event.workflowExecutionFailedEventAttributes;
  return failed ? { kind: 'failed', type: failed.failure?.applicationFailureInfo?.type ?? '' } : { kind: 'ended' };
}
