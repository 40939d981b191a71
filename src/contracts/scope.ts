/** What a key may be used for. They are a set, none includes another; `admin` alone may do everything. */
export const scopes = ['agent', 'operator', 'auditor', 'admin'] as const;
export type Scope = (typeof scopes)[number];
