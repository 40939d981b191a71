import { deploy, SECRET } from './deployment.ts';
import { type FaultNote, linkFaults, playFaults, processFaults } from './faults.ts';
import type { History } from './history.ts';
import { prepare, startLoad } from './load.ts';
import { numbersFrom } from './numbers.ts';
import { probe } from './probe.ts';
import { untilQuiet } from './quiet.ts';
import { readAll } from './reads.ts';
import { createRecorder } from './recorder.ts';
import { createTools } from './tools.ts';

/** What came of an episode: all that was seen of it, and what was done to the deployment. */
export interface Episode {
  readonly history: History;
  readonly faults: readonly FaultNote[];
  /** What the product's processes have written, by their names. */
  readonly logs: ReadonlyMap<string, string>;
}

/** Plays load and faults of `seed` for so many minutes, waits until all is quiet, and reads what there is then. */
export async function playEpisode(seed: number, minutes: number, say: (line: string) => void): Promise<Episode> {
  const deployment = await deploy(say);
  try {
    const recorder = createRecorder(seed, deployment.urls, deployment.key);
    const tools = createTools(deployment.receiver, SECRET);
    const operator = recorder.client('operator');
    await prepare(operator, tools, deployment);

    const load = startLoad(recorder, tools.ledger);
    const until = Date.now() + minutes * 60_000;
    const [processes, links] = [numbersFrom(seed, 'processes'), numbersFrom(seed, 'links')];
    const faults = await Promise.race([
      Promise.all([
        playFaults(processFaults(processes, deployment), () => processes.between(1_000, 5_000), until),
        playFaults(linkFaults(links, deployment), () => links.between(500, 2_500), until),
      ]),
      load.playing.then(() => Promise.reject(new Error('the load ended by itself'))),
    ]);
    say(`faults are over: ${faults.flat().length}`);
    await load.stop();
    const played = { exchanges: recorder.exchanges, received: tools.ledger.received, caps: load.caps };
    const quietAt = await untilQuiet(operator, tools.ledger, played);
    await probe(operator, played);
    say('quiet');
    const reads = await readAll(operator, recorder.exchanges);
    const history = { caps: load.caps, exchanges: recorder.exchanges, received: tools.ledger.received, quietAt, reads };
    return { history, faults: faults.flat().toSorted((a, b) => a.beganAt - b.beganAt), logs: deployment.logs() };
  } finally {
    await deployment.close();
  }
}
