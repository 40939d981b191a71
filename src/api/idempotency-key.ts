import { z } from 'zod';
import { Key, optional } from '../contracts/common.ts';
import { parsePart } from './validation.ts';

const Headers = z.object({ 'Idempotency-Key': optional(Key) });

/**
 * The `Idempotency-Key` of a request (IETF draft httpapi-idempotency-key-header), or none.
 *
 * @throws {ValidationError} where it is empty or over 256 characters.
 */
export const idempotencyKeyOf = (header: (name: string) => string | undefined): string | undefined =>
  parsePart(Headers, { 'Idempotency-Key': header('Idempotency-Key') }, 'body')['Idempotency-Key'];
