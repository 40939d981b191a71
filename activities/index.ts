import { type AdmissionDeps, createAdmissionActivities } from './admission.ts';
import { type AgentRunDeps, createAgentRunActivities } from './agent-run.ts';
import { type ApprovalDeps, createApprovalActivities } from './approval.ts';
import { createDoubtActivities, type DoubtDeps } from './doubt.ts';
import { createLeaseActivities, type LeaseDeps } from './lease.ts';
import { createReconcileActivities, type ReconcileDeps } from './reconcile.ts';
import { createToolCallActivities, type ToolCallDeps } from './tool-call.ts';

export type ActivityDeps = LeaseDeps &
  AdmissionDeps &
  ToolCallDeps &
  DoubtDeps &
  AgentRunDeps &
  ApprovalDeps &
  ReconcileDeps;

/** Every activity of the worker, over the stores it was given. */
export const createActivities = (deps: ActivityDeps) => ({
  ...createLeaseActivities(deps),
  ...createAdmissionActivities(deps),
  ...createToolCallActivities(deps),
  ...createDoubtActivities(deps),
  ...createAgentRunActivities(deps),
  ...createApprovalActivities(deps),
  ...createReconcileActivities(deps),
});

export type Activities = ReturnType<typeof createActivities>;
