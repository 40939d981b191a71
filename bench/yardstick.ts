import { createHash } from 'node:crypto';

const MEBIBYTES = 64;
const TURNS = 3;

/**
 * CPU milliseconds that a fixed piece of work takes at this moment: the least of three turns of hashing. On a machine that others use
 * too, the same work costs up to twice the CPU (shared caches, hyper-threads): figures of two runs compare as far as this does.
 */
export function yardstick(): number {
  const block = Buffer.alloc(2 ** 20, 1);
  const turns = Array.from({ length: TURNS }, () => {
    const before = process.cpuUsage();
    const hash = createHash('sha256');
    for (let n = 0; n < MEBIBYTES; n += 1) hash.update(block);
    hash.digest();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  });
  return Math.min(...turns);
}
