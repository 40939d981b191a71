// A judging thread that some jobs end: by all the memory it may have, or at once.
import { parentPort } from 'node:worker_threads';

parentPort.on('message', ({ expression }) => {
  if (expression === 'exit') process.exit(3);
  if (expression === 'memory') for (const kept = []; ; ) kept.push({ a: 1 });
  parentPort.postMessage({ kind: 'checked', fault: undefined });
});
parentPort.postMessage({ kind: 'ready', clock: undefined });
