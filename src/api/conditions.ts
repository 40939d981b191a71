import type { Condition } from '../contracts/policy.ts';
import { compile } from '../domain/condition/condition.ts';
import { ConditionError } from '../domain/condition/expression.ts';
import { echo, type Invalid, ValidationError } from './validation.ts';

/**
 * Compiles the conditions of a policy that is to be stored or tried.
 *
 * @throws {ValidationError} naming every broken expression, and where in it.
 */
export function checkConditions(conditions: readonly Condition[] = [], loc: readonly string[]): void {
  const invalid = conditions.flatMap(({ expression }, index): Invalid[] => {
    try {
      compile(expression);
      return [];
    } catch (error) {
      if (!(error instanceof ConditionError)) throw error;
      const { kind: type, message, position } = error;
      const msg = `${message} (line ${position.line}, column ${position.column})`;
      const place = ['body', ...loc, 'conditions', index, 'expression'];
      return [{ type, loc: place, msg, input: echo(expression), ctx: { ...position } }];
    }
  });
  if (invalid.length > 0) throw new ValidationError(invalid);
}
