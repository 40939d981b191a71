import { describe, expect, test } from 'vitest';
import { samplesOf } from './page.ts';
import { compared, filled } from './shown.ts';

const block = (language: string, ...lines: string[]) => [`\`\`\`${language}`, ...lines, '```'].join('\n');
const request = block('http', 'POST /v1/tools', 'Prefer: wait=1', '', '{"a": "{b}"}');
const answer = block('http', 'HTTP/1.1 202 Accepted', 'Retry-After: 1', '', '{"ok": true}');

describe('the samples of a page', () => {
  test('are requests and programs, each with its answer', () => {
    const page = ['## One', request, answer, block('sh', 'true'), block('json', '{}')].join('\n');
    expect(samplesOf(page)).toEqual([
      {
        kind: 'request',
        line: 2,
        section: 'One',
        request: { method: 'POST', path: '/v1/tools', headers: { prefer: 'wait=1' }, body: '{"a": "{b}"}' },
        answer: { status: 202, headers: { 'retry-after': '1' }, body: { json: { ok: true } } },
      },
      {
        kind: 'sh',
        line: 14,
        section: 'One',
        source: 'true',
        answer: { status: 200, headers: {}, body: { json: {} } },
      },
    ]);
  });

  test('go on within a section where they are of one program', () => {
    const python = (line: string) => [block('python', line), block('text', line)];
    const page = ['## One', ...python('1'), ...python('2'), '## Two', ...python('3')].join('\n');
    expect(samplesOf(page)).toMatchObject([
      { source: '1\n2', answer: { body: { text: '1\n2' } } },
      { source: '3', answer: { body: { text: '3' } } },
    ]);
  });

  test.each<[string, RegExp, ...string[]]>([
    ['no block', /no sample/, 'Prose.'],
    ['only blocks that are passed over', /no sample/, block('yaml', 'passed: true')],
    ['a block that does not end', /line 1: .* end/, '```http'],
    ['a sample without an answer', /line 1: .* no answer/, request],
    ['a sample answered by another', /line 7: .* no answer/, request, request],
    ['a language nobody executes', /line 1: .* "yaml"/, block('yaml', 'a: 1'), answer],
    ['a marked language', /line 1: .* "json skip"/, block('json skip', '{}'), answer],
    ['a request that is none', /line 1: .* no request/, block('http', 'PUT /v1/tools'), answer],
    ['a header that is none', /line 1: .* no header/, block('http', 'GET /v1/tools', '{}'), answer],
    ['a body that is no JSON', /line 1: /, block('http', 'POST /v1/tools', '', '{'), answer],
    ['an answer that is no JSON', /line 7: /, request, block('json', '{ok}')],
  ])('with %s are refused', (_what, problem, ...blocks) => {
    expect(() => samplesOf(blocks.join('\n'), ['passed: true'])).toThrow(problem);
  });
});

describe('a shown answer', () => {
  const there = { id: 'act_1', list: [1, 2], deep: { text: 'a.b\nc', none: null }, more: true };

  test.each<[unknown, Record<string, string>]>([
    [{}, {}],
    [{ id: 'act_…', list: [1, 2], deep: { none: null } }, {}],
    [{ list: [1, '…'], deep: { text: '…' } }, {}],
    [
      { id: '{id}', deep: { text: 'a.{rest}' } },
      { id: 'act_1', rest: 'b\nc' },
    ],
  ])('%j is there', (shown, told) => {
    expect(compared(shown, there, {})).toEqual(told);
  });

  test.each<[unknown, string]>([
    [{ id: 'act_2' }, 'answer.id'],
    [{ id: 'act' }, 'answer.id'],
    [{ id: '{known}' }, 'answer.id'],
    [{ list: [1] }, 'answer.list'],
    [{ list: [2, '…'] }, 'answer.list[0]'],
    [{ list: '…' }, 'answer.list'],
    [{ deep: { none: false } }, 'answer.deep.none'],
    [{ deep: { text: 'axb…' } }, 'answer.deep.text'],
    [{ absent: null }, 'answer.absent'],
    [[], 'answer'],
  ])('%j is not', (shown, place) => {
    expect(() => compared(shown, there, { known: 'act_2' })).toThrow(`${place}`);
  });

  test('tells later requests what they name, and no more', () => {
    expect(filled('/v1/{id}?a={id}', { id: 'x$&' })).toBe('/v1/x$&?a=x$&');
    expect(() => filled('/v1/{other}', { id: 'x' })).toThrow('{other}');
    expect(() => filled('/v1/…', {})).toThrow('…');
  });
});
