import { sql } from 'kysely';
import { type Database, transact } from './database.ts';
import type { SecretBox } from './secret-box.ts';
import { secretPlace } from './tool-row.ts';

const NAME = 'master_key';
const PLACE = 'known-value';
const VALUE = 'what every process of this deployment can open';

export interface MasterKey {
  /**
   * Whether this process has the master key that the database was made with: it opens a known value, which the first process
   * of a deployment puts there. Where none is there yet, a tool's secret is what has to open.
   *
   * @throws what PostgreSQL says.
   */
  prove(): Promise<boolean>;
  /** What `prove` has last said; false until then. */
  isProven(): boolean;
}

export function createMasterKey(db: Database, secrets: SecretBox): MasterKey {
  let proven = false;

  const opens = (cipher: Buffer, place: string): boolean => {
    try {
      secrets.open(cipher, place);
      return true;
    } catch {
      return false;
    }
  };

  const find = () =>
    transact(db, async (tx) => {
      await sql`select pg_advisory_xact_lock(hashtextextended(${NAME}, 0))`.execute(tx);
      const known = await tx.selectFrom('known_values').select('cipher').where('name', '=', NAME).executeTakeFirst();
      if (known !== undefined) return opens(known.cipher, PLACE);
      const tool = await tx
        .selectFrom('tools')
        .select(['tenant', 'name', 'scope_id', 'secret_cipher'])
        .limit(1)
        .executeTakeFirst();
      if (tool && !opens(tool.secret_cipher, secretPlace(tool.tenant, tool.name, tool.scope_id))) return false;
      await tx
        .insertInto('known_values')
        .values({ name: NAME, cipher: secrets.seal(VALUE, PLACE) })
        .execute();
      return true;
    });

  return {
    async prove() {
      proven = await find();
      return proven;
    },
    isProven: () => proven,
  };
}
