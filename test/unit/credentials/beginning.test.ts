import { afterEach, describe, expect, it } from 'vitest'
import type { Loaded, Source } from '../../../src/credentials/loaded.ts'
import { readPair } from '../../../src/credentials/certificate.ts'
import type { Credential, CredentialId, CredentialVerdict } from '../../../src/domain/credential.ts'
import { instant, minutes, seconds } from '../../../src/kernel/time.ts'
import { createMemoryCredentialBoard } from '../../../src/session/credential-board.ts'
import { manualClock } from '../../harness/clock.ts'
import { credentialSet } from '../../harness/credential-set.ts'
import { selfSigned } from '../../harness/self-signed.ts'

const pair = (): Loaded => {
  const { certificate, key, thumbprint } = selfSigned({ kind: 'ec', notBefore: new Date(Date.now() - 86_400_000) })
  const read = readPair(certificate, key, 'tls.crt')
  if (read.kind !== 'usable') throw new Error(read.fault)
  const { credential } = read
  return { id: thumbprint as CredentialId, credential, file: 'tls.crt', notBefore: credential.notBefore, notAfter: credential.notAfter }
}
const [PAIR, OTHER] = [pair(), pair()]
const REJECTED: CredentialVerdict = { kind: 'rejected', code: 'invalid_client' }
const ACCEPTED: CredentialVerdict = { kind: 'accepted' }

const stops: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

const fleet = () => {
  const clock = manualClock(instant(Date.now()))
  const board = createMemoryCredentialBoard()
  const replica = async (...given: readonly Loaded[]) => {
    const files = [...given]
    const source: Source = {
      setting: 'certificate_file',
      place: 'x',
      isStaged: false,
      look: async () => ({ kind: 'seen', loaded: [...files], faults: [] }),
    }
    let isKilled = false
    const own: typeof board = { ...board, put: async (...word) => (isKilled ? 'unavailable' : board.put(...word)) }
    const { set } = await credentialSet([source], { clock, board: own })
    stops.push(() => set.stop())
    let says: CredentialVerdict | 'nothing' | ((credential: Credential) => CredentialVerdict) = 'nothing'
    let asked = 0
    return {
      set,
      says: (verdict: typeof says) => (says = verdict),
      asked: () => asked,
      kill: () => (isKilled = true),
      put: (one: Loaded) => files.splice(0, files.length, one),
      begin: async () => {
        set.start(
          (credential) => {
            asked += 1
            if (says === 'nothing') return new Promise(() => undefined)
            return Promise.resolve(typeof says === 'function' ? says(credential) : says)
          },
          () => false,
        )
        await clock.advance(1)
      },
    }
  }
  /** Works with another certificate. */
  const predecessor = async () => {
    const one = await replica(OTHER)
    await one.begin()
    one.set.report(OTHER.credential, ACCEPTED)
    await clock.advance(seconds(3))
    return one
  }
  return { replica, predecessor, wait: (ms: number) => clock.advance(ms) }
}

