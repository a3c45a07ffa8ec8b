import { defineConfig } from 'vitest/config'

/** `npm run interop`: against a real Keycloak. Not a part of `npm test`: it fetches 180 MB and starts a Java server. */
export default defineConfig({
  test: {
    name: 'interop',
    include: ['test/interop/**/*.test.ts'],
    reporters: ['default', './test/harness/tally.ts'],
    globalSetup: ['test/interop/keycloak.setup.ts'],
    pool: 'forks',
    maxWorkers: 1,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    teardownTimeout: 30_000,
  },
})
