import { performance } from 'node:perf_hooks';
import { readExactly } from '../src/domain/exact-json.ts';

/**
 * What reading a body costs beside `JSON.parse`, from the same 2 kB of bytes: `npm run bench:reader`. Each round times both,
 * turn about; what is told is the middle of all rounds.
 */
const ROUNDS = 41;
const READINGS = 5_000;

const lines = Array.from({ length: 17 }, (_, n) => ({
  sku: `A-${1000 + n}`,
  title: 'Stainless bottle, 750 ml',
  quantity: n + 1,
  price: 19.99,
  note: n % 3 === 0 ? 'ask at: the desk "left", https://example.com/a' : null,
}));
const call = {
  agent_id: 'billing-agent',
  tool: 'shop.order',
  args: { invoice: 'inv_789', amount: 239.88, currency: 'eur', to: { city: 'Köln', zip: '50667' }, lines },
  spend_usd: 0.25,
  idempotency_key: 'order:inv_789',
};

const bodies = {
  'a call': JSON.stringify(call),
  'a call, indented': JSON.stringify(call, null, 1),
  'a call that is looked at whole': JSON.stringify({ ...call, note: 'a smile: \u{1f642}' }).replace(
    '\u{1f642}',
    '\\ud83d\\ude42',
  ),
};

const time = (work: () => unknown): number => {
  const from = performance.now();
  for (let n = 0; n < READINGS; n += 1) work();
  return ((performance.now() - from) * 1000) / READINGS;
};

const middle = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1] ?? 0;

for (const [name, text] of Object.entries(bodies)) {
  const bytes = Buffer.from(text);
  if (readExactly(text).kind !== 'read') throw new Error(`${name} was not read`);
  const rounds = Array.from({ length: ROUNDS }, () => ({
    parse: time(() => JSON.parse(bytes.toString())),
    read: time(() => readExactly(bytes.toString())),
  }));
  const [parse, read] = [middle(rounds.map((one) => one.parse)), middle(rounds.map((one) => one.read))];
  const ratio = middle(rounds.map((one) => one.read / one.parse));
  process.stdout.write(
    `${name}, ${bytes.length} bytes: JSON.parse ${parse.toFixed(1)} µs, read ${read.toFixed(1)} µs, ${ratio.toFixed(2)} times\n`,
  );
}
