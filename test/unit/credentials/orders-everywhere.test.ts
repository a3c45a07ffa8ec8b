import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Loaded, Source } from '../../../src/credentials/loaded.ts'
import { readPair } from '../../../src/credentials/certificate.ts'
import type { CredentialBoard, CredentialId } from '../../../src/domain/credential.ts'
import { instant, minutes } from '../../../src/kernel/time.ts'
import { createMemoryCredentialBoard } from '../../../src/session/credential-board.ts'
import { manualClock, settle } from '../../harness/clock.ts'
import { credentialSet } from '../../harness/credential-set.ts'
import { selfSigned } from '../../harness/self-signed.ts'

const DAY = 86_400_000
const loadedOf = (daysAgo: number): Loaded => {
  const { certificate, key, thumbprint } = selfSigned({ kind: 'ec', notBefore: new Date(Date.now() - daysAgo * DAY) })
  const pair = readPair(certificate, key, 'tls.crt')
  if (pair.kind !== 'usable') throw new Error(pair.fault)
  const { credential } = pair
  return { id: thumbprint as CredentialId, credential, file: 'tls.crt', notBefore: credential.notBefore, notAfter: credential.notAfter }
}
const [OLD, NEW] = [loadedOf(2), loadedOf(1)]

const stops: (() => void)[] = []
afterEach(() => {
  for (const stop of stops.splice(0)) stop()
})
let board: CredentialBoard
beforeEach(() => {
  board = createMemoryCredentialBoard()
})

/** One of a fleet whose clock can be set: all follow the store's. */
const fleet = () => {
  const manual = manualClock(instant(Date.now()))
  let ahead = 0
  const clock = { now: () => instant(manual.now() + ahead), sleep: manual.sleep }
  const replica = async (...held: readonly Loaded[]) => {
    const loaded = [...held]
    const source: Source = {
      setting: 'certificate_dir',
      place: 'x',
      isStaged: true,
      look: async () => ({ kind: 'seen', loaded: [...loaded], faults: [] }),
    }
    const { set } = await credentialSet([source], { clock, board, settings: { keepPreviousMs: minutes(10) } })
    set.start(undefined)
    stops.push(() => set.stop())
    const uses = (): readonly string[] =>
      [set.current(), ...set.fallbacks()].flatMap((one) => (one === OLD.credential ? ['old'] : one === NEW.credential ? ['new'] : []))
    return { set, uses, add: async (one: Loaded) => void loaded.push(one) }
  }
  return { replica, wait: (ms: number) => manual.advance(ms), set: (ms: number) => void (ahead += ms) }
}
const lose = async (kind: string): Promise<void> => {
  const fields = await board.read()
  if (fields !== 'unavailable') await board.drop([...fields.keys()].filter((field) => field.startsWith(kind)))
}

