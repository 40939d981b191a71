// The rule of the house (CONTRIBUTING.md): data flows one way, route → engine → workflow → activity → store.
const only = (name, from, allowed, comment) => ({
  name,
  severity: 'error',
  comment,
  from: { path: from },
  to: { pathNot: allowed },
});

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'not-to-test',
      severity: 'error',
      from: { path: '^(src|workflows|activities)/' },
      to: { path: '^(test|bench)/' },
    },
    {
      name: 'dev-is-a-leaf',
      severity: 'error',
      from: { path: '^(src/(?!dev/)|workflows|activities)' },
      to: { path: '^src/dev/' },
    },
    only(
      'domain-is-pure',
      '^src/domain/',
      '^(src/domain/|src/contracts/|crypto$|node_modules/(ajv|canonicalize|jsonc-parser|lru-cache|zod|@bufbuild/(cel|cel-spec|protobuf|re2))/)',
      'The domain does no I/O; hashing is none',
    ),
    only(
      'judge-knows-no-service',
      '^src/judge/',
      '^(src/judge/|src/domain/|src/contracts/|src/metrics/|fs$|worker_threads$)',
      'Conditions are judged apart from whatever they could hold up',
    ),
    only(
      'contracts-are-plain',
      '^src/contracts/',
      '^(src/contracts/|node_modules/(zod|zod-openapi)/)',
      'Schemas of what crosses a border',
    ),
    only(
      'workflows-are-deterministic',
      '^workflows/',
      '^(workflows/|src/contracts/|src/domain/|activities/|node_modules/@temporalio/(workflow|common)/)',
      'Types, domain and the workflow API only',
    ),
    {
      name: 'workflows-take-types-of-activities',
      severity: 'error',
      from: { path: '^workflows/' },
      to: { path: '^activities/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'store-knows-no-http',
      severity: 'error',
      from: { path: '^src/store/' },
      to: {
        path: '^(src/(api|engine|dispatch|cache)/|workflows/|activities/|node_modules/(express|undici|@temporalio)/)',
      },
    },
    {
      name: 'routes-go-through-the-engine',
      severity: 'error',
      from: { path: '^src/api/routes/' },
      to: { path: '^(node_modules/(pg|kysely|ioredis|@temporalio)/|workflows/|activities/)' },
    },
    {
      name: 'dispatch-knows-no-database',
      severity: 'error',
      from: { path: '^src/dispatch/' },
      to: { path: '^(src/(api|engine|store|cache)/|workflows/|activities/)' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};
