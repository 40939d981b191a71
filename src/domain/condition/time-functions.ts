import { type CelFunc, CelScalar, celMethod, objectType } from '@bufbuild/cel';
import { type Timestamp, TimestampSchema, timestampDate } from '@bufbuild/protobuf/wkt';
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
    hourCycle: 'h23',
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

const OFFSET = /^(?<sign>[+-]?)(?<hours>\d\d):(?<minutes>\d\d)$/;

/** A moment whose fields in UTC are those of the zone: UTC, a fixed offset, or an IANA name (CEL, "Timezones"). */
function inZone(moment: Date, zone: string | undefined): Date {
  if (zone === undefined) return moment;
  const offset = OFFSET.exec(zone)?.groups;
  if (offset !== undefined) {
    const minutes = Number(offset.hours) * 60 + Number(offset.minutes);
    return new Date(moment.getTime() + (offset.sign === '-' ? -minutes : minutes) * 60_000);
  }
  const fields: Partial<Record<Intl.DateTimeFormatPartTypes, number>> = {};
  for (const { type, value } of zoneOf(zone).formatToParts(moment)) fields[type] = Number(value);
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = fields;
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

/** The parts of a moment. The library's own form makes a new format for each, and reads it in the zone of the server. */
export const timeFunctions: CelFunc[] = parts.flatMap(([name, part]): CelFunc[] => {
  function of(this: { readonly message: Timestamp }, zone?: string): bigint {
    return BigInt(part(inZone(timestampDate(this.message), zone)));
  }
  return [celMethod(name, TIMESTAMP, [], INT, of), celMethod(name, TIMESTAMP, [STRING], INT, of)];
});
