import { z } from 'zod';

/** What is wrong with an input, and where, for whoever reads the failure; the values are not repeated. */
export const faultsOf = (error: z.ZodError): string => z.prettifyError(error);
