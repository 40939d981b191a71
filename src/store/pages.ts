import { type RawBuilder, sql } from 'kysely';
import type { Position } from '../contracts/page.ts';

/** A moment as whole microseconds since 1970: a JavaScript date would lose the last three digits. */
export const microsOf = (column: RawBuilder<unknown>) => sql<number>`(extract(epoch from ${column}) * 1000000)::bigint`;

/** The moment that {@link microsOf} made; exact, unlike `to_timestamp` of a float. */
export const momentAt = (micros: number) => sql`(timestamptz 'epoch' + ${micros}::bigint * interval '1 microsecond')`;

/** What lies behind a position in the order newest first; `id` as its column's type. */
export const behind = (columns: RawBuilder<unknown>, { micros }: Position, id: RawBuilder<unknown>) =>
  sql`(${columns}) < (${momentAt(micros)}, ${id})`;

/** What lies behind a position in an order of a number and an id, ascending. */
export const behindAscending = (columns: RawBuilder<unknown>, { micros, id }: Position) =>
  sql`(${columns}) > (${micros}::bigint, ${id})`;

/** Every condition that there is, for a WHERE. */
export const all = (conditions: ReadonlyArray<RawBuilder<unknown> | undefined>) =>
  sql.join(
    conditions.filter((condition) => condition !== undefined),
    sql` and `,
  );

/** Only what is of these agents, where not all may be seen; null: all. */
export const ofAgents = (column: RawBuilder<unknown>, agents: readonly string[] | null | undefined) =>
  agents === null || agents === undefined ? undefined : sql`${column} = any (${sql.val(agents)}::text[])`;
