import type { Logger as TemporalLogger } from '@temporalio/worker';
import { type Logger, pino } from 'pino';

/** Structured logs on standard output. What could be secret is named here once more, beside never being passed. */
export const createLogger = (level: string): Logger =>
  pino({ level, base: undefined, redact: ['authorization', '*.authorization', 'secret', '*.secret', 'key', '*.key'] });

const levels = { TRACE: 'trace', DEBUG: 'debug', INFO: 'info', WARN: 'warn', ERROR: 'error' } as const;

/** The SDK's own lines in the same stream. Its notes on every workflow and activity are left out below `debug`. */
export function temporalLogger(log: Logger): TemporalLogger {
  const sdk = log.child({ from: 'temporal' });
  const write = (level: keyof typeof levels, message: string, meta?: object) => {
    const quiet = level === 'INFO' ? 'debug' : levels[level];
    sdk[quiet](meta ?? {}, message);
  };
  return {
    log: write,
    trace: (message, meta) => write('TRACE', message, meta),
    debug: (message, meta) => write('DEBUG', message, meta),
    info: (message, meta) => write('INFO', message, meta),
    warn: (message, meta) => write('WARN', message, meta),
    error: (message, meta) => write('ERROR', message, meta),
  };
}
