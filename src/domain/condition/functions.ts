/**
 * The types a condition knows. `json` is a value out of the arguments: JSON has no integers, so it is a double, a string, a
 * boolean, null, a list or a map; `dyn` may be anything.
 */
export type Type =
  | 'bool'
  | 'int'
  | 'uint'
  | 'double'
  | 'string'
  | 'bytes'
  | 'null_type'
  | 'timestamp'
  | 'duration'
  | 'type'
  | 'list'
  | 'map'
  | 'json'
  | 'dyn'
  | 'any';

const jsonTypes: ReadonlySet<Type> = new Set(['double', 'string', 'bool', 'null_type', 'list', 'map', 'json']);

/** Whether a value of type `given` can be what `wanted` asks for. */
export const fits = (given: Type, wanted: Type): boolean =>
  given === wanted ||
  wanted === 'any' ||
  given === 'dyn' ||
  wanted === 'dyn' ||
  (given === 'json' && jsonTypes.has(wanted));

export interface Overload {
  readonly args: readonly Type[];
  readonly result: Type;
}

const on = (result: Type, ...args: Type[]): Overload => ({ args, result });
const each = (types: readonly Type[], make: (type: Type) => Overload): Overload[] => types.map(make);

const numbers = ['int', 'uint', 'double'] as const;
const order = [
  ...numbers.flatMap((a) => numbers.map((b) => on('bool', a, b))),
  ...each(['string', 'bool', 'bytes', 'timestamp', 'duration'], (type) => on('bool', type, type)),
];
const arithmetic = each(numbers, (type) => on(type, type, type));
const text = [on('bool', 'string', 'string')];
const dateParts = [on('int', 'timestamp'), on('int', 'timestamp', 'string')];
const timeParts = [...dateParts, on('int', 'duration')];
const sizes = each(['string', 'bytes', 'list', 'map'], (type) => on('int', type));

/**
 * Every function of CEL's standard library (https://github.com/google/cel-spec/blob/master/doc/langdef.md#list-of-standard-definitions)
 * that a condition may call, a method by its receiver first. Numbers of different types can be compared, not added.
 */
export const functions: ReadonlyMap<string, readonly Overload[]> = new Map<string, readonly Overload[]>([
  ['_&&_', [on('bool', 'bool', 'bool')]],
  ['_||_', [on('bool', 'bool', 'bool')]],
  ['!_', [on('bool', 'bool')]],
  ['@not_strictly_false', [on('bool', 'bool')]],
  ['_==_', [on('bool', 'any', 'any')]],
  ['_!=_', [on('bool', 'any', 'any')]],
  ['_<_', order],
  ['_<=_', order],
  ['_>_', order],
  ['_>=_', order],
  [
    '_+_',
    [
      ...arithmetic,
      ...each(['string', 'bytes', 'list', 'duration'], (type) => on(type, type, type)),
      on('timestamp', 'timestamp', 'duration'),
      on('timestamp', 'duration', 'timestamp'),
    ],
  ],
  [
    '_-_',
    [
      ...arithmetic,
      on('duration', 'timestamp', 'timestamp'),
      on('timestamp', 'timestamp', 'duration'),
      on('duration', 'duration', 'duration'),
    ],
  ],
  ['_*_', arithmetic],
  ['_/_', arithmetic],
  ['_%_', each(['int', 'uint'], (type) => on(type, type, type))],
  ['-_', each(['int', 'double'], (type) => on(type, type))],
  ['@in', [on('bool', 'any', 'list'), on('bool', 'any', 'map')]],
  ['size', sizes],
  ['contains', text],
  ['startsWith', text],
  ['endsWith', text],
  ['matches', text],
  ['int', each(['int', 'uint', 'double', 'string', 'timestamp'], (type) => on('int', type))],
  ['uint', each(['int', 'uint', 'double', 'string'], (type) => on('uint', type))],
  ['double', each(['int', 'uint', 'double', 'string'], (type) => on('double', type))],
  [
    'string',
    each(['int', 'uint', 'double', 'string', 'bool', 'bytes', 'timestamp', 'duration'], (type) => on('string', type)),
  ],
  ['bool', each(['bool', 'string'], (type) => on('bool', type))],
  ['bytes', each(['bytes', 'string'], (type) => on('bytes', type))],
  ['timestamp', each(['timestamp', 'string', 'int'], (type) => on('timestamp', type))],
  ['duration', each(['duration', 'string', 'int'], (type) => on('duration', type))],
  ['type', [on('type', 'any')]],
  ['dyn', [on('dyn', 'any')]],
  ['getFullYear', dateParts],
  ['getMonth', dateParts],
  ['getDate', dateParts],
  ['getDayOfMonth', dateParts],
  ['getDayOfWeek', dateParts],
  ['getDayOfYear', dateParts],
  ['getHours', timeParts],
  ['getMinutes', timeParts],
  ['getSeconds', timeParts],
  ['getMilliseconds', timeParts],
]);

/** What CEL calls the type whose name is an expression by itself, as in `type(args.x) == double`. */
export const typeNames: ReadonlySet<string> = new Set([
  'bool',
  'int',
  'uint',
  'double',
  'string',
  'bytes',
  'null_type',
  'list',
  'map',
  'type',
]);
