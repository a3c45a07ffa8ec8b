import { describe, expect, it } from 'vitest'
import { sharedRedisUrl } from '../harness/redis.ts'
import { runRotations } from '../harness/rotations/run.ts'
import type { RotationProvider } from '../harness/rotations/rotation-world.ts'
import type { OrderName } from '../harness/rotations/orders.ts'

/** A hundred in a row: `npm run chaos -- --rotations 100`. */
const RUNS: readonly (readonly [RotationProvider, readonly OrderName[]])[] = [
  ['entra', ['old removed too early', 'one replica only', 'nothing accepted']],
  ['keycloak', ['file first', 'withdrawn']],
]

describe.skipIf(!sharedRedisUrl).concurrent('three gateways under sign-ins, refreshes, exchanges and calls of the application', () => {
  it.each(RUNS)('at %s no request fails, whichever order operations chose: %j', { timeout: 120_000 }, async (provider, orders) => {
    const { rotations, served, excused, failures } = await runRotations({ provider, redisUrl: sharedRedisUrl ?? '', orders, seed: 7 })
    expect(failures).toEqual([])
    expect(rotations).toBe(orders.length)
    for (const kind of ['sign-in', 'refresh', 'exchange', 'application']) expect(served[kind]).toBeGreaterThan(10)
    // Where nothing was accepted something did fail: the load sees what happens.
    expect(excused > 0).toBe(orders.includes('nothing accepted'))
  })
})
