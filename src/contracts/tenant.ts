/** Whose everything is where nobody says otherwise (contract, section 13). Here alone, so that workflows need no zod. */
export const DEFAULT_TENANT = 'default';
