import { sql } from 'kysely';
import { indexed, statements } from '../migration-steps.ts';

/** Keys that are revoked stay on the record; keys and events keep what a repeat of their request is recognised by. */
export const steps = [
  statements(sql`
    alter table api_keys
      add column revoked_at timestamptz,
      add column requested_by text,
      add column request_key text,
      add column fingerprint text;
    create index api_keys_of_tenant on api_keys (tenant, created_at);
    create index api_keys_requests on api_keys (requested_by, created_at) where requested_by is not null;
    alter table events add column identity text, add column fingerprint text;
  `),
  indexed('events_identity', sql`on events (tenant, identity) where identity is not null`, { unique: true }),
];
