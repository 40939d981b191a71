import { z } from 'zod';
import type { ZodOpenApiResponseObject, ZodOpenApiResponsesObject } from 'zod-openapi';
import { type RefusalCode, refusals } from '../../contracts/errors.ts';
import { detailOf, internal } from '../errors.ts';
import { extras } from '../examples/refusals.ts';
import type { Route } from '../route.ts';
import { answerHeadersOf, requestId, retryAfter } from './headers.ts';
import { invalidExamplesOf } from './invalid.ts';

const everywhere: readonly RefusalCode[] = [
  'missing_token',
  'invalid_api_key',
  'api_key_disabled',
  'insufficient_scope',
  'agent_not_permitted',
  'rate_limited',
  'unavailable',
  'outcome_unknown',
];
const withBody: readonly RefusalCode[] = ['payload_too_large', 'unsupported_media_type'];

/** Those that are the same wherever they are answered stand once in the document. */
const shared: Readonly<Record<number, string>> = {
  401: 'Unauthorized',
  413: 'PayloadTooLarge',
  415: 'UnsupportedMediaType',
  429: 'RateLimited',
  500: 'Internal',
  503: 'Unavailable',
};

const Plain = z.object({ detail: z.string() }).meta({ id: 'PlainRefusal' });
const Told = z
  .object({
    detail: z
      .looseObject({
        error: z.string().meta({ description: 'The code; what else there is depends on it' }),
        message: z.string().optional(),
      })
      .meta({ id: 'RefusalDetail' }),
  })
  .meta({ id: 'Refusal' });
const Invalid = z
  .object({
    detail: z.array(
      z
        .object({
          type: z.string(),
          loc: z
            .array(z.union([z.string(), z.int()]))
            .meta({ description: 'Where: body, query or path, and further in' }),
          msg: z.string(),
          input: z.unknown().meta({ description: 'What stood there, shortened; null where it is long or secret' }),
          ctx: z.record(z.string(), z.unknown()).optional(),
        })
        .meta({ id: 'Invalid' }),
    ),
  })
  .meta({ id: 'InvalidRequest' });

interface Refused {
  /** What it is called among the examples. */
  readonly name: string;
  readonly shape: z.ZodType;
  readonly detail: unknown;
}

/** Every status that a route may refuse with, by all the codes it has. */
export function refusedOf(route: Route): ZodOpenApiResponsesObject {
  const byStatus = new Map<number, Refused[]>();
  const add = (status: number, refused: Refused) => byStatus.set(status, [...(byStatus.get(status) ?? []), refused]);
  for (const code of codesOf(route)) add(refusals[code].status, refusedBy(code, route));
  for (const [name, detail] of invalidExamplesOf(route)) add(422, { name, shape: Invalid, detail });
  add(500, { name: 'internal', shape: Told, detail: internal });
  return Object.fromEntries([...byStatus].map(([status, all]) => [String(status), sharedOr(status, all, route)]));
}

/** What a route refuses with, each code once. */
export const codesOf = (route: Route): ReadonlySet<RefusalCode> =>
  new Set([
    ...everywhere,
    ...(route.body ? withBody : []),
    // A percent-encoding in the path that is broken.
    ...(route.params ? (['not_found'] as const) : []),
    ...(route.refusals ?? []),
  ]);

function refusedBy(code: RefusalCode, route: Route): Refused {
  const detail = detailOf(code, code === 'insufficient_scope' ? { needs: route.needs } : extras[code]);
  return { name: code, shape: typeof detail === 'string' ? Plain : Told, detail };
}

/** By name; the document wants the very same object wherever it is. */
const kept = new Map<string, ZodOpenApiResponseObject>();

function sharedOr(status: number, all: readonly Refused[], route: Route): ZodOpenApiResponseObject {
  const id = shared[status];
  if (id === undefined) return responseOf(status, all, route);
  const response = kept.get(id) ?? { id, ...responseOf(status, all, route) };
  kept.set(id, response);
  return response;
}

function responseOf(status: number, all: readonly Refused[], route: Route): ZodOpenApiResponseObject {
  const shapes = [...new Set(all.map(({ shape }) => shape))];
  const [only = Told, ...others] = shapes;
  const headers = {
    ...(status === 409 ? answerHeadersOf(`${route.method} ${route.path}`) : requestId),
    ...(status === 429 || status === 503 ? retryAfter : {}),
  };
  const examples = all.map(({ name, detail }) => [name, { value: { detail } }]);
  return {
    description: all.map(({ name }) => name).join(', '),
    headers,
    content: {
      'application/json': {
        schema: others.length === 0 ? only : z.union([only, ...others]),
        examples: Object.fromEntries(examples),
      },
    },
  };
}
