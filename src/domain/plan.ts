/** What a plan grants. Seconds; `null` is no limit. */
export interface Plan {
  readonly name: string;
  readonly defaultTtlSeconds: number;
  readonly maxTtlSeconds: number;
  readonly monthlyLocks: number | null;
  readonly monthlyAi: number | null;
}

/** Self-hosters have everything on and no limits; the times are those of the largest plan (docs/adr/0003). */
export const selfHosted: Plan = {
  name: 'self_hosted',
  defaultTtlSeconds: 86_400,
  maxTtlSeconds: 2_592_000,
  monthlyLocks: null,
  monthlyAi: null,
};

const MIN_TTL_SECONDS = 10;

/** The time to live a request gets: the plan's where it names none, else its own within 10 s and the plan's maximum. */
export const grantedTtl = (requested: number | undefined, plan: Plan): number =>
  Math.min(Math.max(requested ?? plan.defaultTtlSeconds, MIN_TTL_SECONDS), plan.maxTtlSeconds);
