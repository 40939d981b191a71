import type { Underway } from '../activities/tool-call.ts';
import type { ActionAnswer, ActionRequest, WorkflowRun } from '../src/contracts/action.ts';

/** What an operator sees of an action under way. */
export interface ActionProgress {
  readonly step: 'admit' | 'waiting_approval' | 'callTool' | 'retry' | 'in_doubt' | 'done';
  readonly attempt: number;
  readonly answer?: ActionAnswer;
}

/** The workflow of an action, as its parts see it. */
export interface Course {
  readonly underway: Underway;
  readonly request: ActionRequest;
  /** Whoever waits for the end of the action. */
  readonly listeners: WorkflowRun[];
  /** Whether somebody has said since the last look that the row has changed. */
  changed: boolean;
  /** Whether an update has changed it whose answer has not left yet. */
  answering: boolean;
  show(progress: ActionProgress): void;
}
