import { Counter, collectDefaultMetrics, Histogram, Registry } from 'prom-client';
import type { ActionAnswer, PolicyReason } from '../contracts/action.ts';
import type { Conclusion } from '../domain/attempts.ts';

/** What a call was answered; `refused` is a call of a tool that is not registered. */
export type Decided = ActionAnswer['decision'] | 'refused';

/** A request that was answered. */
export interface AnsweredRequest {
  readonly method: string;
  /** The pattern of its route, never its path. */
  readonly route: string;
  /** The HTTP status, or `aborted` where the client hung up first. */
  readonly status: string;
  readonly seconds: number;
}

export type Metrics = ReturnType<typeof createMetrics>;

/**
 * What one process counts, for Prometheus. Labels are words of the product alone: no name of a tenant, an agent or a tool
 * is one, so that anybody may read them and their number is bounded (https://prometheus.io/docs/practices/naming/).
 */
export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });

  const decisions = new Counter({
    name: 'onceonly_decisions_total',
    help: 'Governed calls by what was decided and why, each answer once',
    labelNames: ['decision', 'policy_reason'] as const,
    registers,
  });
  const checks = new Counter({
    name: 'onceonly_check_locks_total',
    help: 'Answers of check-lock',
    labelNames: ['status'] as const,
    registers,
  });
  const requests = new Histogram({
    name: 'onceonly_http_request_duration_seconds',
    help: 'From the head of a request to the last byte of its answer',
    labelNames: ['method', 'route', 'status'] as const,
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers,
  });
  const toolCalls = new Histogram({
    name: 'onceonly_tool_call_duration_seconds',
    help: 'Attempts to call a tool, by what their answer meant',
    labelNames: ['outcome'] as const,
    // A tool may take up to 120 seconds.
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120],
    registers,
  });

  const judgements = new Counter({
    name: 'onceonly_condition_judgements_total',
    help: 'Jobs of the threads that judge conditions; given up: past the deadline, or ended by what it took',
    labelNames: ['outcome'] as const,
    registers,
  });

  return {
    registry,

    /** A call was decided, or answered with what another had led to: once for each line in the audit trail. */
    decided: (decision: Decided, reason: PolicyReason | 'tool_not_found'): void =>
      decisions.inc({ decision, policy_reason: reason }),

    /** Conditions were judged, or given up, or refused because too many of their tenant waited already. */
    judged: (outcome: 'judged' | 'gave_up' | 'refused'): void => judgements.inc({ outcome }),

    /** A check-lock was answered. */
    checked: (status: 'locked' | 'duplicate'): void => checks.inc({ status }),

    /** An attempt to call a tool came to an end. */
    toolAnswered: (outcome: Conclusion['kind'], milliseconds: number): void =>
      toolCalls.observe({ outcome }, milliseconds / 1000),

    /** A request was answered. */
    answered: ({ seconds, ...labels }: AnsweredRequest): void => requests.observe(labels, seconds),
  };
}
