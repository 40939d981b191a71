import { sql } from 'kysely';
import type { Queries } from './database.ts';

/** What is open, over all tenants. */
export interface Standing {
  /** Under way or in doubt. */
  readonly openActions: number;
  readonly inDoubtActions: number;
  readonly heldMicros: number;
}

/** Reads what is open; the index of open actions alone is walked, however many have ended. */
export async function readStanding(db: Queries): Promise<Standing> {
  const { rows } = await sql<Standing>`
    select count(*) as "openActions", count(*) filter (where status = 'in_doubt') as "inDoubtActions",
           coalesce(sum(spend_micros) filter (where hold = 'held'), 0)::bigint as "heldMicros"
    from actions where status in ('running', 'in_doubt')
  `.execute(db);
  return rows[0] ?? { openActions: 0, inDoubtActions: 0, heldMicros: 0 };
}
