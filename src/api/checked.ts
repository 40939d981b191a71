import type { JsonObject } from '../contracts/common.ts';
import type { Condition } from '../contracts/policy.ts';
import type { Judge } from '../judge/judge.ts';
import { echo, type Invalid, ValidationError } from './validation.ts';

/**
 * Compiles the conditions of a policy that is to be stored or tried, each in its tenant's turn: what compiles slowly is as
 * hostile as what runs slowly.
 *
 * @throws {ValidationError} naming every broken expression, and where in it.
 * @throws {Refusal} `unavailable` where too much of the tenant waits to be judged.
 */
export async function checkConditions(
  judge: Pick<Judge, 'fault'>,
  tenant: string,
  conditions: readonly Condition[] = [],
  loc: readonly string[],
): Promise<void> {
  const invalid: Invalid[] = [];
  for (const [index, { expression }] of conditions.entries()) {
    const fault = await judge.fault(tenant, expression);
    if (fault === undefined) continue;
    const { kind: type, message, position } = fault;
    const msg = `${message} (line ${position.line}, column ${position.column})`;
    const place = ['body', ...loc, 'conditions', index, 'expression'];
    invalid.push({ type, loc: place, msg, input: echo(expression), ctx: { ...position } });
  }
  if (invalid.length > 0) throw new ValidationError(invalid);
}

/**
 * Compiles the schema of a tool that is to be stored, in its tenant's turn.
 *
 * @throws {ValidationError} naming the place of the first fault.
 * @throws {Refusal} `unavailable` where too much of the tenant waits to be judged.
 */
export async function checkSchema(
  judge: Pick<Judge, 'schemaFault'>,
  tenant: string,
  schema: JsonObject | undefined,
): Promise<void> {
  const fault = schema && (await judge.schemaFault(tenant, schema));
  if (fault === undefined) return;
  const loc = ['body', 'input_schema', ...fault.place];
  throw new ValidationError([{ type: 'json_schema', loc, msg: fault.message, input: null }]);
}
