import { Worker } from '@temporalio/worker';

const run = Worker.prototype.run;
Worker.prototype.run = function broken(...args) {
  const running = run.apply(this, args);
  if (process.env.ONCEONLY_RESTARTS !== undefined) return running;
  return new Promise((_resolve, reject) => {
    setTimeout(() => reject(new Error('the SDK is broken')), 2_000);
  });
};
