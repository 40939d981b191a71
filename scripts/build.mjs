// Compiles with tsc and packs the workflow code once, so that a worker starts without webpack.
import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';

const root = fileURLToPath(new URL('..', import.meta.url));
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');

execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' });
await mkdir(`${root}/dist`, { recursive: true });
const { code } = await bundleWorkflowCode({
  workflowsPath: `${root}/dist/workflows/index.js`,
  payloadConverterPath: `${root}/dist/workflows/payload-converter.js`,
  logger: new DefaultLogger('WARN'),
});
await writeFile(`${root}/dist/workflow-bundle.js`, code);
