import { type LookupAddress, NODATA, NOTFOUND, type RecordWithTtl } from 'node:dns';
import type { Resolver } from 'node:dns/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** How long addresses of one kind wait for those of the other (RFC 8305, section 3, has 50 ms between two networks). */
const OTHER_KIND_MS = 250;

/** What a name has. */
export interface Found {
  readonly addresses: readonly LookupAddress[];
  /** Seconds for which they may be remembered. */
  readonly ttl: number;
}

/** Not found, or not yet: what became of it is the same to the caller, nothing was sent. */
export class NameError extends Error {
  readonly code: 'ENOTFOUND' | 'EAI_AGAIN';

  constructor(hostname: string, code: 'ENOTFOUND' | 'EAI_AGAIN', cause?: unknown) {
    super(`${hostname}: ${code}`, { cause });
    this.code = code;
  }
}

/** An address with its kind. */
export const addressOf = (address: string): LookupAddress => ({ address, family: address.includes(':') ? 6 : 4 });

interface Answer {
  readonly records: readonly RecordWithTtl[];
  readonly fault?: unknown;
}

const answerOf = (asked: Promise<RecordWithTtl[]>): Promise<Answer> =>
  asked.then(
    (records) => ({ records }),
    (fault: unknown) => ({ records: [], fault }),
  );

/**
 * Both kinds of addresses; IPv4 where IPv6 does not come. Undefined where the name has none.
 *
 * @throws {NameError} where it may have some.
 */
export async function resolve(resolver: Resolver, name: string): Promise<Found | undefined> {
  const [asked4, asked6] = [resolver.resolve4(name, { ttl: true }), resolver.resolve6(name, { ttl: true })].map(
    answerOf,
  );
  const ipv4 = await asked4;
  const late = sleep<Answer>(OTHER_KIND_MS, { records: [] }, { ref: false });
  // Not the other way round: where there is no IPv6, its addresses alone are none.
  const ipv6 = await (ipv4?.records.length === 0 ? asked6 : Promise.race([asked6, late]));
  const answers = [ipv4, ipv6].filter((answer) => answer !== undefined);
  const records = answers.flatMap((answer) => answer.records);
  if (records.length > 0) {
    const ttl = Math.min(...records.map((record) => record.ttl));
    return { addresses: records.map(({ address }) => addressOf(address)), ttl };
  }
  const unanswered = answers.find(({ fault }) => !saysThereIsNone(fault));
  if (unanswered !== undefined) throw new NameError(name, 'EAI_AGAIN', unanswered.fault);
  return undefined;
}

const saysThereIsNone = (fault: unknown): boolean =>
  fault instanceof Error && 'code' in fault && (fault.code === NOTFOUND || fault.code === NODATA);
