/** How many may be under way at once, and of one tenant and one part of it (a tool, an agent) at the most; 0: a fair share. */
export interface ShareLimits {
  readonly slots: number;
  readonly tenantMax: number;
  readonly partMax: number;
}

/** A place among those under way; giving it back twice does nothing more. */
export type GiveBack = () => void;

export type Shares = ReturnType<typeof createShares>;

/**
 * Shares a number of slots between tenants and their parts. Nobody has a fixed share: a tenant may take as long as it has less
 * than what is free, and one of its parts as long as it has less than what the tenant may still take. Alone, a tenant gets half
 * of the slots and a part of it a third; each that comes makes the shares of all smaller as their calls end, and there is room
 * for who comes first (dynamic thresholds, Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet
 * switches", IEEE/ACM Transactions on Networking 6(2), 1998, with α = 1).
 */
export function createShares({ slots, tenantMax, partMax }: ShareLimits) {
  const ofTenant = new Map<string, number>();
  const ofPart = new Map<string, number>();
  let taken = 0;

  function mayTake(tenant: string, part: string): boolean {
    const free = slots - taken;
    const [inTenant, inPart] = [ofTenant.get(tenant) ?? 0, ofPart.get(part) ?? 0];
    const left = Math.min(free, tenantMax > 0 ? tenantMax - inTenant : free - inTenant);
    return left > 0 && (partMax > 0 ? inPart < partMax : inPart < left);
  }

  return {
    /** A slot, or undefined where the share is used up. */
    take(tenant: string, partName: string): GiveBack | undefined {
      const part = nameOf(tenant, partName);
      if (!mayTake(tenant, part)) return undefined;
      taken += 1;
      add(ofTenant, tenant, 1);
      add(ofPart, part, 1);
      let isBack = false;
      return () => {
        if (isBack) return;
        isBack = true;
        taken -= 1;
        add(ofTenant, tenant, -1);
        add(ofPart, part, -1);
      };
    },
    /** Slots that are taken. */
    taken: () => taken,
  };
}

const nameOf = (tenant: string, part: string): string => JSON.stringify([tenant, part]);

function add(counts: Map<string, number>, name: string, change: 1 | -1): void {
  const count = (counts.get(name) ?? 0) + change;
  if (count === 0) counts.delete(name);
  else counts.set(name, count);
}
