import type { Figures, Result, Step } from './compare.ts';
import type { Latencies } from './load.ts';

const table = (head: readonly string[], lines: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

const reached = (isReached: boolean): string => (isReached ? 'yes' : 'not yet');
const perSecond = ({ closed }: Figures): string => `${closed.perSecond.toFixed(closed.perSecond < 100 ? 1 : 0)}/s`;
const between = ({ p50, p99 }: Latencies): string => `${p50.toFixed(1)} / ${p99.toFixed(1)} ms`;
const ms = (value: number | undefined): string => (value === undefined ? '' : value.toFixed(value < 10 ? 2 : 1));

/** Our throughput as a share of the baseline's. */
export const ratios = (results: readonly Result[]): string =>
  table(
    ['work', 'measured against', 'ours', 'baseline', 'ratio', 'goal', 'reached'],
    results.flatMap(({ row, ours, baselines }) =>
      baselines.map((baseline) => {
        const ratio = ours.closed.perSecond / baseline.closed.perSecond;
        const { name, goal } = baseline;
        const judged = goal === undefined ? ['', ''] : [String(goal), reached(ratio >= goal)];
        return [row.work, name, perSecond(ours), perSecond(baseline), `**${ratio.toFixed(2)}**`, ...judged];
      }),
    ),
  );

const SERVICES = ['Temporal', 'PostgreSQL', 'Redis'] as const;

/** Of all processes that do the work together; who asks, and the tool that is called, are apart. */
export const totalOf = ({ cpu, process }: Figures): number =>
  [...SERVICES, ...(process === 'load' ? [] : [process])].reduce((sum, name) => sum + (cpu[name] ?? 0), 0);

function costLine(work: string, figures: Figures, goal?: number, before?: number): string[] {
  const { cpu, process } = figures;
  const total = totalOf(figures);
  return [
    work,
    process === 'load' ? '' : ms(cpu[process]),
    ...SERVICES.map((name) => ms(cpu[name])),
    `**${ms(total)}**`,
    ms(before),
    ...(goal === undefined ? ['', ''] : [String(goal), reached(total <= goal)]),
    ms((cpu.load ?? 0) + (cpu.tool ?? 0)),
  ];
}

/** CPU milliseconds an operation. */
export const costs = (results: readonly Result[]): string =>
  table(
    ['operation', 'product', ...SERVICES, 'total', 'before', 'goal', 'reached', 'load and tool, apart'],
    results.flatMap(({ row, ours, baselines }) => [
      costLine(row.work, ours, row.cpuGoal, row.cpuBefore),
      ...baselines.map((baseline) => costLine(`*${baseline.name}*`, baseline)),
    ]),
  );

/** p50 and p99, by callers who wait for their answer, and by calls that do not. */
export const latencies = (results: readonly Result[]): string =>
  table(
    ['work', 'callers', 'throughput', 'closed loop p50 / p99', 'arrivals', 'open loop p50 / p99'],
    results.flatMap(({ row, ours, baselines }) =>
      [{ ...ours, name: row.work }, ...baselines.map((one) => ({ ...one, name: `*${one.name}*` }))].map((one) => [
        one.name,
        String(row.concurrency),
        perSecond(one),
        between(one.closed),
        one.open ? `${one.open.rate}/s` : '',
        one.open ? between(one.open) : '',
      ]),
    ),
  );

export const steps = (made: readonly Step[]): string =>
  table(
    ['callers', 'throughput', 'p50 / p99', 'made', 'answered 503'],
    made.map((step) => [
      String(step.concurrency),
      `${step.perSecond.toFixed(1)}/s`,
      between(step),
      String(step.done),
      String(step.refused),
    ]),
  );
