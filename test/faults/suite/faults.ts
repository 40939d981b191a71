import { setTimeout as sleep } from 'node:timers/promises';
import type { Deployment } from './deployment.ts';
import type { Numbers } from './numbers.ts';
import type { Part } from './parts.ts';
import type { TcpProxy } from './tcp-proxy.ts';

/** A fault that was there, from the first thing done until all of it was undone. */
export interface FaultNote {
  readonly kind: string;
  readonly target: string;
  readonly beganAt: number;
  readonly endedAt: number;
}

interface Fault {
  readonly kind: string;
  readonly target: string;
  readonly forMs: number;
  begin(): Promise<void> | void;
  end(): Promise<void> | void;
}

/** Breaks what it may until `until`, one thing after the other, and mends each. */
export async function playFaults(draw: () => Fault, pauseMs: () => number, until: number): Promise<FaultNote[]> {
  const notes: FaultNote[] = [];
  for (;;) {
    const [pause, fault] = [pauseMs(), draw()];
    await sleep(pause);
    if (Date.now() + fault.forMs >= until) return notes;
    const beganAt = Date.now();
    await fault.begin();
    await sleep(fault.forMs);
    await fault.end();
    notes.push({ kind: fault.kind, target: fault.target, beganAt, endedAt: Date.now() });
  }
}

/** A process or a service ends or stands still. */
export function processFaults(numbers: Numbers, { apis, workers, postgres, temporal, redis }: Deployment) {
  const crash = (parts: readonly Part[], most: number) => (): Fault => ({
    kind: 'kill -9',
    target: parts.map(({ name }) => name).join(' and '),
    forMs: numbers.between(50, most),
    begin: () => all(parts, (part) => part.end('SIGKILL')),
    end: () => all(parts, (part) => part.start()),
  });
  const stop = (part: Part) => (): Fault => ({
    kind: 'SIGTERM',
    target: part.name,
    forMs: numbers.between(50, 500),
    begin: () => part.end('SIGTERM'),
    end: () => part.start(),
  });
  const freeze = (part: Part, most: number) => (): Fault => ({
    kind: 'SIGSTOP',
    target: part.name,
    forMs: numbers.between(500, most),
    begin: () => part.freeze(),
    end: () => part.thaw(),
  });
  return (): Fault => {
    const [api, worker] = [numbers.pick(apis), numbers.pick(workers)];
    return numbers.weighted<() => Fault>([
      [3, crash([api], 2_000)],
      [4, crash([worker], 2_000)],
      [1, crash(apis, 1_000)],
      [1, crash(workers, 1_000)],
      [1, crash([api, worker], 1_000)],
      [1, stop(api)],
      [1, stop(worker)],
      [2, freeze(api, 5_000)],
      [3, freeze(worker, 5_000)],
      // Temporal gives its work to the other one after 10 s; it wakes up all the same.
      [1, freeze(worker, 15_000)],
      // These stop everything: short.
      [2, crash([postgres], 1_500)],
      [2, freeze(postgres, 3_000)],
      [2, crash([temporal], 1_500)],
      [2, freeze(temporal, 3_000)],
      ...(redis === undefined ? [] : ([[1, crash([redis], 1_500)]] as const)),
      ...(redis === undefined ? [] : ([[1, freeze(redis, 3_000)]] as const)),
    ])();
  };
}

const all = async (parts: readonly Part[], work: (part: Part) => Promise<void>): Promise<void> => {
  await Promise.all(parts.map(work));
};

/** A link loses, holds back or refuses. */
export function linkFaults(numbers: Numbers, { links }: Deployment) {
  // A name is drawn by what it joins first, so that many links of one kind are no likelier than few of another.
  const kinds = [/api-.→postgres/, /worker-.→postgres/, /api-.→temporal/, /worker-.→temporal/, /client→/, /→receiver/];
  const weights = [4, 4, 3, 3, 3, 3];
  return (): Fault => {
    const kind = numbers.weighted([
      ...kinds.map((pattern, n) => [weights[n] ?? 1, pattern] as const),
      [1, /→redis/] as const,
    ]);
    const names = [...links.keys()].filter((name) => kind.test(name));
    const target = names[numbers.below(Math.max(1, names.length))] ?? 'client→api-1';
    return numbers.weighted(damages(numbers, target, links.get(target) as TcpProxy))();
  };
}

function damages(numbers: Numbers, target: string, link: TcpProxy): ReadonlyArray<readonly [number, () => Fault]> {
  const damage = (kind: string, least: number, most: number, begin: Fault['begin']) => (): Fault => ({
    kind,
    target,
    forMs: numbers.between(least, most),
    begin,
    end: () => link.heal(),
  });
  const packets = numbers.between(1, 5);
  const lag = numbers.between(50, 300);
  return [
    [6, damage('cut after the request', 200, 1_500, () => link.cutAfterRequest(packets))],
    [4, damage('answers dropped', 500, 4_000, () => link.dropAnswers())],
    [2, damage('stalled', 500, 6_000, () => link.stall())],
    [2, damage('refused', 500, 3_000, () => link.refuse())],
    [2, damage('cut', 10, 50, () => link.cut())],
    [2, damage('slow', 1_000, 4_000, () => link.delay(lag))],
  ];
}
