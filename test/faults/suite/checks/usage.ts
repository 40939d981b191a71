import type { Check } from '../history.ts';

/** What is metered is at least what was told, and at most what was asked for. */
export const usageAddsUp: Check = ({ exchanges, reads: { usage } }) => {
  if (usage === undefined) return [];
  const locks = exchanges.filter(({ op }) => op === 'check-lock');
  const duplicates = locks.filter(({ body }) => body.status === 'duplicate').length;
  const asked = exchanges.filter(({ op }) => op === 'lease' || op === 'run');
  const leases = new Set(asked.flatMap(({ body }) => (body.status === 'acquired' ? [body.lease_id] : []))).size;
  const wrong = [
    ...(usage.make >= duplicates ? [] : [`make tells ${usage.make}, callers were told ${duplicates} duplicates`]),
    ...(usage.make <= locks.length ? [] : [`make tells ${usage.make} of ${locks.length} requests`]),
    ...(usage.ai >= leases ? [] : [`ai tells ${usage.ai}, callers were told of ${leases} leases`]),
  ];
  return wrong.map((what) => ({ invariant: 'usage told is usage seen', subject: 'usage', what }));
};
