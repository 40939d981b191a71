import {
  type ConverterHint,
  defaultPayloadConverter,
  METADATA_ENCODING_KEY,
  type Payload,
  type PayloadConverter,
  type SerializationContext,
} from '@temporalio/common';
import { unreadable } from '../src/contracts/unreadable.ts';
import { readExactly } from '../src/domain/exact-json.ts';

const JSON_PLAIN = 'json/plain';

/**
 * How workflows read what others send them. What is no JSON (the NaN of a Python application), or would not be kept exactly, would
 * fail the workflow's task for ever, or be another input than was sent: it becomes a value that the first step refuses. What our own
 * steps answer is read as it is.
 */
export const payloadConverter: PayloadConverter = {
  toPayload: (value, context, hint) => defaultPayloadConverter.toPayload(value, context, hint),

  fromPayload<T>(payload: Payload, context?: SerializationContext, hint?: ConverterHint<T>): T {
    if (context?.type !== 'workflow') return defaultPayloadConverter.fromPayload(payload, context, hint);
    try {
      if (encodingOf(payload) === JSON_PLAIN) return readJson(payload) as T;
      return defaultPayloadConverter.fromPayload(payload, context, hint);
    } catch (error) {
      return unreadable(`Input cannot be read: ${Object(error).message}`) as T;
    }
  },
};

const utf8 = new TextDecoder('utf-8', { fatal: true });

const encodingOf = ({ metadata }: Payload): string => utf8.decode(metadata?.[METADATA_ENCODING_KEY] ?? undefined);

function readJson({ data }: Payload): unknown {
  let text: string;
  try {
    text = utf8.decode(data ?? undefined);
  } catch {
    return unreadable('Text should be UTF-8');
  }
  const reading = readExactly(text);
  if (reading.kind === 'read') return reading.value;
  const { why, path, position } = reading;
  return unreadable(path.length === 0 ? `${why}, at character ${position}` : `${why}, at ${path.join('.')}`);
}
