import { defineConfig, type OxlintConfig } from 'oxlint'

/** Bottom to top. A room may import its own files and the storeys below; rooms of one storey do not know each other. */
const STOREYS: readonly (readonly string[])[] = [
  ['kernel', 'contract'],
  ['domain'],
  ['config', 'crypto', 'credentials', 'provider', 'login', 'session', 'policy', 'broker', 'proxy', 'telemetry'],
  ['flows'],
  ['edge'],
  ['assembly'],
  ['cli', 'dev'],
]

/** One door per vendor: the rooms that may import it, sub-paths included. `ioredis` only in files named `*-redis.ts`. */
const DOORS: Readonly<Record<string, readonly string[]>> = {
  ioredis: [],
  'openid-client': ['provider'],
  oauth4webapi: ['provider'],
  jose: ['provider', 'crypto', 'dev'],
  undici: ['proxy', 'provider'],
  fastify: ['edge', 'dev'],
  '@fastify/*': ['edge', 'dev'],
  pino: ['telemetry'],
  'prom-client': ['telemetry'],
  'lru-cache': ['session'],
  zod: ['config'],
  yaml: ['config'],
  'oidc-provider': ['dev'],
}

/** Where a secret may be read. The list is part of the design: a new line here is a new place a secret can leave from. */
const REVEALS: readonly string[] = [
  'src/provider/**',
  'src/crypto/seal.ts',
  'src/session/codec.ts',
  'src/session/store-*.ts',
  'src/session/access-redis.ts',
  'src/login/attempt-cookie.ts',
  'src/proxy/outbound-headers.ts',
  // The URL that may hold `id_token_hint` is sealed, opened once, and put into one `Location` (spec §1, rule 5).
  'src/flows/logout-continue.ts',
  'src/edge/logout-routes.ts',
  // `Set-Cookie`.
  'src/edge/answer.ts',
  'test/**',
]

const rooms = STOREYS.flat()
const above = (room: string): string[] => {
  const at = STOREYS.findIndex((storey) => storey.includes(room))
  return STOREYS.flatMap((storey, i) => (i >= at ? storey.filter((other) => other !== room && !MAY_REACH[room]?.includes(other)) : []))
}
/** By `import()` only, which the image leaves out (test/unit/house/storeys.test.ts looks). */
const MAY_REACH: Readonly<Record<string, readonly string[]>> = { cli: ['dev'] }

/** The storey rule and the vendor doors of a room are one rule with one set of options: an override replaces options, it does not merge them. */
const restrict = (room: string, lifted: readonly string[] = []): NonNullable<OxlintConfig['rules']> => {
  const closed = Object.entries(DOORS).filter(([name, at]) => !at.includes(room) && !lifted.includes(name))
  const reachable = above(room)
  return {
    'no-restricted-imports': [
      'error',
      {
        patterns: [
          ...closed.map(([name, at]) => ({
            regex: `^${name.replaceAll('/', '\\/').replace('*', '.+')}(\\/|$)`,
            // The parts list names the types it hands from door to door; it calls nobody.
            allowTypeImports: room === 'assembly',
            message: `${name} has its door in ${at.join(', ') || 'files named *-redis.ts'}`,
          })),
          ...(reachable.length > 0
            ? [
                {
                  regex: `^\\.\\.?\\/(.+\\/)?(${reachable.join('|')})\\/`,
                  message: `${room}/ may import only itself and the storeys below`,
                },
              ]
            : []),
          { regex: '^\\.\\.?\\/(.+\\/)?(test|bench)\\/', message: 'src does not import from test or bench' },
        ],
      },
    ],
  }
}

export default defineConfig({
  plugins: ['typescript', 'import', 'promise', 'node', 'unicorn', 'oxc', 'vitest'],
  categories: { correctness: 'error' },
  ignorePatterns: ['dist', 'coverage', 'src/dev/frontend'],
  rules: {
    'import/no-cycle': 'error',
    'max-lines': ['error', { max: 300 }],
    'no-console': 'error',
    // Off: takes every function called `done` or `callback` for one of Node's.
    'promise/no-callback-in-promise': 'off',
    // Off: `return void f()` ends a handler early and says that nothing is answered.
    'typescript/no-meaningless-void-operator': 'off',
    // Off: our objects are closures; the few classes that use `this` are passed whole.
    'typescript/unbound-method': 'off',
    // Off: `string | 'absent'` says in a type what the string may be; branding every sealed string would say it no better.
    'typescript/no-redundant-type-constituents': 'off',
    // Off: a copy matters where the loop awaits and others add meanwhile.
    'unicorn/no-useless-spread': 'off',
    // Off: a promise that comes is an assertion, or the test times out.
    'vitest/expect-expect': 'off',
    'vitest/no-standalone-expect': ['error', { additionalTestBlockFunctions: ['beforeAll', 'beforeEach', 'afterAll', 'afterEach'] }],
    'vitest/valid-expect': ['error', { maxArgs: 2 }],
    // Off: tables and loops of expectations.
    'vitest/no-conditional-expect': 'off',
    'no-restricted-properties': ['error', { property: 'reveal', message: 'a secret is revealed only where oxlint.config.ts says' }],
    'node/no-process-env': 'error',
    'typescript/ban-ts-comment': 'error',
    'typescript/no-explicit-any': 'error',
    'typescript/no-floating-promises': 'error',
    'typescript/no-misused-promises': ['error', { checksVoidReturn: false }],
    // A `default` is the answer to what a library may add; over our own unions it ends in assertNever, and the compiler looks.
    'typescript/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
  },
  overrides: [
    // Each room gets its door variant as well; the later override wins as a whole.
    ...rooms.flatMap((room) => [
      { files: [`src/${room}/**/*.ts`], rules: restrict(room) },
      { files: [`src/${room}/**/*-redis.ts`], rules: restrict(room, ['ioredis']) },
    ]),
    { files: [...REVEALS], rules: { 'no-restricted-properties': 'off' } },
    { files: ['src/cli/**', 'src/config/**', 'test/**', 'bench/**', 'scripts/**', '*.config.ts'], rules: { 'node/no-process-env': 'off' } },
    { files: ['src/cli/**', 'bench/**'], rules: { 'no-console': 'off' } },
    { files: ['test/**', 'bench/**'], rules: { 'max-lines': ['error', { max: 800 }] } },
  ],
})
