import { describe, expect, it } from 'vitest'
import { freePlaces, startGateways } from '../harness/gateways.ts'
import { until } from '../harness/processes.ts'
import { sharedRedisUrl } from '../harness/redis.ts'

const provider = { issuer: 'http://127.0.0.1:9', clientId: 'shop', clientSecret: 'CANARY-client-secret' }
const routes = ['  - path: /api', '    upstream: http://127.0.0.1:9', '    token: { principal: none }']

describe.skipIf(!sharedRedisUrl)('the process of the gateway', { timeout: 60_000 }, () => {
  it('ends as soon as it has stopped, however long the grace', async () => {
    const places = await freePlaces(1)
    const fleet = await startGateways({ places, provider, routes, redisUrl: sharedRedisUrl, shutdown: '{ delay: 0s, grace: 40s }' })
    try {
      const gateway = fleet.gateways[0]
      const asked = performance.now()
      gateway?.signal('SIGTERM')
      expect(await gateway?.exited).toBe(0)
      expect(performance.now() - asked).toBeLessThan(20_000)
    } finally {
      await fleet.stop()
    }
  })

  it.each([
    ['in its memory, which it says', undefined, true],
    ['in Redis', sharedRedisUrl, false],
  ])('keeps sessions %s at the start', async (_where, redisUrl, isSaid) => {
    const fleet = await startGateways({ places: await freePlaces(1), provider, routes, redisUrl })
    try {
      const output = (): string => fleet.gateways[0]?.output() ?? ''
      await until('it has started', () => output().includes('gateway started'))
      expect(output().includes('sessions are kept in the memory of this process, and end with it')).toBe(isSaid)
    } finally {
      await fleet.stop()
    }
  })
})
