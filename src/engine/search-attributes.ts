import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import { enums, type temporal } from './proto.ts';
import { read } from './rpc.ts';

const { INDEXED_VALUE_TYPE_KEYWORD } = enums.IndexedValueType;
const names = ['OnceOnlyTenant', 'OnceOnlyAgent', 'OnceOnlyTool', 'OnceOnlyStatus'] as const;

const keyword = (value: string) => ({
  metadata: { encoding: Buffer.from('json/plain'), type: Buffer.from('Keyword') },
  data: Buffer.from(JSON.stringify(value)),
});

export type SearchAttributes = ReturnType<typeof createSearchAttributes>;

/** What operators find workflows by. Until the namespace knows the attributes, workflows start without them. */
export function createSearchAttributes() {
  let known = false;

  return {
    /** Whether the namespace is seen to know them: from then on for good. */
    areKnown: () => known,

    /** The attributes of a workflow as the server takes them. */
    of(values: { tenant: string; agent?: string; tool?: string }): temporal.api.common.v1.ISearchAttributes | null {
      if (!known) return null;
      const indexedFields: Record<string, temporal.api.common.v1.IPayload> = { OnceOnlyTenant: keyword(values.tenant) };
      if (values.agent !== undefined) indexedFields.OnceOnlyAgent = keyword(values.agent);
      if (values.tool !== undefined) indexedFields.OnceOnlyTool = keyword(values.tool);
      return { indexedFields };
    },

    /** Registers the attributes and waits until the namespace answers queries by them; gives up quietly when aborted. */
    async register(client: Client, log: Logger, signal: AbortSignal): Promise<void> {
      while (!known && !signal.aborted) {
        try {
          await addMissing(client);
          await read(client, () =>
            client.workflowService.countWorkflowExecutions({
              namespace: client.options.namespace,
              query: names.map((name) => `${name} = 'none'`).join(' and '),
            }),
          );
          known = true;
        } catch (error) {
          log.debug({ err: error }, 'search attributes are not known yet');
          await sleep(1_000, undefined, { signal }).catch(() => undefined);
        }
      }
    },
  };
}

/** Where this is not allowed (Temporal Cloud), an operator adds them by hand; the query then finds them. */
async function addMissing(client: Client): Promise<void> {
  const { connection } = client;
  if (!('operatorService' in connection)) return;
  const operator = connection.operatorService as temporal.api.operatorservice.v1.OperatorService;
  await read(client, () =>
    operator.addSearchAttributes({
      namespace: client.options.namespace,
      searchAttributes: Object.fromEntries(names.map((name) => [name, INDEXED_VALUE_TYPE_KEYWORD])),
    }),
  ).catch(() => undefined);
}
