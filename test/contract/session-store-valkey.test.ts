import { expect, it } from 'vitest'
import { onPath } from '../harness/debs.ts'
import { startRedisServer } from '../harness/redis-server.ts'
import { aGrant, created, redisWorld } from './session-store-kit.ts'

const valkey = onPath('valkey-server')
if (!valkey) process.stdout.write('[redis] NO VALKEY: its one test is SKIPPED. Install valkey-server.\n')

it.skipIf(!valkey)('a session lives, is renewed and ends on Valkey, for a user with the least rights', async () => {
  const server = await startRedisServer(valkey!)
  const world = await redisWorld({ servers: { url: server.url }, leastRights: true })
  try {
    const [one, other] = [await world.replica(), await world.replica()]
    const session = await created(one.store)
    expect((await one.store.save(session, { grant: aGrant(), tokens: [] })).kind).toBe('saved')
    expect((await other.store.open(session.cookie.reveal())).kind).toBe('found')
    expect(await one.store.end(session.ref, 'user')).toBe('ended')
    expect(await other.store.open(session.cookie.reveal())).toEqual({ kind: 'ended', reason: 'user' })
  } finally {
    await world.close()
    await server.stop()
  }
})
