import { z } from 'zod';

/** The last item of a page: the next one begins behind it, whatever has been added since. */
export interface Position {
  /** Microseconds since 1970, by the database's clock. */
  readonly micros: number;
  readonly id: string;
}

/** A position as the wire has it; clients hand it back and do not look into it. */
export const cursorOf = ({ micros, id }: Position): string => Buffer.from(`${micros} ${id}`).toString('base64url');

/** Where to go on, as a page before has said, in a list whose ids look so; anything else is a 422. */
const cursor = (ids: RegExp) =>
  z
    .string()
    .max(256)
    .transform((text, context): Position => {
      const [, micros, id] = /^(\d{1,16}) (.+)$/.exec(Buffer.from(text, 'base64url').toString()) ?? [];
      if (micros !== undefined && id !== undefined && ids.test(id)) return { micros: Number(micros), id };
      context.addIssue({ code: 'custom', message: 'Cursor should be the next_cursor of an earlier page' });
      return z.NEVER;
    })
    .meta({ type: 'string', description: 'next_cursor of the page before' });

export const Cursor = cursor(/^[\x21-\x7e]{1,128}$/);
/** Of a list whose ids are numbers. */
export const NumericCursor = cursor(/^\d{1,18}$/);
