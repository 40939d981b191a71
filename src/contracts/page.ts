import { z } from 'zod';

/** The last item of a page: the next one begins behind it, whatever has been added since. */
export interface Position {
  /** Microseconds since 1970, by the database's clock. */
  readonly micros: number;
  readonly id: string;
}

/** A position as the wire has it; clients hand it back and do not look into it. */
export const cursorOf = ({ micros, id }: Position): string => `${micros}.${id}`;

/** Where to go on, as a page before has said, in a list whose ids look so; anything else is a 422. */
const cursor = (shape: RegExp) =>
  z
    .string()
    .regex(shape, { error: 'Cursor should be the next_cursor of an earlier page' })
    .transform((text): Position => {
      const [micros = '', id = ''] = text.split('.');
      return { micros: Number(micros), id };
    })
    .meta({ type: 'string', pattern: shape.source, description: 'next_cursor of the page before' });

export const Cursor = cursor(/^[0-9]{1,16}\.[0-9A-Za-z_]{1,64}$/);
/** Of a list whose ids are numbers. */
export const NumericCursor = cursor(/^[0-9]{1,16}\.[0-9]{1,18}$/);

/** What stands in a list without a cursor in place of an object that would make it too large. */
export const LeftOut = z.object({ truncated: z.literal(true), bytes: z.int() }).meta({
  id: 'LeftOut',
  description: 'Left out of a list that would be larger than 4 MiB with it; read by itself it is whole',
});