describe('an order of an operator, in the whole fleet', () => {
  it('to use a withdrawn credential again holds for longer than the order is news', async () => {
    const { replica, wait } = fleet()
    const a = await replica(OLD, NEW)
    expect(await a.set.withdraw(NEW.id, false)).toMatchObject({ outcome: 'done' })
    await wait(1000)
    expect(await a.set.promote(NEW.id)).toMatchObject({ outcome: 'done' })
    await wait(minutes(20))
    expect(a.uses().toSorted()).toEqual(['new', 'old'])
    const late = await replica(OLD, NEW)
    await wait(5000)
    expect(late.uses().toSorted()).toEqual(['new', 'old'])
  })
  it('to withdraw the one that works, while the provider rejects the others, needs force', async () => {
    const { replica } = fleet()
    const { set } = await replica(OLD, NEW)
    set.report(OLD.credential, { kind: 'accepted' })
    set.report(NEW.credential, { kind: 'rejected', code: 'AADSTS700027' })
    expect(await set.withdraw(OLD.id, false)).toBe('last-usable')
    expect(await set.withdraw(NEW.id, false)).toMatchObject({ outcome: 'done' })
    expect(await set.withdraw(OLD.id, true)).toMatchObject({ outcome: 'done' })
  })
  // A failover to a replica of Redis that had not heard it yet, or somebody who deletes.
  it('to withdraw one reaches the others although the store lost it', async () => {
    const { replica, wait } = fleet()
    const { put } = board
    board = { ...board, put: (field, sealed, forMs) => put(field, sealed, forMs, false) }
    const a = await replica(OLD, NEW)
    const b = await replica(OLD, NEW)
    await wait(5000)
    const ordered = a.set.withdraw(NEW.id, false)
    await settle()
    await lose('withdrawn')
    expect(b.uses()).toContain('new')
    await wait(10_000)
    expect([a.uses(), b.uses()]).toEqual([['old'], ['old']])
    expect(await ordered).toMatchObject({ replicas: 2 })
  })
  // A store that was started again empty, or a word taken out as too old just after it was said anew: who is not heard of would not be waited for.
  it('waits for a replica whose word the store lost', async () => {
    const { replica, wait } = fleet()
    const { put } = board
    board = { ...board, put: (field, sealed, forMs) => put(field, sealed, forMs, false) }
    const a = await replica(OLD, NEW)
    await replica(OLD, NEW)
    await wait(5000)
    await lose('follows')
    await wait(4000)
    const ordered = a.set.withdraw(NEW.id, false)
    await wait(5000)
    expect(await ordered).toEqual({ outcome: 'done', replicas: 2, missing: [] })
  })
  // Anybody who reaches Redis can say that something was said.
  it('that waits for a replica does not read with each of a flood of announcements', async () => {
    const { replica, wait } = fleet()
    const { put, read } = board
    let reads = 0
    board = { ...board, read: async () => ((reads += 1), read()) }
    const a = await replica(OLD, NEW)
    board = { ...board, onTold: () => undefined }
    await replica(OLD, NEW)
    await wait(2500)
    const ordered = a.set.withdraw(NEW.id, false)
    await settle()
    reads = 0
    for (let n = 0; n < 200; n += 1) {
      await put(`follows.${OLD.id}`, 'forged', minutes(1), true)
      await settle()
    }
    expect(reads).toBeLessThan(100)
    await wait(5000)
    expect(await ordered).toMatchObject({ outcome: 'done', replicas: 2 })
  })
  it('to withdraw one holds for a replica that starts before it can be ready: nobody is sent there until it has listened', async () => {
    const { replica, wait } = fleet()
    const a = await replica(OLD, NEW)
    await a.set.withdraw(OLD.id, false)
    const { read } = board
    let isAway = true
    board = { ...board, read: async () => (isAway ? 'unavailable' : read()) }
    const late = await replica(OLD, NEW)
    await wait(5000)
    expect(late.set.isReady()).toBe(false)
    isAway = false
    await wait(5000)
    expect([late.set.isReady(), late.uses()]).toEqual([true, ['new']])
    // From then on what is known here is enough.
    isAway = true
    await wait(60_000)
    expect(late.set.isReady()).toBe(true)
  })
  it.each([
    ['in the same millisecond', 0],
    ['after the clock was set back a little', -3000],
  ])('to use one after another to use one is the one that counts, also %s', async (_name, ahead) => {
    const { replica, wait, set } = fleet()
    const [a, b] = [await replica(OLD, NEW), await replica(OLD, NEW)]
    await wait(5000)
    const orders = [a.set.promote(OLD.id)]
    set(ahead)
    orders.push(a.set.promote(NEW.id))
    await wait(10_000)
    await Promise.all(orders)
    expect([a.uses()[0], b.uses()[0]]).toEqual(['new', 'new'])
  })
  it.each(['withdraw', 'promote'] as const)(
    'to %s one is not undone by an earlier one that was said before the clock was set back',
    async (what) => {
      const { replica, wait, set } = fleet()
      const [a, b] = [await replica(OLD, NEW), await replica(OLD, NEW)]
      await a.set.withdraw(NEW.id, false)
      await wait(5000)
      if (what === 'withdraw') await a.set.promote(NEW.id)
      await wait(5000)
      set(-3_600_000)
      await wait(5000)
      await (what === 'withdraw' ? a.set.withdraw(NEW.id, false) : a.set.promote(NEW.id))
      await wait(5000)
      const expected = what === 'withdraw' ? ['old'] : ['new', 'old']
      expect([a.uses().toSorted(), b.uses().toSorted()]).toEqual([expected, expected])
    },
  )
})

it('what the store lost of who is active is said again, so that a restart still goes on where it was; what is old is not', async () => {
  const { replica, wait } = fleet()
  const a = await replica(OLD, NEW)
  for (let n = 0; n < 4; n += 1) {
    a.set.report(NEW.credential, { kind: 'accepted' })
    await wait(minutes(1))
  }
  expect(a.uses()).toEqual(['new', 'old'])
  await lose('accepted')
  await wait(5000)
  const late = await replica(OLD, NEW)
  await wait(5000)
  expect(late.uses()).toEqual(['new', 'old'])
  await wait(minutes(20))
  const fields = await board.read()
  expect(fields === 'unavailable' ? [] : [...fields.keys()].filter((field) => field.startsWith('accepted'))).toEqual([])
})

// Whoever followed it took the certificate away from the replicas that had no new file yet.
it('a retired credential is not said to be safe to remove while another replica uses it', async () => {
  const { replica, wait } = fleet()
  const behind = await replica(OLD)
  const a = await replica(OLD, NEW)
  a.set.report(OLD.credential, { kind: 'accepted' })
  await a.set.promote(NEW.id)
  const whyOld = () => a.set.overview().credentials.find(({ id }) => id === OLD.id)?.why
  for (let n = 0; n < 3; n += 1) {
    behind.set.report(OLD.credential, { kind: 'accepted' })
    a.set.report(NEW.credential, { kind: 'accepted' })
    await wait(minutes(6))
  }
  await wait(10_000)
  expect(whyOld()).toBe('used-elsewhere')
  await behind.set.stop() // it was given the new file, or is gone
  await wait(minutes(20))
  expect(whyOld()).toBe('safe-to-remove')
})

it('a public key that the store lost is published by all replicas again', async () => {
  const { replica, wait } = fleet()
  const a = await replica(OLD)
  const b = await replica(OLD, NEW)
  await wait(10_000)
  expect([a.set.publicKeys().length, b.set.publicKeys().length]).toEqual([2, 2])
  await lose('published')
  await wait(15_000)
  expect([a.set.publicKeys().length, b.set.publicKeys().length]).toEqual([2, 2])
})
