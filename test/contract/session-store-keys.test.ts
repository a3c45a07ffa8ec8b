import { createSecretKey, randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Keyring, SealingKey } from '../../src/crypto/keyring.ts'
import { findKey, newKid } from '../../src/crypto/keyring.ts'
import { createSealer } from '../../src/crypto/seal.ts'
import { instant } from '../../src/kernel/time.ts'
import { sharedRedisUrl } from '../harness/redis.ts'
import { aGrant, anAccessToken, created, memoryWorld, redisWorld } from './session-store-kit.ts'
import type { World } from './session-store-kit.ts'

const T0 = Date.UTC(2026, 10, 20)
const aKey = (n: number): SealingKey => ({ kid: newKid(instant(T0 + n * 60_000), undefined), key: createSecretKey(randomBytes(32)) })
const index = createSecretKey(randomBytes(32))
const ring = (keys: SealingKey[], sealing: SealingKey): Keyring => ({
  sealing: () => sealing,
  find: (kid) =>
    findKey(
      keys.map((key) => ({ ...key, since: instant(0) })),
      kid,
    ),
  indexKey: () => index,
  reload: async () => {},
})
const [first, second] = [aKey(1), aKey(2)]
const only = (key: SealingKey) => createSealer({ keyring: ring([key], key) })
const both = createSealer({ keyring: ring([first, second], second) })

describe.each([['memory', memoryWorld], ...(sharedRedisUrl ? ([['Redis', () => redisWorld()]] as const) : [])] as const)(
  'a keyring that rotates over %s',
  (_name, open: () => Promise<World>) => {
    let world: World
    beforeEach(async () => {
      world = await open()
    })
    afterEach(() => world.close())

    it('signs nobody out when a replica meets a key it has not yet, and opens once it has it', async () => {
      const ahead = await world.replica({ sealer: only(second) })
      const behind = await world.replica({ sealer: only(first) })
      const session = await created(ahead.store)
      expect(await behind.store.open(session.cookie.reveal())).toEqual({ kind: 'key-unknown' })
      const caughtUp = await world.replica({ sealer: both })
      expect((await caughtUp.store.open(session.cookie.reveal())).kind).toBe('found')
    })
    it('ends a session whose key was removed, and says so', async () => {
      const before = await world.replica({ sealer: only(first) })
      const session = await created(before.store)
      const later = await world.replica({ sealer: only(second) })
      expect(await later.store.open(session.cookie.reveal())).toEqual({ kind: 'ended', reason: 'key-removed' })
      expect(later.recorder.events).toContainEqual(expect.objectContaining({ event: 'session.ended', reason: 'key-removed' }))
    })
    it('seals anew with the next write, so that the older key may go', async () => {
      const before = await world.replica({ sealer: only(first) })
      const tokens = [anAccessToken('orders'), anAccessToken('reports')]
      const session = await created(before.store, { tokens })
      const during = await world.replica({ sealer: both })
      const opened = await during.store.open(session.cookie.reveal())
      if (opened.kind !== 'found') throw new Error(opened.kind)
      const saved = await during.store.save(opened.held.session, { grant: aGrant(), tokens: [anAccessToken('orders')] })
      expect(saved.kind).toBe('saved')
      const later = await world.replica({ sealer: only(second) })
      const found = await later.store.open(session.cookie.reveal())
      expect(found.kind === 'found' && found.held.session.tokens.size).toBe(2)
      const usage = await during.records.keyUsage()
      expect(usage === 'unavailable' ? [] : [...usage.keys()].sort()).toEqual([first.kid, second.kid])
    })
    it('does not write back a grant it only read, not even to seal it anew', async () => {
      const before = await world.replica({ sealer: only(first) })
      const session = await created(before.store)
      const during = await world.replica({ sealer: both })
      const opened = await during.store.open(session.cookie.reveal())
      if (opened.kind !== 'found') throw new Error(opened.kind)
      await before.store.save(session, { grant: aGrant(instant(Date.now()), { scopes: ['newer'] }), tokens: [] })
      await during.store.save(opened.held.session, { grant: undefined, tokens: [anAccessToken('reports')] })
      const found = await during.store.reopen(session)
      expect(found.kind === 'found' && found.held.session.grant.scopes).toEqual(['newer'])
    })
  },
)
