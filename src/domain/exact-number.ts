/**
 * Whether a number of JSON (RFC 8259, section 6) stays the same number as a double: the nearest one, printed as
 * `JSON.stringify` does, has the same decimal value. Integers beyond ±(2^53 - 1) never are exact, however they are
 * written: there neighbours share a double (RFC 7493, section 2.2). `text` must be such a number.
 */
export function isExact(text: string): boolean {
  const double = Number(text);
  if (Math.abs(double) > Number.MAX_SAFE_INTEGER) return false;
  const printed = String(double);
  return printed === text || decimal(printed) === decimal(text);
}

/** So many digits a double keeps, where there is no exponent (DBL_DIG). */
const KEPT_DIGITS = 15;

/**
 * Whether a text of JSON may hold a number that is not exact, at a glance: one that is not has more than 15 digits, or an
 * exponent. Never wrong about a no; a yes may also be about what stands in a string.
 */
export const mayHoldInexact = (json: string): boolean => holdsLongNumber(json) || holdsExponent(json);

/** Looks at each sixteenth character only: a longer run of digits has one of them. */
function holdsLongNumber(json: string): boolean {
  for (let at = KEPT_DIGITS; at < json.length; at += KEPT_DIGITS + 1) {
    if (!isOfNumber(json, at)) continue;
    let [first, last] = [at, at];
    while (isOfNumber(json, first - 1)) first -= 1;
    while (isOfNumber(json, last + 1)) last += 1;
    if (last - first >= KEPT_DIGITS && isBeginning(json, first)) return true;
    at = last - ((last + 1) % (KEPT_DIGITS + 1));
  }
  return false;
}

function holdsExponent(json: string): boolean {
  return exponentBy('e', json) || exponentBy('E', json);
}

function exponentBy(letter: 'e' | 'E', json: string): boolean {
  for (let at = json.indexOf(letter); at >= 0; at = json.indexOf(letter, at + 1)) {
    let first = at;
    while (isOfNumber(json, first - 1)) first -= 1;
    if (first < at && isBeginning(json, first)) return true;
  }
  return false;
}

/** A digit or a point. */
function isOfNumber(json: string, at: number): boolean {
  const code = json.charCodeAt(at);
  return (code >= 0x30 && code <= 0x39) || code === 0x2e;
}

/** Whether a number may begin here: behind nothing, a bracket, a colon, a comma or space, and its sign. */
function isBeginning(json: string, first: number): boolean {
  const before = json[first - 1] === '-' ? json[first - 2] : json[first - 1];
  return before === undefined || /[[:,\s]/.test(before);
}

/** An amount without its sign, however it is written: its digits without outer zeros, and the power of ten behind. */
function decimal(text: string): string {
  const [mantissa = '', exponent = '0'] = text.toLowerCase().split('e');
  const [whole = '', fraction = ''] = mantissa.replace('-', '').split('.');
  const digits = whole + fraction;
  // By hand: a pattern for zeros at the end takes the square of the length.
  let [first, end] = [0, digits.length];
  while (digits[first] === '0') first += 1;
  while (end > first && digits[end - 1] === '0') end -= 1;
  const power = Number(exponent) - fraction.length + (digits.length - end);
  return first === end ? '0' : `${digits.slice(first, end)}e${power}`;
}
