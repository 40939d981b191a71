import { ConfigError, readConfig } from './config.ts';
import { type Role, startProduct } from './product.ts';
import { migrate } from './store/migrate.ts';

const STOP_PATIENCE_MS = 45_000;

const roles: Record<string, readonly Role[]> = { api: ['api'], worker: ['worker'], all: ['api', 'worker'] };

async function main(command: string | undefined): Promise<void> {
  const config = readConfig(process.env);
  if (command === 'migrate') {
    const ran = await migrate(config, { progress: (line) => process.stderr.write(`${line}\n`) });
    process.stdout.write(ran.length === 0 ? 'The schema is up to date.\n' : `Migrated: ${ran.join(', ')}\n`);
    return;
  }
  const chosen = roles[command ?? 'all'];
  if (chosen === undefined) throw new ConfigError(`Unknown command ${command}: use api, worker, all or migrate`);
  const product = await startProduct(config, { roles: chosen, environment: process.env });
  if (product.bootstrapKey !== undefined) {
    process.stderr.write(`\nYour API key, shown this once: ${product.bootstrapKey}\n\n`);
  }
  const stop = (code: number) => {
    // What is broken may not stop in good order: whoever watches over the process starts another.
    if (code !== 0) setTimeout(() => process.exit(code), STOP_PATIENCE_MS).unref();
    product.stop().then(
      () => process.exit(code),
      () => process.exit(1),
    );
  };
  process.once('SIGTERM', () => stop(0));
  process.once('SIGINT', () => stop(0));
  product.failed.catch((error: unknown) => {
    process.stderr.write(`The worker has ended: ${String(error)}\n`);
    stop(1);
  });
}

main(process.argv[2]).catch((error: unknown) => {
  process.stderr.write(`${error instanceof ConfigError ? error.message : String(error)}\n`);
  process.exit(1);
});
