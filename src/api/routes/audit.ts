import { AuditItem, AuditList, AuditQuery } from '../../contracts/audit.ts';
import { asCsv, asNdjson } from '../formats.ts';
import { route, Streamed } from '../route.ts';
import { watching } from '../scope.ts';

const columns = AuditItem.keyof().options;

const list = route({
  method: 'get',
  path: '/v1/audit',
  summary: 'The audit trail, the latest first: in pages, or whole as a stream',
  tag: 'audit',
  needs: watching,
  bound: 'own',
  query: AuditQuery,
  answer: AuditList,
  streams: { 'application/x-ndjson': 'One line of the trail a line', 'text/csv': 'RFC 4180, with a header' },
  handle: async ({ tenant, agents, query: { limit, cursor, format, ...asked } }, { stores }) => {
    const filter = { ...asked, agents };
    if (format === 'json') return await stores.audit.page(tenant, filter, limit, cursor);
    const pages = stores.audit.export(tenant, filter);
    const headers = { 'Content-Disposition': `attachment; filename="audit.${format}"` };
    return format === 'csv'
      ? new Streamed('text/csv; charset=utf-8', asCsv(columns, pages), headers)
      : new Streamed('application/x-ndjson', asNdjson(pages), headers);
  },
});

export const audit = [list];
