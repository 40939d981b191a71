const UUID_V7 = /^([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** When a run was started, ISO 8601, by the 48 bits of Unix milliseconds in its UUIDv7 (RFC 9562, 5.7); else undefined. */
export function momentOfRun(runId: string): string | undefined {
  const [, high, low] = UUID_V7.exec(runId) ?? [];
  return high === undefined ? undefined : new Date(Number.parseInt(`${high}${low}`, 16)).toISOString();
}
