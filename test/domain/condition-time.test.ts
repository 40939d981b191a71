import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { compile, findings } from '../../src/domain/condition/condition.ts';
import type { Finding } from '../../src/domain/condition/finding.ts';

const MINUTE = 60_000;
const DAY = 1_440 * MINUTE;

const ask = (expression: string, time: Date | string, args = {}) =>
  findings([{ name: 'it', expression }], { args, agent: 'a', tool: 't', spendUsd: 0, time: new Date(time) })[0];
const yes: Finding = { name: 'it', holds: true };

const zones = Intl.supportedValuesOf('timeZone');

/** What a zone is ahead of UTC, in milliseconds: the offset that is written out, no field of a date. */
function offsetsOf(timeZone: string): (at: number) => number {
  const format = new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset' });
  return (at) => {
    const name = format.formatToParts(at).find(({ type }) => type === 'timeZoneName')?.value ?? '';
    const [, sign, hours = 0, minutes = 0, seconds = 0] = /^GMT(?:([+-])(\d+):(\d+)(?::(\d+))?)?$/.exec(name) ?? [];
    return (sign === '-' ? -1 : 1) * 1_000 * (Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds));
  };
}

/** The date in the proleptic Gregorian calendar by counting days from the first of March of the year 0 (H. Hinnant, `civil_from_days`). */
function civil(local: number) {
  const days = Math.floor(local / DAY);
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1_460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const month = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * month + 2) / 5) + 1;
  const year = yearOfEra + era * 400 + (month >= 10 ? 1 : 0);
  const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const ordinal = month >= 10 ? dayOfYear - 306 : dayOfYear + 59 + (isLeap ? 1 : 0);
  return { year, month: (month + 2) % 12, day, ordinal, weekday: (((days + 4) % 7) + 7) % 7, rest: local - days * DAY };
}

const fields = (local: number) => {
  const { year, month, day, ordinal, weekday, rest } = civil(local);
  return {
    ...{ year, month, date: day, day: day - 1, ordinal, weekday },
    ...{ hours: Math.floor(rest / 3_600_000), minutes: Math.floor(rest / MINUTE) % 60 },
    ...{ seconds: Math.floor(rest / 1_000) % 60, milliseconds: rest % 1_000 },
  };
};

const everyPart = [
  ...['time.getFullYear(args.zone) == args.year', 'time.getMonth(args.zone) == args.month'],
  ...['time.getDate(args.zone) == args.date', 'time.getDayOfMonth(args.zone) == args.day'],
  ...['time.getDayOfYear(args.zone) == args.ordinal', 'time.getDayOfWeek(args.zone) == args.weekday'],
  ...['time.getHours(args.zone) == args.hours', 'time.getMinutes(args.zone) == args.minutes'],
  ...['time.getSeconds(args.zone) == args.seconds', 'time.getMilliseconds(args.zone) == args.milliseconds'],
].join(' && ');

/** The moments of a year at which a zone changes its offset, to the second. */
function changesOf(offset: (at: number) => number, year: number): number[] {
  const changes: number[] = [];
  for (let day = Date.UTC(year, 0, 1); day < Date.UTC(year + 1, 0, 1); day += DAY) {
    let [before, after] = [day, day + DAY];
    if (offset(before) === offset(after)) continue;
    while (after - before > 1_000) {
      const middle = before + Math.floor((after - before) / 2_000) * 1_000;
      if (offset(middle) === offset(day)) before = middle;
      else after = middle;
    }
    changes.push(after);
  }
  return changes;
}

/** Right before and after a moment, and within the hours around it in which a fault of an hour shows. */
const around = (at: number) =>
  [-61 * MINUTE, -1, 0, 1, 30 * MINUTE, 59 * MINUTE + 59_999, 61 * MINUTE].map((by) => at + by);

const expectParts = (zone: string, at: number, local: number) =>
  expect({ zone, at, ...ask(everyPart, new Date(at), { zone, ...fields(local) }) }).toEqual({ zone, at, ...yes });

const processZone = process.env.TZ;
afterAll(() => {
  if (processZone === undefined) delete process.env.TZ;
  else process.env.TZ = processZone;
});

