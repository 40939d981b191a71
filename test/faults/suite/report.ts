import type { FaultNote } from './faults.ts';
import { type Exchange, groupBy, type History, isOk, type Violation } from './history.ts';

/** The figures of an episode. */
export interface Report {
  /** Of each kind of operation, how often it came to what. */
  readonly operations: ReadonlyMap<string, ReadonlyMap<string, number>>;
  readonly faults: ReadonlyMap<string, number>;
  readonly violations: ReadonlyMap<string, number>;
  /** Of each kind, milliseconds from the end of each fault to the first success that was asked for after it. */
  readonly recovery: ReadonlyMap<string, readonly number[]>;
  readonly received: ReadonlyMap<string, number>;
}

export function reportOf(history: History, faults: readonly FaultNote[], violations: readonly Violation[]): Report {
  return {
    operations: new Map(
      [...groupBy(history.exchanges, ({ op }) => op)].map(([op, exchanges]) => [op, countBy(exchanges, outcomeOf)]),
    ),
    faults: countBy(faults, ({ kind, target }) => `${kind}: ${target.replace(/-\d/g, '')}`),
    violations: countBy(violations, ({ invariant }) => invariant),
    recovery: recoveryOf(history, faults),
    received: countBy(history.received, ({ tool, did }) => `${tool} ${did}`),
  };
}

function outcomeOf({ status, lost, error, body }: Exchange): string {
  if (status === undefined) return lost === 'timeout' ? 'no answer in time' : 'connection lost';
  return error ?? body.decision ?? body.status ?? String(status);
}

const measured = {
  'check-lock': isOk,
  lease: isOk,
  call: (exchange: Exchange) => ['executed', 'dedup'].includes(exchange.body.decision ?? ''),
  run: isOk,
  read: isOk,
} as const;

/** All faults count, those too that others overlap or follow before anything succeeds: left out, they would leave the long times out. */
function recoveryOf({ exchanges, quietAt }: History, faults: readonly FaultNote[]): Map<string, number[]> {
  return new Map(
    Object.entries(measured).map(([op, isSuccess]) => {
      const successes = exchanges.filter(
        (exchange) => exchange.op === op && exchange.sentAt < quietAt && isSuccess(exchange),
      );
      const times = faults
        .map(({ endedAt }) => {
          const later = successes.filter(({ sentAt }) => sentAt >= endedAt);
          return Math.min(...later.map((success) => success.endedAt)) - endedAt;
        })
        .filter(Number.isFinite);
      return [op, times.toSorted((a, b) => a - b)];
    }),
  );
}

function countBy<T>(items: readonly T[], nameOf: (item: T) => string): Map<string, number> {
  const counts = [...groupBy(items, nameOf)].map(([name, same]) => [name, same.length] as const);
  return new Map(counts.toSorted(([, a], [, b]) => b - a));
}

/** The report as tables of Markdown, for the terminal and for the page. */
export function asMarkdown({ operations, faults, violations, recovery, received }: Report): string {
  const list = (counts: ReadonlyMap<string, number>) => [...counts].map(([name, n]) => `${name} ${n}`).join(', ');
  const total = (counts: ReadonlyMap<string, number>) => [...counts.values()].reduce((sum, n) => sum + n, 0);
  const seconds = (ms: number | undefined) => (ms === undefined ? '' : `${(ms / 1000).toFixed(2)} s`);
  return [
    '| operation | requests | came to |',
    '| --- | --- | --- |',
    ...[...operations].map(([op, outcomes]) => `| ${op} | ${total(outcomes)} | ${list(outcomes)} |`),
    '',
    '| fault | times |',
    '| --- | --- |',
    ...[...faults].map(([kind, times]) => `| ${kind} | ${times} |`),
    `| **all** | **${total(faults)}** |`,
    '',
    '| from the end of a fault to the first success | faults | median | 95 % | longest |',
    '| --- | --- | --- | --- | --- |',
    ...[...recovery].map(
      ([op, times]) =>
        `| ${op} | ${times.length} | ${seconds(times[Math.floor(times.length * 0.5)])} | ${seconds(times[Math.floor(times.length * 0.95)])} | ${seconds(times.at(-1))} |`,
    ),
    '',
    `Receivers: ${list(received)}.`,
    '',
    total(violations) === 0 ? 'Violations: none.' : `Violations: ${total(violations)} (${list(violations)}).`,
  ].join('\n');
}
