import { type CelFunc, CelScalar, celFunc, celMethod, objectType } from '@bufbuild/cel';
import { create } from '@bufbuild/protobuf';
import { type Timestamp, TimestampSchema } from '@bufbuild/protobuf/wkt';
import { LRUCache } from 'lru-cache';

const MAX_ZONES = 64;
const DAY_MS = 86_400_000;

/** Making a zone's format takes tens of milliseconds the first time, and some each time. */
const zones = new LRUCache<string, Intl.DateTimeFormat>({ max: MAX_ZONES });

function zoneOf(name: string): Intl.DateTimeFormat {
  const known = zones.get(name);
  if (known !== undefined) return known;
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: name,
    // Never with `hour12`: together they say hour 24 at midnight, a day late (docs/adr/0028).
    hourCycle: 'h23',
    era: 'short',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  zones.set(name, format);
  return format;
}

const OFFSET = /^(?<sign>[+-]?)(?<hours>[01]\d|2[0-3]):(?<minutes>[0-5]\d)$/;

/** The millisecond in which a moment lies. The library rounds to the nearest, which may be the next day's. */
const millisecondOf = ({ seconds, nanos }: Timestamp): Date =>
  new Date(Number(seconds) * 1_000 + Math.floor(nanos / 1_000_000));

/** A moment whose fields in UTC are those of the zone: UTC, a fixed offset, or an IANA name (CEL, "Timezones"). */
function inZone(moment: Date, zone: string | undefined): Date {
  if (zone === undefined) return moment;
  const offset = OFFSET.exec(zone)?.groups;
  if (offset !== undefined) {
    const minutes = Number(offset.hours) * 60 + Number(offset.minutes);
    return new Date(moment.getTime() + (offset.sign === '-' ? -minutes : minutes) * 60_000);
  }
  const fields: Partial<Record<Intl.DateTimeFormatPartTypes, number>> = {};
  let isBeforeChrist = false;
  for (const { type, value } of zoneOf(zone).formatToParts(moment)) {
    if (type === 'era') isBeforeChrist = value.startsWith('B');
    else fields[type] = Number(value);
  }
  const { month = 1, day = 1, hour = 0, minute = 0, second = 0 } = fields;
  const year = isBeforeChrist ? 1 - (fields.year ?? 1) : (fields.year ?? 1);
  const local = new Date(Date.UTC(2000, month - 1, day, hour, minute, second, moment.getUTCMilliseconds()));
  local.setUTCFullYear(year, month - 1, day);
  return local;
}

function dayOfYear(local: Date): number {
  const first = new Date(local);
  first.setUTCMonth(0, 1);
  return Math.round((local.getTime() - first.getTime()) / DAY_MS);
}

const parts: ReadonlyArray<readonly [string, (local: Date) => number]> = [
  ['getFullYear', (local) => local.getUTCFullYear()],
  ['getMonth', (local) => local.getUTCMonth()],
  ['getDate', (local) => local.getUTCDate()],
  ['getDayOfMonth', (local) => local.getUTCDate() - 1],
  ['getDayOfWeek', (local) => local.getUTCDay()],
  ['getDayOfYear', dayOfYear],
  ['getHours', (local) => local.getUTCHours()],
  ['getMinutes', (local) => local.getUTCMinutes()],
  ['getSeconds', (local) => local.getUTCSeconds()],
  ['getMilliseconds', (local) => local.getUTCMilliseconds()],
];

const { INT, STRING } = CelScalar;
const TIMESTAMP = objectType(TimestampSchema);

/** What a timestamp may be: the years 1 to 9999 (google/protobuf/timestamp.proto). */
const [FIRST_SECOND, LAST_SECOND] = [-62_135_596_800n, 253_402_300_799n];

/** The parts of a moment. The library's own form makes a new format for each, and reads it in the zone of the server. */
const partFunctions = parts.flatMap(([name, part]): CelFunc[] => {
  function of(this: { readonly message: Timestamp }, zone?: string): bigint {
    return BigInt(part(inZone(millisecondOf(this.message), zone)));
  }
  return [celMethod(name, TIMESTAMP, [], INT, of), celMethod(name, TIMESTAMP, [STRING], INT, of)];
});

export const timeFunctions: CelFunc[] = [
  ...partFunctions,
  // Seconds, as CEL has it and `int` gives them back; the library takes milliseconds.
  celFunc('timestamp', [INT], TIMESTAMP, (seconds) => {
    if (seconds < FIRST_SECOND || seconds > LAST_SECOND) throw new Error('timestamp out of range');
    return create(TimestampSchema, { seconds });
  }),
];
