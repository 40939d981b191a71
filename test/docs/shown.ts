/** What earlier answers have told, by the names the page gives it. */
export type Told = Readonly<Record<string, string>>;

const PLACEHOLDER = /…|\{([a-z_]+)\}/g;

/** The text with what has been told in place of each `{name}`. */
export function filled(text: string, told: Told): string {
  return text.replace(PLACEHOLDER, (placeholder: string, name: string | undefined) => {
    if (name === undefined) throw new Error('a request says everything: … is for answers');
    const value = told[name];
    if (value === undefined) throw new Error(`no answer before has told ${placeholder}`);
    return value;
  });
}

/**
 * Holds what a page shows against what is there: an object may have more fields than are shown, a list may not be longer
 * unless its last element is shown as `"…"`. In a shown string `…` stands for any text, `{name}` for the same text
 * wherever it is shown.
 *
 * @returns what has been told, this answer included
 * @throws naming the first place that differs
 */
export function compared(shown: unknown, actual: unknown, told: Told, place = 'answer'): Told {
  if (typeof shown === 'string' && typeof actual === 'string') return comparedText(shown, actual, told, place);
  if (Array.isArray(shown) && Array.isArray(actual)) return comparedList(shown, actual, told, place);
  if (isObject(shown) && isObject(actual)) {
    return Object.entries(shown).reduce(
      (known, [name, value]) => compared(value, actual[name], known, `${place}.${name}`),
      told,
    );
  }
  if (shown !== actual) throw differs(place, shown, actual);
  return told;
}

function comparedList(shown: unknown[], actual: unknown[], told: Told, place: string): Told {
  const goesOn = shown.at(-1) === '…';
  const elements = goesOn ? shown.slice(0, -1) : shown;
  const long = goesOn ? actual.length >= elements.length : actual.length === elements.length;
  if (!long) throw differs(`${place}, its length`, shown, actual);
  return elements.reduce<Told>((known, value, n) => compared(value, actual[n], known, `${place}[${n}]`), told);
}

function comparedText(shown: string, actual: string, told: Told, place: string): Told {
  const names: string[] = [];
  const literals = shown.split(/…|\{[a-z_]+\}/).map(escaped);
  const placeholders = [...shown.matchAll(PLACEHOLDER)].map(([, name]) => {
    if (name === undefined) return '[^]*';
    const known = told[name];
    if (known !== undefined) return escaped(known);
    names.push(name);
    return '([^]+)';
  });
  const pattern = literals.map((literal, n) => literal + (placeholders[n] ?? '')).join('');
  const found = new RegExp(`^${pattern}$`).exec(actual);
  if (found === null) throw differs(place, shown, actual);
  return { ...told, ...Object.fromEntries(names.map((name, n) => [name, found[n + 1] ?? ''])) };
}

const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const differs = (place: string, shown: unknown, actual: unknown): Error =>
  new Error(`${place}: the page shows ${JSON.stringify(shown)}, there is ${JSON.stringify(actual)}`);
