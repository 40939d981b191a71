import { createHash } from 'node:crypto';
import type { ActionAnswer } from '../contracts/action.ts';

/** A workflow returns at most 2 MiB (https://docs.temporal.io/cloud/limits), and a run's result is in it twice. */
const MAX_RESULT_BYTES = 768 * 1024;

const sizeOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));

/**
 * What a run keeps of its actions: all answers, at most 768 KiB as JSON. While it is more, the largest result gives way to
 * what it was (`truncated`, `bytes`, `sha256`), as that of a tool does; the whole one stays in `/v1/actions/{action_id}`.
 */
export function boundedAnswers(answers: readonly ActionAnswer[], maxBytes = MAX_RESULT_BYTES): ActionAnswer[] {
  const kept = [...answers];
  const largestFirst = kept
    .map((answer, index) => ({ index, bytes: sizeOf(answer.result) }))
    .sort((a, b) => b.bytes - a.bytes);
  let total = kept.reduce((sum, answer) => sum + sizeOf(answer), 0);
  for (const { index, bytes } of largestFirst) {
    if (total <= maxBytes) break;
    const answer = kept[index] as ActionAnswer;
    const result = { truncated: true, bytes, sha256: sha256(JSON.stringify(answer.result)) };
    kept[index] = { ...answer, result };
    total += sizeOf(result) - bytes;
  }
  return kept;
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
