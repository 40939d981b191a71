import { Gauge } from 'prom-client';
import { toUsd } from '../domain/money.ts';
import type { Standing } from '../store/standing.ts';
import type { Metrics } from './metrics.ts';

/** However many look, the database is asked once in this time. */
const KEEP_MS = 5_000;
/** A service that is silent for so long is away, for this scrape: Prometheus itself waits for 10 s. */
const PATIENCE_MS = 3_000;

export interface ScrapeDeps {
  readonly metrics: Metrics;
  readonly readStanding: () => Promise<Standing>;
  /** Rejects while Temporal does not answer. */
  readonly pingTemporal: () => Promise<void>;
  /** Whether the worker of this process is at work; absent where it has none. */
  readonly isWorkerReady?: (() => boolean) | undefined;
  /** The Temporal SDK's own metrics as text; absent where the process has no worker. */
  readonly readSdkMetrics?: (() => Promise<string>) | undefined;
}

export interface Scrape {
  readonly contentType: string;
  readonly text: string;
}

export type Scraper = () => Promise<Scrape>;

/** Everything there is to tell Prometheus. What is away is absent, and `onceonly_up` says so: a scrape never fails. */
export function createScraper(deps: ScrapeDeps): Scraper {
  const { registry } = deps.metrics;
  const gauge = (name: string, help: string) => new Gauge({ name, help, registers: [registry] });
  const up = new Gauge({
    name: 'onceonly_up',
    help: 'Whether a service answers this process',
    labelNames: ['service'] as const,
    registers: [registry],
  });
  const open = gauge('onceonly_open_actions', 'Actions under way or in doubt, of the whole deployment');
  const inDoubt = gauge('onceonly_in_doubt_actions', 'Actions in doubt, of the whole deployment');
  const held = gauge('onceonly_held_usd', 'Money held by open actions, of the whole deployment');
  const show = ({ openActions, inDoubtActions, heldMicros }: Standing) => {
    open.set(openActions);
    inDoubt.set(inDoubtActions);
    held.set(toUsd(heldMicros));
  };
  const hide = () => {
    for (const one of [open, inDoubt, held]) one.remove();
  };

  const standing = keeping(async () => await within(PATIENCE_MS, deps.readStanding()));
  const temporal = keeping(
    async () =>
      await within(
        PATIENCE_MS,
        deps.pingTemporal().then(() => true),
      ),
  );

  return async () => {
    const [known, reachable, sdk] = await Promise.all([
      standing(),
      temporal(),
      deps.readSdkMetrics === undefined ? '' : within(PATIENCE_MS, deps.readSdkMetrics()),
    ]);
    if (known === undefined) hide();
    else show(known);
    up.set({ service: 'postgres' }, known === undefined ? 0 : 1);
    up.set({ service: 'temporal' }, reachable ? 1 : 0);
    if (deps.isWorkerReady !== undefined) up.set({ service: 'worker' }, deps.isWorkerReady() ? 1 : 0);
    return { contentType: registry.contentType, text: `${await registry.metrics()}${sdk ?? ''}` };
  };
}

/** Asks at most once in a while; who asks meanwhile gets the same answer. */
function keeping<T>(ask: () => Promise<T>): () => Promise<T> {
  let kept: { readonly answer: Promise<T>; readonly until: number } | undefined;
  return () => {
    if (kept === undefined || kept.until <= performance.now()) {
      kept = { answer: ask(), until: performance.now() + KEEP_MS };
    }
    return kept.answer;
  };
}

/** The answer, or undefined where there is none in time. */
async function within<T>(milliseconds: number, answer: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), milliseconds);
  });
  return await Promise.race([answer.catch(() => undefined), late]).finally(() => clearTimeout(timer));
}