describe('a replica that comes with a certificate of its own to others that work', () => {
  it('stays away from traffic while the provider rejects it, and comes by itself once it is taken', async () => {
    const { replica, predecessor, wait } = fleet()
    await predecessor()
    const one = await replica(PAIR)
    one.says(REJECTED)
    await one.begin()
    expect([one.set.isReady(), one.asked()]).toEqual([false, 1])
    await wait(minutes(6))
    expect(one.set.isReady()).toBe(false)
    one.set.report(PAIR.credential, ACCEPTED)
    expect(one.set.isReady()).toBe(true)
  })
  // Nobody signs in at night, when platforms move processes about: what had been accepted in the evening was no news any more.
  it('stays away although they have had nothing to ask the provider for longer than an answer is news', async () => {
    const { replica, predecessor, wait } = fleet()
    await predecessor()
    await wait(minutes(16))
    const one = await replica(PAIR)
    one.says(REJECTED)
    await one.begin()
    expect(one.set.isReady()).toBe(false)
  })
  // It was rejected because the provider could fetch its key from nobody, and nobody was sent to it because it was rejected.
  it('comes although it is rejected once they are gone: a provider may have to fetch its key from it', async () => {
    const { replica, predecessor, wait } = fleet()
    const before = await predecessor()
    const one = await replica(PAIR)
    one.says(REJECTED)
    await one.begin()
    expect(one.set.isReady()).toBe(false)
    await before.set.stop()
    await wait(seconds(5))
    expect(one.set.isReady()).toBe(true)
  })
  it('comes half a minute after the last of them was killed', async () => {
    const { replica, predecessor, wait } = fleet()
    const [before, another] = [await predecessor(), await predecessor()]
    const one = await replica(PAIR)
    one.says(REJECTED)
    await one.begin()
    before.kill()
    await wait(minutes(1))
    expect(one.set.isReady()).toBe(false)
    another.kill()
    await wait(seconds(40))
    expect(one.set.isReady()).toBe(true)
  })
  it('comes at once when they were gone before', async () => {
    const { replica, predecessor } = fleet()
    await (await predecessor()).set.stop()
    const one = await replica(PAIR)
    one.says(REJECTED)
    await one.begin()
    expect([one.set.isReady(), one.asked()]).toEqual([true, 0])
  })
  // What was found later had been rejected by nobody, and counted as taken.
  it.each([
    ['rejected as well', REJECTED, false],
    ['taken', ACCEPTED, true],
  ])('whose files come late is asked for then: %s', async (_name, verdict, isReady) => {
    const { replica, predecessor, wait } = fleet()
    await predecessor()
    const one = await replica()
    one.says(verdict)
    await one.begin()
    expect([one.set.isReady(), one.asked()]).toEqual([false, 0])
    one.put(PAIR)
    await wait(seconds(5))
    expect([one.set.isReady(), one.asked()]).toEqual([isReady, 1])
  })
  // Four had been asked for, and the others counted as taken.
  it.each([
    ['stays away where none of them is taken', [], false],
    ['comes where one of them is', [5], true],
  ])('with more of them than one request tries %s', async (_name, taken, isReady) => {
    const { replica, predecessor } = fleet()
    await predecessor()
    const many = Array.from({ length: 6 }, pair)
    const one = await replica(...many)
    const knows = new Set(taken.map((n) => many[n]?.credential))
    one.says((credential) => (knows.has(credential) ? ACCEPTED : REJECTED))
    await one.begin()
    expect(one.set.isReady()).toBe(isReady)
    if (!isReady) expect(one.asked()).toBe(6)
  })
  it('that is taken is ready, and no later rejection takes it out of service: sessions with good tokens need nobody', async () => {
    const { replica, predecessor, wait } = fleet()
    await predecessor()
    const one = await replica(PAIR)
    one.says(ACCEPTED)
    await one.begin()
    expect([one.set.isReady(), one.asked()]).toEqual([true, 1])
    for (let i = 0; i < 5; i += 1) one.set.report(PAIR.credential, REJECTED)
    await wait(minutes(1))
    expect(one.set.isReady()).toBe(true)
  })
  it('is held up for five seconds at most by a provider that does not answer', async () => {
    const { replica, predecessor, wait } = fleet()
    await predecessor()
    const one = await replica(PAIR)
    await one.begin()
    expect(one.set.isReady()).toBe(false)
    await wait(seconds(4))
    expect(one.set.isReady()).toBe(false)
    await wait(seconds(2))
    expect(one.set.isReady()).toBe(true)
  })
  it('asks nobody when it has what they work with', async () => {
    const { replica, predecessor } = fleet()
    await predecessor()
    const one = await replica(OTHER)
    one.says(REJECTED)
    await one.begin()
    expect([one.set.isReady(), one.asked()]).toEqual([true, 0])
  })
  it('is not let in because one server of the provider rejects theirs for a moment', async () => {
    const { replica, predecessor, wait } = fleet()
    const before = await predecessor()
    const one = await replica(PAIR)
    one.says(REJECTED)
    await one.begin()
    before.set.report(OTHER.credential, REJECTED)
    await wait(seconds(10))
    expect(one.set.isReady()).toBe(false)
  })
})

it('the first of all asks nobody: a provider that fetches client keys has to be able to reach it', async () => {
  const one = await fleet().replica(PAIR)
  one.says(REJECTED)
  await one.begin()
  expect([one.set.isReady(), one.asked()]).toEqual([true, 0])
})

it('two that begin at once, each with a certificate of its own, do not wait for each other', async () => {
  const { replica, wait } = fleet()
  const [one, two] = [await replica(PAIR), await replica(OTHER)]
  one.says(REJECTED)
  two.says(REJECTED)
  await Promise.all([one.begin(), two.begin()])
  await wait(seconds(5))
  expect([one.set.isReady(), two.set.isReady()]).toEqual([true, true])
})
