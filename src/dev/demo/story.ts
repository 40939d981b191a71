import { loseAnAnswer, registerToolsAndPolicy, spendTheBudget, tryABlockedTool } from './governed.ts';
import { curlOf } from './rest.ts';
import type { Scene } from './scene.ts';
import { shareALease, takeALock } from './shared-work.ts';
import { readTheTrail } from './trail.ts';

/** Where the product and the Temporal UI are to be found while the demo runs. */
export interface Addresses {
  readonly rest: string;
  readonly temporalUi: string;
}

/** What `npm start` listens on, unless told otherwise. */
const kept = { rest: 'http://127.0.0.1:8080', temporalUi: 'http://localhost:8233' };

/**
 * Plays the product's story from its first request to its audit trail.
 *
 * @throws {Unexpected} at the first thing that is not as it has to be.
 */
export async function tellStory(scene: Scene, addresses: Addresses, signal: AbortSignal): Promise<void> {
  await registerToolsAndPolicy(scene);
  const charge = await loseAnAnswer(scene);
  await tryABlockedTool(scene);
  await spendTheBudget(scene);
  await shareALease(scene);
  await takeALock(scene);
  await readTheTrail(scene);
  await followLinks(scene, addresses, charge, signal);
  sayHowToGoOn(scene);
}

async function followLinks(
  { narrator }: Scene,
  { rest, temporalUi }: Addresses,
  charge: { readonly workflow_id: string; readonly temporal_url: string },
  signal: AbortSignal,
): Promise<void> {
  narrator.chapter('Where to look');
  const links = {
    REST: rest,
    'API docs': `${rest}/docs`,
    'Temporal UI': temporalUi,
    'the charge': charge.temporal_url,
  };
  for (const [name, url] of Object.entries(links)) narrator.line(`    ${name.padEnd(13)}${url}`);

  const statusOf = async (url: string) => (await fetch(url, { signal })).status;
  // The page loads its data from here: the page alone would answer for any name.
  const shown = charge.temporal_url.replace(temporalUi, `${temporalUi}/api/v1`);
  const pages = [`${rest}/readyz`, `${rest}/docs`, `${rest}/openapi.json`, temporalUi, charge.temporal_url, shown];
  const statuses = await Promise.all(pages.map(statusOf));
  narrator.expect(
    'all of them answer',
    statuses,
    pages.map(() => 200),
  );
}

function sayHowToGoOn({ narrator, rest }: Scene): void {
  const first = rest.first();
  narrator.line();
  narrator.heading(`All ${narrator.checks()} expectations held. The demo ends here, and these links with it.`);
  narrator.line(
    'To try it yourself, run  npm start  and keep it running. Its first start prints an API key; in another terminal:',
  );
  narrator.line();
  narrator.line('  export ONCEONLY_API_KEY=once_live_…   # the key that npm start printed');
  if (first !== undefined) for (const line of curlOf(first, kept.rest)) narrator.line(`  ${line}`);
  narrator.line();
  narrator.line('That was the first request of this story; its url is where your tool listens.');
  narrator.line(
    `API docs ${kept.rest}/docs, Temporal UI ${kept.temporalUi} (npm start says so if they are elsewhere).`,
  );
}
