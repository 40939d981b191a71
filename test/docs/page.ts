import { at, type Block, blocksOf, firstLine } from './blocks.ts';

/** What a page shows as the answer of a sample: an HTTP answer, or what a program prints. */
export type ShownAnswer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: { readonly json: unknown } | { readonly text: string } | undefined;
};

export type Sample = { readonly line: number; readonly section: string; readonly answer: ShownAnswer } & (
  | { readonly kind: 'request'; readonly request: HttpRequest }
  | { readonly kind: ProgramLanguage; readonly source: string }
);

export type HttpRequest = {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
};

const programs = ['sh', 'python', 'ts'] as const;
export type ProgramLanguage = (typeof programs)[number];

/**
 * The samples of a page in their order, each with the answer that the page shows right behind it. The Python blocks of
 * a section are one program, and so are its TypeScript blocks.
 *
 * @param passed first lines of blocks that are no samples
 * @throws where a block is neither a sample nor an answer, a sample has no answer, or there is no sample at all
 */
export function samplesOf(page: string, passed: readonly string[] = []): Sample[] {
  const blocks = blocksOf(page).filter(({ text }) => !passed.includes(firstLine(text)));
  const samples: Sample[] = [];
  for (let n = 0; n < blocks.length; n += 2) {
    const [asked, answered] = blocks.slice(n, n + 2);
    if (asked === undefined) break;
    add(
      samples,
      at(asked, () => sampleOf(asked, answered)),
    );
  }
  if (samples.length === 0) throw new Error('the page has no sample');
  return samples;
}

function sampleOf({ line, section, language, text }: Block, answered: Block | undefined): Sample {
  if (answered === undefined) throw new Error('the sample has no answer');
  const answer = at(answered, () => answerOf(answered));
  const program = programs.find((name) => name === language);
  if (program !== undefined) return { kind: program, line, section, source: text, answer };
  if (language !== 'http') throw new Error(`a sample is http or one of ${programs.join(', ')}, not "${language}"`);
  const { start, headers, body } = messageOf(text);
  const [, method, path] = /^(GET|POST|DELETE) (\/\S*)$/.exec(start) ?? [];
  if (method === undefined || path === undefined) throw new Error(`"${start}" is no request`);
  if (body !== undefined) JSON.parse(body);
  return { kind: 'request', line, section, request: { method, path, headers, body }, answer };
}

function answerOf({ language, text }: Block): ShownAnswer {
  if (language === 'json') return { status: 200, headers: {}, body: { json: JSON.parse(text) } };
  if (language === 'text') return { status: 200, headers: {}, body: { text } };
  const { start, headers, body } = messageOf(text);
  const status = /^HTTP\/1\.1 (\d{3}) /.exec(start)?.[1];
  if (language !== 'http' || status === undefined) throw new Error(`"${start}" is no answer`);
  return { status: Number(status), headers, body: body === undefined ? undefined : { json: JSON.parse(body) } };
}

function messageOf(text: string) {
  const [head = '', ...rest] = text.split('\n\n');
  const [start = '', ...lines] = head.split('\n');
  const headers = lines.map((line) => {
    const [, name, value] = /^([\w-]+): (.+)$/.exec(line) ?? [];
    if (name === undefined || value === undefined) throw new Error(`"${line}" is no header`);
    return [name.toLowerCase(), value];
  });
  return { start, headers: Object.fromEntries(headers), body: rest.length === 0 ? undefined : rest.join('\n\n') };
}

function add(samples: Sample[], sample: Sample): void {
  const last = samples.at(-1);
  const goesOn = sample.kind !== 'request' && sample.kind !== 'sh' && last?.kind === sample.kind;
  if (!goesOn || last.section !== sample.section) samples.push(sample);
  else samples.splice(-1, 1, { ...last, source: `${last.source}\n${sample.source}`, answer: joined(last, sample) });
}

function joined(first: Sample, second: Sample): ShownAnswer {
  const texts = [first, second].map(({ answer: { body } }) => (body !== undefined && 'text' in body ? body.text : ''));
  return { ...first.answer, body: { text: texts.join('\n') } };
}
