import { Me } from '../../contracts/account.ts';
import { route } from '../route.ts';

const me = route({
  method: 'get',
  path: '/v1/me',
  summary: 'Whose key this is',
  tag: 'account',
  answer: Me,
  handle: ({ principal }, { stores }) => stores.accounts.me(principal),
});

export const account = [me];
