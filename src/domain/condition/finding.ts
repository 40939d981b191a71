import type { JsonObject } from '../../contracts/common.ts';
import type { Condition } from '../../contracts/policy.ts';

/** What a condition is asked about. */
export interface Subject {
  readonly args: JsonObject;
  readonly agent: string;
  readonly tool: string;
  readonly spendUsd: number;
  readonly time: Date;
}

/** What a condition says of a call; `error` where it could not be evaluated, which is no yes. */
export interface Finding {
  readonly name: string;
  readonly holds: boolean;
  readonly error?: string;
  /** It was given up: for its time, or for the memory it took. That denies in any case. */
  readonly gaveUp?: true;
}

/** The conditions of a policy that speak of a tool. */
export const conditionsFor = (conditions: readonly Condition[] | undefined, tool: string): Condition[] =>
  (conditions ?? []).filter(({ tools }) => tools === undefined || tools.includes(tool));
