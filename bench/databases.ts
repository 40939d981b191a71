import pg from 'pg';

/** Makes the tables of the plain baselines, and a database of its own for DBOS; the address of that. */
export async function prepareDatabases(databaseUrl: string): Promise<string> {
  const db = new pg.Client({ connectionString: databaseUrl });
  await db.connect();
  try {
    await db.query(`
      create table plain_policies (agent text primary key, allowed boolean not null);
      create table plain_budgets (agent text primary key, spent bigint not null);
      create table plain_outcomes (id bigserial primary key, agent text, invoice text, result jsonb);
      insert into plain_policies values ('bench', true);
      insert into plain_budgets values ('bench', 0);
    `);
    await db.query('create database bench_dbos');
  } finally {
    await db.end();
  }
  const url = new URL(databaseUrl);
  url.pathname = '/bench_dbos';
  return url.href;
}
