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

/**
 * Bytes that the members of one list which may be large (arguments, data, schemas, policies) have together at the most. They
 * are weighed where they lie: a list that would be larger is never read.
 */
const MAX_LIST_BYTES = 4 * 1024 * 1024;
/** What is smaller is no smaller left out. */
const SMALL_BYTES = 128;

/** Of JSON or text, as it is kept; known without reading it. */
const bytesOf = (member: RawBuilder<unknown>) => sql`octet_length(${member}::text)`;

const isWithin = (members: readonly RawBuilder<unknown>[], order: RawBuilder<unknown>) => sql`
  sum(${sql.join(
    members.map((member) => sql`coalesce(${bytesOf(member)}, 0)`),
    sql` + `,
  )}) over (order by ${order} rows unbounded preceding) <= ${sql.lit(MAX_LIST_BYTES)}`;

/**
 * Of the rows of a list, each with `members` that may be large: whether the list may hold it, which it may always hold the
 * first; a page ends before the one that it may not. Stands in a SELECT over all rows of the page, and those that are left out
 * are dropped around it.
 *
 * @param order of the list, over unique columns.
 */
export const fits = (members: readonly RawBuilder<unknown>[], order: RawBuilder<unknown>) =>
  sql<boolean>`(row_number() over (order by ${order}) = 1 or ${isWithin(members, order)})`;

/**
 * A JSON object of each row of a list that has no cursor, or {@link LeftOut} behind those that are {@link MAX_LIST_BYTES}
 * together; the first is always whole, so that a list of one shows what was left out.
 *
 * @param members all of the row's that may be large.
 */
export const shown = <T>(
  member: RawBuilder<unknown>,
  order: RawBuilder<unknown>,
  members: readonly RawBuilder<unknown>[] = [member],
) => sql<T>`
  case when ${member} is null or ${bytesOf(member)} <= ${sql.lit(SMALL_BYTES)} or ${fits(members, order)} then ${member}
    else json_build_object('truncated', true, 'bytes', ${bytesOf(member)}) end`;

/** The same of a text, of which its beginning is left. */
export const shownText = (
  member: RawBuilder<unknown>,
  order: RawBuilder<unknown>,
  members: readonly RawBuilder<unknown>[],
) => sql<string | null>`
  case when length(${member}) <= ${sql.lit(SMALL_BYTES)} or ${fits(members, order)} then ${member}
    else left(${member}, ${sql.lit(SMALL_BYTES - 1)}) || '…' end`;

/** Every condition that there is, for a WHERE. */
export const all = (conditions: ReadonlyArray<RawBuilder<unknown> | undefined>) =>
  sql.join(
    conditions.filter((condition) => condition !== undefined),
    sql` and `,
  );

/** Only what is of these agents, where not all may be seen; null: all. */
export const ofAgents = (column: RawBuilder<unknown>, agents: readonly string[] | null | undefined) =>
  agents === null || agents === undefined ? undefined : sql`${column} = any (${sql.val(agents)}::text[])`;
