import type { Client } from '@temporalio/client';
import { defaultPayloadConverter } from '@temporalio/common';
import type { ActionAnswer } from '../contracts/action.ts';
import { isRefusedCall, type Outcome } from '../domain/outcome.ts';
import { enums, type temporal } from './proto.ts';
import { read } from './rpc.ts';

const { HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT } = enums.HistoryEventFilterType;

/** What a run of `governedAction` closed with; undefined where it is open, gone, or was ended from outside. */
export async function closingOf(
  client: Client,
  execution: { workflowId: string; runId: string },
): Promise<Outcome | undefined> {
  const page = await read(client, () =>
    client.workflowService.getWorkflowExecutionHistory({
      namespace: client.options.namespace,
      execution,
      historyEventFilterType: HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT,
    }),
  ).catch(() => undefined);
  const event = page?.history?.events?.[0];
  return event && outcomeOf(event);
}

function outcomeOf(event: temporal.api.history.v1.IHistoryEvent): Outcome | undefined {
  const [payload] = event.workflowExecutionCompletedEventAttributes?.result?.payloads ?? [];
  if (payload) return { kind: 'answer', answer: defaultPayloadConverter.fromPayload<ActionAnswer>(payload) };
  const type = event.workflowExecutionFailedEventAttributes?.failure?.applicationFailureInfo?.type ?? '';
  return isRefusedCall(type) ? { kind: 'refused', code: type } : undefined;
}
