import type { Place } from '../domain/arguments/fault.ts';
import type { ConditionError, Position } from '../domain/condition/expression.ts';
import type { Finding, Subject } from '../domain/condition/finding.ts';
import type { Said } from '../domain/policy.ts';

/** A condition as a thread needs it: which tools it speaks of was looked at before. */
export interface Asked {
  readonly name: string;
  readonly expression: string;
}

/**
 * What a thread is asked: what the schema of a tool and conditions say of calls that all of them speak of, or whether an
 * expression, or a schema, is one.
 */
export type Job =
  | {
      readonly kind: 'judge';
      readonly schema: string | undefined;
      readonly conditions: readonly Asked[];
      readonly subjects: readonly Subject[];
    }
  | { readonly kind: 'check'; readonly expression: string }
  | { readonly kind: 'check_schema'; readonly schema: string };

/** What is wrong with an expression; a `ConditionError` as it travels between threads. */
export interface Fault {
  readonly kind: ConditionError['kind'];
  readonly message: string;
  readonly position: Position;
}

/** What is wrong with a schema; a `SchemaError` as it travels between threads. */
export interface SchemaFault {
  readonly message: string;
  readonly place: Place;
}

export type Answer =
  | { readonly kind: 'found'; readonly said: readonly Said[] }
  | { readonly kind: 'schema_checked'; readonly fault: SchemaFault | undefined }
  | { readonly kind: 'checked'; readonly fault: Fault | undefined }
  /** It has compiled for long enough in one turn; what it has compiled is kept. Ask again. */
  | { readonly kind: 'again' };

/** Why a job has no answer: its time was up, or its thread ended under it, as it does where memory is short. */
export interface GaveUp {
  readonly kind: 'gaveUp';
  readonly why: 'time' | 'thread';
  /** The findings of its last subject, as far as it had come. */
  readonly found: readonly Finding[];
  /** It was the schema that was given up, and why; what comes behind it was not looked at. */
  readonly misfit: string | undefined;
}

/** What a thread says when it can work: the file by which the system tells its processor time, where there is one. */
export interface Ready {
  readonly kind: 'ready';
  readonly clock: number | undefined;
}
