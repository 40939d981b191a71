import { z } from 'zod';
import { Key } from '../../contracts/common.ts';
import {
  CancelRequest,
  CompleteRequest,
  ExtendAnswer,
  ExtendRequest,
  FailRequest,
  Lease,
  LeaseRequest,
  LeaseResult,
  LeaseState,
} from '../../contracts/lease.ts';
import { withOwner } from '../key-headers.ts';
import { type RouteInput, route } from '../route.ts';
import { acting, following } from '../scope.ts';

const tag = 'leases';
const refusals = ['lease_not_found', 'lease_mismatch', 'lease_not_active'] as const;
const ByKey = z.object({ key: Key });

const caller = ({
  tenant,
  actor,
  agents,
  plan,
}: Pick<RouteInput<undefined, undefined, undefined>, 'tenant' | 'actor' | 'agents' | 'plan'>) => ({
  tenant,
  actor,
  agents,
  plan,
});

const acquire = route({
  method: 'post',
  path: '/v1/ai/lease',
  summary: 'Acquire a lease, or hear who is ahead',
  tag,
  needs: acting,
  bound: 'own',
  body: LeaseRequest,
  answer: Lease,
  handle: (input, { leases }) => leases.lease(caller(input), withOwner(input.body, input.sent)),
});

const extend = route({
  method: 'post',
  path: '/v1/ai/extend',
  summary: 'Renew a lease before it runs out',
  tag,
  needs: acting,
  bound: 'own',
  body: ExtendRequest,
  answer: ExtendAnswer,
  refusals,
  handle: (input, { leases }) => leases.extend(caller(input), input.body),
});

const complete = route({
  method: 'post',
  path: '/v1/ai/complete',
  summary: 'End a lease with a result',
  tag,
  needs: acting,
  bound: 'own',
  body: CompleteRequest,
  answer: LeaseState,
  refusals,
  handle: (input, { leases }) => leases.complete(caller(input), input.body),
});

const fail = route({
  method: 'post',
  path: '/v1/ai/fail',
  summary: 'End a lease with an error',
  tag,
  needs: acting,
  bound: 'own',
  body: FailRequest,
  answer: LeaseState,
  refusals,
  handle: (input, { leases }) => leases.fail(caller(input), input.body),
});

const cancel = route({
  method: 'post',
  path: '/v1/ai/cancel',
  summary: 'Give a lease back, so that others may acquire it',
  tag,
  needs: acting,
  bound: 'own',
  body: CancelRequest,
  answer: LeaseState,
  refusals,
  handle: (input, { leases }) => leases.cancel(caller(input), input.body),
});

const status = route({
  method: 'get',
  path: '/v1/ai/status',
  summary: 'How a lease stands',
  tag,
  needs: following,
  bound: 'own',
  query: ByKey,
  answer: LeaseState,
  refusals: ['lease_not_found'],
  handle: (input, { leases }) => leases.status(caller(input), input.query.key),
});

const result = route({
  method: 'get',
  path: '/v1/ai/result',
  summary: 'What a lease ended with',
  tag,
  needs: following,
  bound: 'own',
  query: ByKey,
  answer: LeaseResult,
  refusals: ['lease_not_found'],
  handle: (input, { leases }) => leases.result(caller(input), input.query.key),
});

export const leases = [acquire, extend, complete, fail, cancel, status, result];
