/** How many calls may be under way at once in this process, and of one tenant and one tool at the most; 0: a fair share. */
export interface ShareLimits {
  readonly slots: number;
  readonly tenantMax: number;
  readonly toolMax: number;
}

/** A place among the calls under way; giving it back twice does nothing more. */
export type GiveBack = () => void;

export type Shares = ReturnType<typeof createShares>;

/**
 * Shares a number of slots between tenants and their tools. Nobody has a fixed share: a tenant may take as long as it has less
 * than what is free, and one of its tools as long as it has less than what the tenant may still take. Alone, a tenant gets half
 * of the slots and a tool of it a third; each that comes makes the shares of all smaller as their calls end, and there is room
 * for who comes first (dynamic thresholds, Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet
 * switches", IEEE/ACM Transactions on Networking 6(2), 1998, with α = 1).
 */
export function createShares({ slots, tenantMax, toolMax }: ShareLimits) {
  const ofTenant = new Map<string, number>();
  const ofTool = new Map<string, number>();
  let taken = 0;

  function mayTake(tenant: string, tool: string): boolean {
    const free = slots - taken;
    const [inTenant, inTool] = [ofTenant.get(tenant) ?? 0, ofTool.get(tool) ?? 0];
    const left = Math.min(free, tenantMax > 0 ? tenantMax - inTenant : free - inTenant);
    return left > 0 && (toolMax > 0 ? inTool < toolMax : inTool < left);
  }

  return {
    /** A slot, or undefined where the share is used up. */
    take(tenant: string, toolName: string): GiveBack | undefined {
      const tool = toolOf(tenant, toolName);
      if (!mayTake(tenant, tool)) return undefined;
      taken += 1;
      add(ofTenant, tenant, 1);
      add(ofTool, tool, 1);
      let isBack = false;
      return () => {
        if (isBack) return;
        isBack = true;
        taken -= 1;
        add(ofTenant, tenant, -1);
        add(ofTool, tool, -1);
      };
    },
    /** Calls under way. */
    taken: () => taken,
  };
}

const toolOf = (tenant: string, tool: string): string => `${tenant}/${tool}`;

function add(counts: Map<string, number>, name: string, change: 1 | -1): void {
  const count = (counts.get(name) ?? 0) + change;
  if (count === 0) counts.delete(name);
  else counts.set(name, count);
}
