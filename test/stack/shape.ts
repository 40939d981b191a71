import { startTemporal } from '../../src/dev/temporal.ts';
import { startTemporalServer } from '../../src/dev/temporal-server.ts';

/**
 * Whether the tests run against the shape of a deployment (`npm run test:deployment`): Temporal's server on PostgreSQL, and two APIs
 * and two workers where a test asks for nothing else. Else against the dev server and one process.
 */
export const isDeployment = process.env.TEST_SHAPE === 'deployment';

export const startTemporalOfShape: typeof startTemporal = (options) =>
  (isDeployment ? startTemporalServer : startTemporal)(options);
