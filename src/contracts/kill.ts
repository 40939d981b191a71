import { z } from 'zod';
import { SwitchReason } from './agent.ts';
import { Moment, optional, ToolName } from './common.ts';

/** Every agent of the tenant, or one tool by its name, whichever scope it is in. */
export const KillRequest = z
  .object({
    scope: z.enum(['tenant', 'tool']),
    tool: optional(ToolName).meta({ description: 'Which tool, with the scope tool' }),
    reason: optional(SwitchReason),
  })
  .refine(({ scope, tool }) => (scope === 'tool') === (tool !== undefined), {
    path: ['tool'],
    error: 'Name a tool with the scope tool, and with no other',
  })
  .meta({ id: 'KillRequest' });
export type KillRequest = z.output<typeof KillRequest>;

const status = {
  scope: z.enum(['tenant', 'tool']),
  tool: z.string().nullable(),
  is_killed: z.boolean(),
  reason: z.string().nullable(),
  killed_at: Moment.nullable(),
};

export const KillAnswer = z
  .object({
    ...status,
    stopped: z.int().meta({ description: 'Actions that waited for their next attempt or a person, and are settled' }),
    stopping: z.int().meta({ description: 'The same, about to be settled: none of them leaves either' }),
    in_flight: z.int().meta({ description: 'Actions whose attempt is under way and cannot be taken back' }),
  })
  .meta({ id: 'KillAnswer' });
export type KillAnswer = z.output<typeof KillAnswer>;

export const KillStatus = z.object(status).meta({ id: 'KillStatus' });
export type KillStatus = z.output<typeof KillStatus>;

const kill = { killed_at: Moment, reason: z.string().nullable() };

/** What of a tenant is killed. */
export const KillState = z
  .object({
    tenant: z.object(kill).nullable().meta({ description: 'null: its agents may call' }),
    tools: z.array(z.object({ tool: z.string(), ...kill })),
  })
  .meta({ id: 'KillState' });
export type KillState = z.output<typeof KillState>;
