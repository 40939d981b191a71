import { createHash, type Hash } from 'node:crypto';

/** Bytes as they come: kept up to `limit`, beyond only counted and hashed. */
export class BoundedBytes {
  readonly #limit: number;
  #kept: Buffer[] = [];
  #bytes = 0;
  #hash: Hash | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  add(chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#hash) {
      this.#hash.update(chunk);
      return;
    }
    this.#kept.push(chunk);
    if (this.#bytes > this.#limit) {
      this.#hash = this.#hashOfKept();
      this.#kept = [];
    }
  }

  /** How many came. */
  get bytes(): number {
    return this.#bytes;
  }

  /** All that came, or undefined where it was too much. */
  all(): Buffer | undefined {
    return this.#hash ? undefined : Buffer.concat(this.#kept);
  }

  /** Of all that came, in hex. */
  sha256(): string {
    return (this.#hash?.copy() ?? this.#hashOfKept()).digest('hex');
  }

  #hashOfKept(): Hash {
    const hash = createHash('sha256');
    for (const kept of this.#kept) hash.update(kept);
    return hash;
  }
}
