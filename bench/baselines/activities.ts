import { createHmac } from 'node:crypto';
import type pg from 'pg';
import type { Pool } from 'undici';

export type PlainActivities = ReturnType<typeof createPlainActivities>;

/** The same steps as the product's, written plainly: a query or two each, no lock but the row's, no grouping. */
export const createPlainActivities = (db: pg.Pool, tool: Pool, secret: string) => ({
  async checkPolicy({ agent }: { agent: string }): Promise<{ allowed: boolean }> {
    const { rows } = await db.query('select allowed from plain_policies where agent = $1', [agent]);
    return { allowed: rows[0]?.allowed ?? true };
  },

  async reserveBudget({ agent }: { agent: string }): Promise<void> {
    await db.query('update plain_budgets set spent = spent + 1 where agent = $1', [agent]);
  },

  async callTool(call: { invoice: string }): Promise<unknown> {
    const body = JSON.stringify({ args: call });
    const timestamp = Math.floor(Date.now() / 1000);
    const signature = createHmac('sha256', secret).update(body).digest('hex');
    const standard = createHmac('sha256', secret).update(`${call.invoice}.${timestamp}.${body}`).digest('base64');
    const answer = await tool.request({
      method: 'POST',
      path: '/charge',
      body,
      headers: {
        'content-type': 'application/json',
        'idempotency-key': call.invoice,
        'x-onceonly-signature': signature,
        'x-onceonly-timestamp': String(timestamp),
        'x-onceonly-signature-alg': 'hmac_sha256',
        'x-onceonly-fence': '1',
        'webhook-id': call.invoice,
        'webhook-timestamp': String(timestamp),
        'webhook-signature': `v1,${standard}`,
      },
    });
    return await answer.body.json();
  },

  async recordOutcome({ agent, invoice }: { agent: string; invoice: string }, result: unknown): Promise<void> {
    await db.query('insert into plain_outcomes (agent, invoice, result) values ($1, $2, $3)', [agent, invoice, result]);
  },
});
