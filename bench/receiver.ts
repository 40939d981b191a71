// A child process: the tool, so that verifying what arrives costs neither the load generator nor the product.
import { ok } from '../src/dev/behaviours.ts';
import { startReceiver } from '../src/dev/receiver.ts';

const [secret = '', port] = process.argv.slice(2);
const receiver = await startReceiver({ secret, port: Number(port), keepCalls: 10 });
// What it remembers would be all that grows in a long run.
setInterval(() => receiver.reset(), 1_000);
receiver.endpoint('/charge', ok());
process.send?.('ready');
process.on('SIGTERM', () => process.exit(0));