describe.each([
  ['UTC', 0],
  ['America/New_York', 300],
  ['Pacific/Kiritimati', -840],
  ['Europe/Berlin', -60],
])('where the process itself is in %s', (own, minutes) => {
  const inOwn = (check: () => void) => {
    process.env.TZ = own;
    expect(new Date('2026-01-15T00:00:00Z').getTimezoneOffset()).toBe(minutes);
    check();
  };

  test('every zone is right around its midnights and where its clocks are changed', () =>
    inOwn(() => {
      expect(zones.length).toBeGreaterThan(400);
      for (const zone of zones) {
        const offset = offsetsOf(zone);
        const midnight = Date.UTC(2026, 10, 29) - offset(Date.UTC(2026, 10, 29));
        for (const at of [midnight, ...changesOf(offset, 2026)].flatMap(around)) expectParts(zone, at, at + offset(at));
      }
    }));

  test('any moment in any zone is what its offset makes of it', () =>
    inOwn(() => {
      const moment = fc.integer({ min: Date.UTC(1850, 0, 1), max: Date.UTC(2100, 0, 1) });
      fc.assert(
        fc.property(fc.constantFrom(...zones), moment, fc.constantFrom(0, 1, 2, 3, 4, 5, 6), (zone, near, n) => {
          const offset = offsetsOf(zone);
          const at = around(Math.floor(near / DAY) * DAY - offset(near))[n] ?? near;
          for (const one of [near, at]) expectParts(zone, one, one + offset(one));
        }),
      );
    }));

  test('without a zone it is UTC, and an offset is what it says', () =>
    inOwn(() => {
      const moment = fc.integer({ min: Date.UTC(1, 0, 2), max: Date.UTC(9999, 11, 30) });
      const offset = fc.tuple(fc.constantFrom('', '+', '-'), fc.integer({ min: 0, max: 1_439 }));
      fc.assert(
        fc.property(moment, offset, (at, [sign, ahead]) => {
          const two = (n: number) => String(Math.floor(n)).padStart(2, '0');
          expectParts(
            `${sign}${two(ahead / 60)}:${two(ahead % 60)}`,
            at,
            at + (sign === '-' ? -1 : 1) * ahead * MINUTE,
          );
          expect(ask(everyPart.replaceAll('args.zone', ''), new Date(at), fields(at))).toEqual(yes);
        }),
      );
    }));
});

describe('by the calendar on the wall', () => {
  test.each([
    // The first hour of a Saturday, of a Monday.
    ['Europe/Berlin', '2026-11-27T23:00:00Z', 6, '2026-10-28 0:00'],
    ['Europe/Berlin', '2026-11-27T23:59:59Z', 6, '2026-10-28 0:59'],
    ['Europe/Berlin', '2026-11-29T23:30:00Z', 1, '2026-10-30 0:30'],
    ['Europe/Berlin', '2026-11-27T22:59:59Z', 5, '2026-10-27 23:59'],
    // Both nights of summer time.
    ['Europe/Berlin', '2026-03-29T00:59:59Z', 0, '2026-2-29 1:59'],
    ['Europe/Berlin', '2026-03-29T01:00:00Z', 0, '2026-2-29 3:00'],
    ['Europe/Berlin', '2026-10-25T00:30:00Z', 0, '2026-9-25 2:30'],
    ['Europe/Berlin', '2026-10-25T01:30:00Z', 0, '2026-9-25 2:30'],
    ['America/New_York', '2026-03-08T07:00:00Z', 0, '2026-2-8 3:00'],
    // Its clocks are changed at midnight: the day begins at one.
    ['America/Santiago', '2026-09-06T04:00:00Z', 0, '2026-8-6 1:00'],
    ['America/Santiago', '2026-09-06T03:59:59Z', 6, '2026-8-5 23:59'],
    // By half an hour, by a quarter, and beyond half a day.
    ['Australia/Lord_Howe', '2026-10-03T15:30:00Z', 0, '2026-9-4 2:30'],
    ['Asia/Kathmandu', '2026-11-27T18:15:00Z', 6, '2026-10-28 0:00'],
    ['Pacific/Kiritimati', '2026-12-31T10:00:00Z', 5, '2027-0-1 0:00'],
    ['Pacific/Pago_Pago', '2027-01-01T10:59:00Z', 4, '2026-11-31 23:59'],
    // A day that never was.
    ['Pacific/Apia', '2011-12-30T09:59:59Z', 4, '2011-11-29 23:59'],
    ['Pacific/Apia', '2011-12-30T10:00:00Z', 6, '2011-11-31 0:00'],
  ])('in %s %s is a day %i: %s', (zone, moment, weekday, text) => {
    const [, year, month, date, hours, minutes] = /(\d+)-(\d+)-(\d+) (\d+):(\d+)/.exec(text)?.map(Number) ?? [];
    const args = { zone, weekday, year, month, date, hours, minutes };
    const parts = everyPart.split(' && ').filter((part) => Object.keys(args).some((name) => part.endsWith(`.${name}`)));
    expect(parts).toHaveLength(6);
    expect(ask(parts.join(' && '), moment, args)).toEqual(yes);
  });
});

test.each([
  'timestamp("2026-11-27T23:59:59.999999999Z").getDate() == 27',
  'timestamp("2026-11-27T22:59:59.9996Z").getDayOfWeek("Europe/Berlin") == 5',
  'timestamp("1969-12-31T23:59:59.9999Z").getMilliseconds() == 999',
  'timestamp("0001-01-01T00:00:00Z").getFullYear("America/New_York") == 0',
  'timestamp(int(time)) == time && timestamp(1795908600).getFullYear() == 2026',
])('%s', (expression) => {
  compile(expression);
  expect(ask(expression, '2026-11-28T23:30:00Z')).toEqual(yes);
});

test.each(['', '24:00', '99:99', '+1:00', '+01:60', '+01:00 ', 'Europe/Nowhere', 'local'])(
  'a zone %j is none, which is no yes',
  (zone) => {
    const { holds, error } = ask('time.getHours(args.zone) < 99', '2026-11-28T23:30:00Z', { zone }) ?? {};
    expect([holds, error]).toEqual([false, expect.stringMatching(/^Invalid time zone/)]);
  },
);
