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

/**
 * Whether a text of JSON may hold a number that is not exact, at the price of one pass. Never wrong about a no: up to
 * 15 digits without an exponent a double keeps. A yes may also be about what stands in a string.
 */
export function mayHoldInexact(json: string): boolean {
  return /(?:^|[[:,\s])-?(?:[\d.]{16}|[\d.]{1,15}[eE])/.test(json);
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
