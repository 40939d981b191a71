import { answersAreFair } from './checks/answers.ts';
import { oneKeyPerAction, singleEffects } from './checks/effects.ts';
import { fencesRise } from './checks/fences.ts';
import { finalThingsStay, whatWasToldIsThere } from './checks/final.ts';
import { oneHolder } from './checks/holders.ts';
import { nothingLeft } from './checks/leftovers.ts';
import { capsHold, spendAddsUp } from './checks/money.ts';
import { nothingHappened } from './checks/nothing.ts';
import { switchHolds } from './checks/switch.ts';
import { trailIsWhole } from './checks/trail.ts';
import { usageAddsUp } from './checks/usage.ts';
import type { Check, History, Violation } from './history.ts';

const checks: readonly Check[] = [
  singleEffects,
  oneKeyPerAction,
  fencesRise,
  oneHolder,
  capsHold,
  spendAddsUp,
  nothingLeft,
  finalThingsStay,
  whatWasToldIsThere,
  nothingHappened,
  trailIsWhole,
  switchHolds,
  usageAddsUp,
  answersAreFair,
];

/** Whatever is wrong with a history, by what receivers saw, clients were told and REST reads. Empty: nothing is. */
export const violationsOf = (history: History): Violation[] => checks.flatMap((check) => check(history));
