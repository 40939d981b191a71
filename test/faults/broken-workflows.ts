/** What a bad deployment might bring: every workflow task of a lease fails. */
export async function lease(): Promise<never> {
  throw new Error('this version is broken');
}
