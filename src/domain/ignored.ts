/** Names of the members of an input that are not kept of it, each with its path: `conditions.0.tool`. */
export function ignoredOf(input: unknown, kept: unknown, path: readonly string[] = []): string[] {
  if (typeof input !== 'object' || input === null || typeof kept !== 'object' || kept === null) return [];
  return Object.entries(input).flatMap(([name, value]) => {
    if (value === undefined) return [];
    const place = [...path, name];
    if (!Object.hasOwn(kept, name)) return [place.join('.')];
    return ignoredOf(value, (kept as Record<string, unknown>)[name], place);
  });
}
