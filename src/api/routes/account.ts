import { Me, Notifications, NotificationsRequest } from '../../contracts/account.ts';
import { route } from '../route.ts';
import { following, operating } from '../scope.ts';

const me = route({
  method: 'get',
  path: '/v1/me',
  summary: 'Whose key this is',
  tag: 'account',
  needs: following,
  bound: 'free',
  answer: Me,
  handle: ({ principal }, { stores }) => stores.accounts.me(principal),
});

const notifications = route({
  method: 'post',
  path: '/v1/me/notifications',
  summary: 'Choose what to be told by e-mail',
  tag: 'account',
  needs: operating,
  bound: 'refused',
  body: NotificationsRequest,
  answer: Notifications,
  handle: ({ tenant, actor, body }, { stores }) => stores.accounts.notify(tenant, body, actor),
});

export const account = [me, notifications];
