import { ok } from '../behaviours.ts';
import { type Receiver, startReceiver } from '../receiver.ts';
import type { Narrator } from './narrator.ts';
import type { Rest } from './rest.ts';

/** Where the story takes place. */
export interface Scene {
  readonly narrator: Narrator;
  readonly rest: Rest;
  readonly tools: Tools;
}

export type Tools = Awaited<ReturnType<typeof startTools>>;

/** The names under which the tools are registered; each has its path on the receiver. */
export const toolNames = { charge: 'charge', refund: 'refund', remove: 'delete_customer' } as const;

/** The agent of the story, and the run that its calls belong to. */
export const agent = { id: 'billing-agent', run: 'invoice-run' } as const;

/** The tools: a real HTTP server that checks both signatures of each call. Its first charge is done at once and answered late. */
export async function startTools(secret: string) {
  const receiver = await startReceiver({ secret });
  const arrival = gate();
  const answer = gate();
  const pay = ok();
  receiver.endpoint(`/${toolNames.charge}`, async (call, n) => {
    const paid = await pay(call, n);
    arrival.open();
    await answer.opened;
    return paid;
  });
  receiver.endpoint(`/${toolNames.refund}`, () => ({ body: { refund_id: 're_000001' } }));
  receiver.endpoint(`/${toolNames.remove}`, () => ({ body: { deleted: true } }));
  return {
    secret,
    url: (name: string) => `${receiver.url}/${name}`,
    /** Resolves when the first charge has been made, before its answer is sent. */
    charged: arrival.opened,
    /** Lets the charges be answered. */
    answerCharges: answer.open,
    callsOf: (name: string) => callsOf(receiver, name),
    /** Every call that arrived, with what is wrong with its signatures. */
    problems: () => receiver.calls.map(({ problem }) => problem).filter((problem) => problem !== undefined),
    calls: () => receiver.calls.length,
    /** How often the work of each key was done. */
    effects: () => [...receiver.effects.values()],
    close: receiver.close,
  };
}

const callsOf = (receiver: Receiver, name: string) => receiver.calls.filter(({ path }) => path === `/${name}`);

function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}
