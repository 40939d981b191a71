/** One sample of Prometheus' text format. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const LABEL = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"';
const sampleLine = new RegExp(
  `^(${NAME})(?:\\{(${LABEL}(?:,${LABEL})*)?,?\\})? ([+-]?(?:Inf|[0-9.]+(?:e[+-]?[0-9]+)?)|[Nn]a[Nn])$`,
);
const helpLine = new RegExp(`^# HELP (${NAME}) [^\\n]*$`);
const typeLine = new RegExp(`^# TYPE (${NAME}) (counter|gauge|histogram|summary|untyped)$`);

/**
 * Reads Prometheus' text format, as strictly as `promtool check metrics`: every family has one HELP and one TYPE before its
 * samples and stands in one place, no sample comes twice, a counter ends with `_total`, a histogram's buckets rise to +Inf. Numbers are Go's, with NaN in any case
 * (https://prometheus.io/docs/instrumenting/exposition_formats/).
 *
 * @throws naming the line that is not valid.
 */
export function parseExposition(text: string): Sample[] {
  if (!text.endsWith('\n')) throw new Error('the last line has no end');
  const read = { types: new Map<string, string>(), helped: new Set<string>(), seen: new Set<string>(), family: '' };
  const samples: Sample[] = [];
  for (const line of text.split('\n').filter((line) => line !== '')) {
    const sample = line.startsWith('#') ? readComment(line, read) : readSample(line, read);
    if (sample !== undefined) samples.push(sample);
  }
  for (const [name, type] of read.types) if (type === 'histogram') checkHistogram(name, samples);
  return samples;
}

interface Read {
  readonly types: Map<string, string>;
  readonly helped: Set<string>;
  readonly seen: Set<string>;
  /** The family whose samples may come now. */
  family: string;
}

function readComment(line: string, read: Read): undefined {
  const [, helpOf] = helpLine.exec(line) ?? [];
  const [, typeOf, type] = typeLine.exec(line) ?? [];
  if (helpOf !== undefined && !read.helped.has(helpOf)) {
    read.helped.add(helpOf);
  } else if (typeOf !== undefined && type !== undefined && read.helped.has(typeOf) && !read.types.has(typeOf)) {
    read.types.set(typeOf, type);
    read.family = typeOf;
  } else {
    throw new Error(`neither the first HELP nor the first TYPE after its HELP: ${line}`);
  }
}

function readSample(line: string, { family, types, seen }: Read): Sample {
  const sample = parseSample(line);
  if (sample === undefined) throw new Error(`not a line of the format: ${line}`);
  if (!belongs(sample, family, types.get(family))) throw new Error(`not a sample of ${family}: ${line}`);
  const identity = JSON.stringify([sample.name, Object.entries(sample.labels).sort()]);
  if (seen.has(identity)) throw new Error(`a second time: ${line}`);
  seen.add(identity);
  return sample;
}

function parseSample(line: string): Sample | undefined {
  const [, name, pairs = '', value = ''] = sampleLine.exec(line) ?? [];
  if (name === undefined) return undefined;
  const labels = [...pairs.matchAll(/([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g)].map(([, key = '', text = '']) => [
    key,
    text.replace(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped)),
  ]);
  if (new Set(labels.map(([key]) => key)).size !== labels.length) return undefined;
  return { name, labels: Object.fromEntries(labels), value: Number(value.replace('Inf', 'Infinity')) };
}

function belongs({ name, labels }: Sample, family: string, type: string | undefined): boolean {
  if (type === 'histogram') {
    return name === `${family}_bucket` ? labels.le !== undefined : [`${family}_sum`, `${family}_count`].includes(name);
  }
  if (type === 'summary') return [family, `${family}_sum`, `${family}_count`].includes(name);
  return name === family && (type !== 'counter' || name.endsWith('_total'));
}

/** Buckets are cumulative, and the last holds as many as were counted. */
function checkHistogram(family: string, samples: readonly Sample[]): void {
  const series = new Map<string, Sample[]>();
  for (const sample of samples.filter(({ name }) => name === `${family}_bucket`)) {
    const { le: _, ...labels } = sample.labels;
    const slot = JSON.stringify(Object.entries(labels).sort());
    series.set(slot, [...(series.get(slot) ?? []), sample]);
  }
  const counts = samples.filter(({ name }) => name === `${family}_count`);
  if (counts.length !== series.size) throw new Error(`${family} has series without buckets`);
  for (const { labels, value } of counts) {
    const buckets = series.get(JSON.stringify(Object.entries(labels).sort())) ?? [];
    const bounds = buckets.map(({ labels: { le = '' } }) => Number(le.replace('Inf', 'Infinity')));
    const rises = (numbers: number[]) => numbers.every((number, n) => n === 0 || number >= (numbers[n - 1] ?? 0));
    const isWhole = bounds.at(-1) === Number.POSITIVE_INFINITY && buckets.at(-1)?.value === value;
    if (!isWhole || !rises(bounds) || !rises(buckets.map((bucket) => bucket.value))) {
      throw new Error(`the buckets of ${family} do not add up`);
    }
  }
}
