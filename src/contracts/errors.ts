/**
 * The one catalogue of refusals. A code is at once the wire code (section 2 of the contract), the `ApplicationFailure`
 * type inside Temporal and the audit reason. A detail that is a string is sent as it stands (the clients expect that).
 */
export const refusals = {
  bad_request: { status: 400, message: 'This is not an HTTP request that can be understood' },
  missing_token: { status: 401, text: 'Missing Authorization Bearer token' },
  invalid_api_key: { status: 403, text: 'Invalid API key' },
  api_key_disabled: { status: 403, text: 'API key disabled' },
  insufficient_scope: { status: 403, message: 'This API key has none of the scopes that this needs' },
  agent_not_permitted: { status: 403, message: 'This API key is bound to other agents' },
  forbidden: { status: 403, message: "Only the operator's keys may do this" },
  not_found: { status: 404, text: 'Not Found' },
  method_not_allowed: { status: 405, message: 'This path exists, but not for this method' },
  tool_not_found: { status: 404, message: 'No such tool in this scope' },
  lease_not_found: { status: 404, message: 'No lease is known under this key' },
  run_not_found: { status: 404, message: 'No event is known under this run' },
  policy_not_found: { status: 404, message: 'This agent has no policy' },
  decision_not_found: { status: 404, message: 'No decision is known under this id' },
  action_not_found: { status: 404, message: 'No such action' },
  key_not_found: { status: 404, message: 'No such API key, or it is revoked already' },
  unknown_tools: { status: 400, message: 'The policy names tools that are not registered' },
  version_mismatch: { status: 412, message: 'Another version is in force than If-Match names' },
  lease_mismatch: { status: 409, message: 'The lease is held under another lease_id' },
  lease_not_active: { status: 409, message: 'The lease is over' },
  action_not_in_doubt: { status: 409, message: 'Only an action in doubt can be resolved' },
  approval_not_found: { status: 404, message: 'No call waits for an approval under this id' },
  approval_decided: { status: 409, message: 'This was decided already' },
  last_admin_key: { status: 409, message: 'The last admin key of a tenant cannot be revoked' },
  tenant_exists: { status: 409, message: 'There is a tenant of this name' },
  duplicate_blocked: { status: 409, error: 'Duplicate blocked' },
  validation_error: { status: 422, message: 'The input does not have the shape that is asked for' },
  idempotency_mismatch: { status: 422, message: 'This Idempotency-Key was used for another call' },
  request_timeout: { status: 408, message: 'The request took too long to arrive' },
  payload_too_large: { status: 413, message: 'The body is larger than this server accepts' },
  uri_too_long: { status: 414, message: 'The path with its query is longer than this server accepts' },
  headers_too_large: { status: 431, message: 'The headers are larger than this server accepts' },
  unsupported_media_type: { status: 415, message: 'Send JSON, declared as application/json' },
  rate_limited: { status: 429, message: 'Too many requests; come again after the seconds of Retry-After' },
  approval_superseded: { status: 409, message: 'What was shown has changed: it is asked anew, look at it again' },
  unavailable: {
    status: 503,
    message: 'A service behind this API cannot be reached: nothing happened and nothing will, try again',
  },
  outcome_unknown: {
    status: 503,
    message:
      'Whether this was accepted is not known: a repeat finds what there is, and what has not begun never begins',
  },
} as const satisfies Record<string, { status: number } & ({ text: string } | { message: string } | { error: string })>;

export type RefusalCode = keyof typeof refusals;

/**
 * A request that is refused, on its way to the edge it came in by.
 *
 * @example
 * throw new Refusal('unknown_tools', { tools: ['charge'] });
 */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: RefusalCode;
  readonly extra: Record<string, unknown>;

  /** `cause` is for the log; the wire never shows it. */
  constructor(code: RefusalCode, extra: Record<string, unknown> = {}, cause?: unknown) {
    super(code, { cause });
    this.code = code;
    this.extra = extra;
  }
}

/** Whether a string, such as the type of an `ApplicationFailure`, is a code of the catalogue. */
export const isRefusalCode = (code: string): code is RefusalCode => Object.hasOwn(refusals, code);
