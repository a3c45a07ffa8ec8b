import { defineConfig } from 'vitest/config'

const group = (name: string, options: Record<string, unknown> = {}) => ({
  extends: true as const,
  test: { name, include: [`test/${name}/**/*.test.ts`], ...options },
})

export default defineConfig({
  test: {
    reporters: ['default', './test/harness/tally.ts'],
    globalSetup: ['test/harness/redis.setup.ts'],
    pool: 'forks',
    maxWorkers: 2,
    // On a machine that is busy with other things as well, what takes one second takes ten: these find what hangs, not what is slow.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 10_000 } },
    projects: [
      group('unit'),
      group('contract', { globalSetup: ['test/harness/redis-fleet.setup.ts', 'test/harness/keycloak-emulator.setup.ts'] }),
      group('flow', { globalSetup: ['test/harness/keycloak-emulator.setup.ts'] }),
      group('attack'),
      group('chaos'),
      group('browser', { globalSetup: ['test/harness/chromium.setup.ts'], testTimeout: 60_000 }),
    ],
  },
})
