import { RawValue } from '@temporalio/common';

/** A payload as an application in another language may write it, a byte for a character. */
export const written = (text: string, encoding = 'json/plain'): RawValue =>
  RawValue.fromPayload({ metadata: { encoding: Buffer.from(encoding) }, data: Buffer.from(text, 'latin1') });
