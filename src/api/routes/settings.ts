import { Settings, SettingsAnswer, SettingsRequest } from '../../contracts/settings.ts';
import { route } from '../route.ts';
import { administering, watching } from '../scope.ts';

const tag = 'settings';

const read = route({
  method: 'get',
  path: '/v1/settings',
  summary: 'What holds for all agents',
  tag,
  needs: watching,
  bound: 'refused',
  answer: Settings,
  handle: ({ tenant }, { stores }) => stores.settings.read(tenant),
});

const save = route({
  method: 'post',
  path: '/v1/settings',
  summary: 'Change what holds for all agents',
  tag,
  needs: administering,
  bound: 'refused',
  body: SettingsRequest,
  answer: SettingsAnswer,
  handle: async ({ tenant, actor, body }, { stores }) => {
    const ignored = Object.keys(body).filter((name) => !Object.hasOwn(Settings.shape, name));
    const saved = await stores.settings.save(tenant, body, actor);
    return { ...saved, ...(ignored.length > 0 && { ignored_fields: ignored }) };
  },
});

export const settings = [read, save];
