import { describe, expect, test } from 'vitest';
import { readConfig } from '../src/config.ts';

const complete = {
  DATABASE_URL: 'postgres://localhost/onceonly',
  ONCEONLY_MASTER_KEY: Buffer.alloc(32, 7).toString('base64'),
};

describe('configuration', () => {
  test('has a default for everything but the database and the master key', () => {
    expect(readConfig(complete)).toMatchObject({
      PORT: 8080,
      HOST: '127.0.0.1',
      TEMPORAL_TASK_QUEUE: 'onceonly',
      DUPLICATE_STATUS_CODE: 200,
      MAX_BODY_BYTES: 262_144,
      TOOL_ALLOWED_HOSTS: [],
    });
    expect(readConfig(complete)).not.toHaveProperty('REDIS_URL');
  });

  test('knows a proxy in either case of letters, with a scheme or without', () => {
    expect(
      readConfig({ ...complete, HTTPS_PROXY: 'http://u:p@proxy:3128', NO_PROXY: 'a.test, 10.0.0.0/8 b' }),
    ).toMatchObject({
      HTTPS_PROXY: 'http://u:p@proxy:3128',
      NO_PROXY: ['a.test', '10.0.0.0/8', 'b'],
    });
    expect(readConfig({ ...complete, https_proxy: 'proxy.test:3128', no_proxy: '*' })).toMatchObject({
      HTTPS_PROXY: 'http://proxy.test:3128',
      NO_PROXY: ['*'],
    });
    expect(() => readConfig({ ...complete, HTTPS_PROXY: 'socks5://secret@proxy' })).toThrow('HTTPS_PROXY');
    expect(readConfig(complete)).not.toHaveProperty('HTTPS_PROXY');
  });

  test('names every wrong and missing variable at once, and repeats no value', () => {
    const wrong = {
      PORT: 'eighty',
      ONCEONLY_MASTER_KEY: 'c2hvcnQ=',
      DUPLICATE_STATUS_CODE: '418',
      REDIS_URL: 'secret://x',
    };
    const read = () => readConfig(wrong);
    for (const name of [
      'PORT',
      'DATABASE_URL: is missing',
      'ONCEONLY_MASTER_KEY',
      'DUPLICATE_STATUS_CODE',
      'REDIS_URL',
    ]) {
      expect(read).toThrow(name);
    }
    for (const value of ['eighty', 'c2hvcnQ=', 'secret://']) expect(read).not.toThrow(value);
  });

  test.each([
    ['', false],
    ['false', false],
    ['true', true],
    ['2', 2],
    ['loopback, 10.0.0.0/8,2001:db8::1', ['loopback', '10.0.0.0/8', '2001:db8::1']],
  ])('reads TRUST_PROXY %j as Express does', (given, trusted) => {
    expect(readConfig({ ...complete, TRUST_PROXY: given }).TRUST_PROXY).toEqual(trusted);
  });

  test.each(['everybody', '10.0.0.0/8,true', '1,2'])('refuses TRUST_PROXY %j', (given) => {
    expect(() => readConfig({ ...complete, TRUST_PROXY: given })).toThrow('TRUST_PROXY');
  });

  test('takes an empty variable for an absent one', () => {
    const config = readConfig({ ...complete, PORT: '', REDIS_URL: '' });
    expect(config.PORT).toBe(8080);
    expect(config).not.toHaveProperty('REDIS_URL');
  });
});
